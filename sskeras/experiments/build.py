"""From settings to a compiled method and to the options of its batches."""

import inspect

import keras
import numpy as np

from sskeras import data, methods, networks
from sskeras.methods.base import BASE_ARGUMENTS


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
    adam = keras.optimizers.Adam(settings.learning_rate, epsilon=1e-8)
    built.compile(adam, metrics=["accuracy"])
    return built


def network(settings, paths, num_classes):
    """Returns the network that the settings name, with as many outputs as asked for."""
    name = settings.network or ("two_path_resnet" if paths == 2 else "resnet")
    shape = (settings.image_size, settings.image_size, settings.channels)
    if name in ("resnet", "two_path_resnet"):
        make = getattr(networks, name)
        return make(shape, num_classes, settings.filters, settings.dropout)
    if name in ("covid_net", "small_covid_net"):
        return getattr(networks, name)(shape, num_classes)
    return networks.backbone(
        name,
        num_classes,
        paths=paths,
        input_shape=shape,
        weights=settings.weights or None,
        filters=settings.filters[1],
        dropout=settings.dropout,
    )


def method_arguments(method, settings, classes, y):
    """Arguments of a method: those given, and those that follow from the data.

    Its λ, if it ramps up, does so during `ramp_up` epochs.
    """
    allowed = inspect.signature(method).parameters
    own = sorted(set(allowed) - {*BASE_ARGUMENTS, "kwargs"})
    unknown = sorted(set(settings.arguments) - set(own))
    if unknown:
        raise ValueError(
            f"{method.__name__} has no argument {', '.join(unknown)} to set. "
            f"Its own arguments are: {', '.join(own)}"
        )
    steps = steps_per_epoch(settings, classes, y)
    peak = settings.arguments.get("unsupervised_weight")
    known = np.bincount(y[y >= 0], minlength=len(classes))
    found = {
        "num_images": len(y),
        "labeled_share": labeled_share(settings, y),
        "class_prior": tuple(known / known.sum()),
        "annealing_steps": settings.epochs * steps,
    }
    ramp = {
        "unsupervised_weight": method.default_weight(
            peak, round(settings.ramp_up * steps)
        )
    }
    arguments = found | settings.arguments | ramp
    return {name: value for name, value in arguments.items() if name in allowed}


def labeled_share(settings, y):
    """Share of the images of an average batch that are labeled."""
    if settings.labeled_per_batch:
        return settings.labeled_per_batch / settings.batch_size
    return float(np.mean(y >= 0))


def sampling(settings, classes):
    """Options of `data.batches` and `data.steps_per_epoch`."""
    unknown = sorted(set(settings.class_share) - set(classes))
    if unknown:
        raise ValueError(
            f"`class_share` names classes that the data does not have: {unknown}. "
            f"Expected some of {list(classes)}"
        )
    shares = {
        classes.index(name): share for name, share in settings.class_share.items()
    }
    return {
        "batch_size": settings.batch_size,
        "labeled_per_batch": settings.labeled_per_batch or None,
        "class_balanced": settings.class_balanced,
        "class_share": shares or None,
    }


def steps_per_epoch(settings, classes, y):
    """Steps after which every image was drawn."""
    return data.steps_per_epoch(y, **sampling(settings, classes))
