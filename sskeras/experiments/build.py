"""From settings to a compiled method and to the options of its batches."""

import inspect

import keras
import numpy as np

from sskeras import augment, data, methods, networks
from sskeras.data.sampling import list_parts
from sskeras.experiments.settings import RAREST
from sskeras.methods.base import BASE_ARGUMENTS
from sskeras.networks.discriminant import rarest, share_of_labels

# Networks of this package, and the paths that they have.
OWN_NETWORKS = {
    "resnet": 1,
    "two_path_resnet": 2,
    "covid_net": 1,
    "small_covid_net": 1,
}


def model(settings, classes, y):
    """Returns the compiled method that the settings describe."""
    keras.utils.set_random_seed(settings.seed)
    method = methods.find(settings.method)
    built = method(
        network(settings, method.paths, len(classes)),
        class_weight=settings.class_weight or None,
        class_names=classes,
        **method_arguments(method, settings, classes, y),
    )
    rate = settings.learning_rate
    if settings.decay == "cosine":
        steps = settings.epochs * steps_per_epoch(settings, classes, y)
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    if settings.second_judge and hasattr(built, "teacher"):
        raise ValueError(
            f"{method.__name__} predicts with an average of its network, which "
            "`second_judge` does not know. Leave it out, or take another method."
        )
    adam = keras.optimizers.Adam(rate, epsilon=1e-8)
    built.compile(adam, metrics=["accuracy"])
    return built


def network(settings, paths, num_classes):
    """Returns the network that the settings name, with as many outputs as asked for."""
    name = settings.network or ("two_path_resnet" if paths == 2 else "resnet")
    shape = (settings.image_size, settings.image_size, settings.channels)
    if name not in OWN_NETWORKS:
        if name.lower() not in map(str.lower, vars(keras.applications)):
            raise ValueError(
                f"Unknown `network`. Expected one of {[*OWN_NETWORKS]} or a name of "
                f"`keras.applications`, such as 'DenseNet121'. Received: {name!r}"
            )
        return networks.backbone(
            name,
            num_classes,
            paths=paths,
            input_shape=shape,
            weights=settings.weights or None,
            filters=settings.filters[1],
            dropout=settings.dropout,
        )
    if settings.weights:
        raise ValueError(
            "`weights` are for a network of `keras.applications`, which `network` "
            f"names. Received: weights={settings.weights!r} for network={name!r}"
        )
    if OWN_NETWORKS[name] != paths:
        fitting = [own for own, found in OWN_NETWORKS.items() if found == paths]
        raise ValueError(
            f"{settings.method} learns with {paths} path(s): `network` must be one of "
            f"{fitting} or a name of `keras.applications`. Received: {name!r}"
        )
    make = getattr(networks, name)
    if name.endswith("resnet"):
        return make(shape, num_classes, settings.filters, settings.dropout)
    return make(shape, num_classes)


def method_arguments(method, settings, classes, y):
    """Arguments of a method: those given, and those that follow from the data.

    Its λ, if it ramps up, does so during `ramp_up` epochs.
    """
    allowed = set(inspect.signature(method).parameters) - {"kwargs"}
    own = sorted(allowed - {*BASE_ARGUMENTS, "num_images", "weak", "strong"})
    unknown = sorted(set(settings.arguments) - set(own))
    if unknown:
        raise ValueError(
            f"{method.__name__} has no argument {', '.join(unknown)} to set. "
            f"Its own arguments are: {', '.join(own)}"
        )
    composed = settings.class_balanced or settings.class_share
    if method is methods.AdaMatch and composed:
        raise ValueError(
            "AdaMatch aligns its predictions with the classes of the labeled images in "
            "a batch, which must not be composed by `class_balanced` or `class_share`. "
            "Leave them out, or take SoftMatch."
        )
    steps = steps_per_epoch(settings, classes, y)
    found = {
        "num_images": len(y),
        "labeled_share": labeled_share(settings, classes, y),
        "class_prior": tuple(share_of_labels(y, len(classes))),
        "annealing_steps": settings.epochs * steps,
    }
    arguments = found | settings.arguments
    peak = arguments.get("unsupervised_weight", method.peak_weight)
    if method.ramp_up and isinstance(peak, (int, float)):
        length = round(settings.ramp_up * steps)
        arguments["unsupervised_weight"] = method.default_weight(peak, length)
    if settings.view:
        arguments["weak"] = view(settings.view, method, allowed)
    return {name: value for name, value in arguments.items() if name in allowed}


def view(name, method, allowed):
    """The layer that draws a view."""
    if "weak" not in allowed:
        raise ValueError(
            f"{method.__name__} learns from the pictures themselves: it takes no view. "
            f"Received: view={name!r}"
        )
    return {"weak": augment.Weak, "strong": augment.Strong}[name]()


def labeled_share(settings, classes, y):
    """Share of the images of an average batch that are labeled."""
    parts = list_parts(y, **sampling(settings, classes, y))
    labeled = [size * np.mean(y[rows] >= 0) for _, rows, size in parts]
    return float(sum(labeled) / settings.batch_size)


def sampling(settings, classes, y):
    """Options of `data.batches` and `data.steps_per_epoch`."""
    given = dict(settings.class_share)
    if RAREST in given:
        given[classes[rarest(y)]] = given.pop(RAREST)
    wrong = {name: v for name, v in given.items() if not _is_share(name, v, classes)}
    if wrong:
        raise ValueError(
            "`class_share` gives some of the classes a share between 0 and 1, such as "
            f"{classes[-1]}=0.3; the classes are {list(classes)}. Received: {wrong}"
        )
    shares = {classes.index(name): share for name, share in given.items()}
    return {
        "batch_size": settings.batch_size,
        "labeled_per_batch": settings.labeled_per_batch or None,
        "class_balanced": settings.class_balanced,
        "class_share": shares or None,
    }


def _is_share(name, value, classes):
    return name in classes and isinstance(value, float) and 0 < value < 1


def steps_per_epoch(settings, classes, y):
    """Steps after which every image was drawn."""
    return data.steps_per_epoch(y, **sampling(settings, classes, y))
