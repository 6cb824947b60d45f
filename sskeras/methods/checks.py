"""What a method refuses, each with the way to repair it."""

import warnings

import keras
import numpy as np
from keras import ops

from sskeras.methods import replicas


def choice(name, value, allowed):
    """Returns `value` if it is one of the allowed ones."""
    if value not in allowed:
        raise ValueError(
            f"Invalid `{name}`. Expected one of {allowed}. Received: {value!r}"
        )
    return value


def numbers(name, values):
    """Returns numbers as a tuple of floats."""
    try:
        return tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise ValueError(
            f"`{name}` must be one number for each class. Received: {values!r}"
        ) from None


def class_weight(weight, network):
    """Returns class weights as a tuple of floats, one for each class."""
    if weight is None:
        return None
    if isinstance(weight, dict):
        raise ValueError(
            "`class_weight` must be one number per class in the order of the classes, "
            f"such as `(1, 1, 2)`, not a dict. Received: {weight}"
        )
    weight = numbers("class_weight", weight)
    if len(weight) != num_classes(network):
        raise ValueError(
            f"`class_weight` needs one number for each of the {num_classes(network)} "
            f"classes of the network. Received: {weight}"
        )
    if not all(np.isfinite(w) and w >= 0 for w in weight):
        raise ValueError(
            f"Class weights must be finite and not negative. Received: {weight}"
        )
    return weight


def class_prior(prior, network):
    """Returns the share of each class as a tuple of floats that sum to 1."""
    classes = num_classes(network)
    prior = numbers("class_prior", prior)
    if len(prior) != classes or min(prior) < 0 or not abs(sum(prior) - 1) < 1e-3:
        raise ValueError(
            f"`class_prior` needs the share of each of the {classes} classes of the "
            "network, which sum to 1, such as `np.bincount(y[y >= 0], minlength="
            f"{classes}) / np.sum(y >= 0)`. Received: {prior}"
        )
    return prior


def network(network, method):
    """Returns the network if it has as many outputs as the method has paths."""
    found = len(network.outputs)
    if found != method.paths:
        advice = {1: "networks.resnet(...)", 2: "networks.two_path_resnet(...)"}
        raise ValueError(
            f"{type(method).__name__} learns with {method.paths} output(s) of logits; "
            f"use a network such as `{advice[method.paths]}`. "
            f"Received: '{network.name}' with {found} output(s)"
        )
    return network


def class_names(names, network):
    """Returns the class names as a tuple, one for each class."""
    if names is None:
        return None
    names = tuple(str(name) for name in names)
    if len(names) != num_classes(network) or len(set(names)) != len(names):
        raise ValueError(
            f"`class_names` needs {num_classes(network)} different names, one for each "
            f"class of the network. Received: {names}"
        )
    return names


def num_classes(network):
    """The number of classes of a network that returns logits."""
    return network.outputs[0].shape[-1]


def no_loss(loss, method):
    """Raises where `compile` is given a loss."""
    if loss is not None:
        raise ValueError(
            f"{type(method).__name__} brings its own losses {method.loss_names}; call "
            f"`compile(optimizer, metrics=...)` without `loss`. Received: loss={loss}"
        )


def metrics(found):
    """Raises unless the metrics of `compile` are a list."""
    if not isinstance(found, (list, tuple, type(None))):
        raise ValueError(
            '`metrics` must be a list, such as `metrics=["accuracy"]`. '
            f"Received: metrics={found!r}"
        )


def loss_weight(name, weight):
    """Returns λ if it is a schedule or a number that makes sense."""
    number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
    if not callable(weight) and not (number and 0 <= weight < float("inf")):
        raise ValueError(
            f"`{name}` must be a number from 0 or a schedule, such as "
            f"`schedules.GaussianRampUp(1.0, steps=500)`. Received: {weight!r}"
        )
    return weight


def unsupervised_weight(weight, method):
    """Returns λ of a method, its default where none is given."""
    if weight is None:
        return method.default_weight()
    return loss_weight("unsupervised_weight", weight)


def no_fit_weights(class_weight, sample_weight, method):
    """Raises where `fit` is given weights that would be ignored."""
    if class_weight is not None:
        raise ValueError(
            "Pass class weights to the method, which also knows the unlabeled images: "
            f"`{type(method).__name__}(network, class_weight=(1, 1, 2))`. "
            f"Received: fit(class_weight={class_weight})"
        )
    if sample_weight is not None:
        raise ValueError(SAMPLE_WEIGHT)


def labels(y, method):
    """Raises where an array of labels is outside the classes; datasets pass."""
    if y is None:
        return
    y = np.asarray(y)
    classes = num_classes(method.network)
    if y.ndim > 2 or (y.ndim == 2 and y.shape[1] != 1):
        raise ValueError(ONE_HOT + f"Received: y.shape={y.shape}")
    wrong = np.flatnonzero((y < -1) | (y >= classes) | (y != np.floor(y)))
    if wrong.size:
        raise ValueError(
            f"Labels must be integers from 0 to {classes - 1}, or -1 where unknown. "
            f"Received: {y.ravel()[wrong[0]]} in row {wrong[0]} "
            f"({wrong.size} such rows)"
        )


def enough_labels(y, method):
    """Raises where an array holds no label, warns of classes without any."""
    if y is None:
        return
    y = np.asarray(y)
    if not np.any(y >= 0):
        raise ValueError(
            "No image is labeled: every `y` is -1, so nothing could be learned. "
            "Keep at least one label of each class."
        )
    classes = range(num_classes(method.network))
    missing = sorted(set(classes) - set(y[y >= 0].astype(int)))
    if missing:
        names = method.class_names or classes
        warnings.warn(
            "No image is labeled with these classes, which cannot be learned: "
            + ", ".join(str(names[index]) for index in missing),
            stacklevel=3,
        )


def enough_memory(index, method):
    """Raises where an index array names images that a method has no memory for."""
    if len(index) and not (0 <= np.min(index) and np.max(index) < method.num_images):
        raise ValueError(
            f"{type(method).__name__} keeps something for each of `num_images="
            f"{method.num_images}` training images, counted from 0. Received: images "
            f"{np.min(index)} to {np.max(index)}"
        )


def shares(x, batch_size, method):
    """Raises where the last batch of an array leaves a processor without images.

    TensorFlow's convolutions on processors get the shape of an empty batch wrong.
    """
    count = method.distribute_strategy.num_replicas_in_sync
    x = x[0] if isinstance(x, tuple) else x
    if count == 1 or not hasattr(x, "shape") or not replicas.on_processors():
        return
    size = batch_size or 32  # Keras's.
    last = len(x) % size or min(size, len(x))
    share = -(-last // count)
    if -(-last // share) < count:
        raise ValueError(
            f"The last batch has {last} images, cut into shares of {share} for "
            f"{count} replicas, so that one gets none. Choose another `batch_size`, "
            "or train on `data.batches`, whose batches are all full. Received: "
            f"{len(x)} images, batch_size={batch_size}"
        )


def indexed(x, training):
    """Returns pictures and index; the index is `None` where there is none."""
    if isinstance(x, (tuple, list)) and len(x) == 2:
        pictures, index = x
        return pictures, ops.cast(index, "int32")
    if training:
        raise ValueError(
            "This method keeps something for each training image and needs to know "
            "which is which. Train on arrays, `fit(x, y)`, or on a dataset of "
            "`((pictures, index), y)`, such as `data.batches(..., with_index=True)`. "
            "Received: pictures without an index"
        )
    return x, None


def view(name, layer, default, network):
    """Returns the layer that draws a view, a default one where none is given."""
    layer = default() if layer is None else layer
    shape = network.input_shape[1:]
    usable = isinstance(layer, keras.layers.Layer) and views_of(layer, shape) == shape
    if not usable or layer.trainable_weights:
        raise ValueError(
            f"`{name}` must be a layer from pictures to pictures, such as "
            f"`augment.{name.capitalize()}()`, or `keras.layers.Identity()` for the "
            f"pictures themselves, without weights that learn. Received: {layer!r}"
        )
    return layer


def views_of(layer, shape):
    """Builds a layer on pictures and returns the shape of what comes out."""
    return layer(keras.Input(shape)).shape[1:]


def count(name, value):
    """Returns an integer from 1."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
        raise ValueError(f"`{name}` must be an integer from 1. Received: {value!r}")
    return int(value)


def fraction(name, value):
    """Returns a number between 0 and 1."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not (number and 0 <= value <= 1):
        raise ValueError(f"`{name}` must be a number from 0 to 1. Received: {value!r}")
    return float(value)


def momentum(name, value):
    """Returns a number from 0 to below 1: with 1 nothing would ever move."""
    if fraction(name, value) == 1:
        raise ValueError(f"`{name}` must be below 1. Received: {value!r}")
    return float(value)


def positive(name, value):
    """Returns a number greater than 0."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not (number and 0 < value < float("inf")):
        raise ValueError(f"`{name}` must be a number above 0. Received: {value!r}")
    return float(value)


def logged(values, method):
    """Raises where a method returns other losses or weights than it lists."""
    if set(values) != set(method.trackers):
        raise ValueError(
            f"{type(method).__name__} lists {sorted(method.trackers)} in `loss_names` "
            "and `log_names`; `objective` and `loss_weights` must return the same. "
            f"Received: {sorted(values)}"
        )


def unpack(data, method, training):
    """Returns `(x, y)` of a batch, `y` as int32 of shape `(batch,)`.

    An index beside the pictures is dropped where the method has no use for it, so that
    all methods train on the same batches, and outside training, where the pictures may
    be others.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if y is None:
        raise ValueError(
            "A method trains and evaluates on pairs `(x, y)`, with `y == -1` where the "
            "label is unknown. Received: no `y`"
        )
    if sample_weight is not None:
        raise ValueError(SAMPLE_WEIGHT)
    if len(y.shape) > 2 or (len(y.shape) == 2 and y.shape[1] != 1):
        raise ValueError(ONE_HOT + f"Received: y.shape={tuple(y.shape)}")
    if not (training and method.needs_index):
        x, _ = indexed(x, training=False)
    return x, ops.cast(ops.reshape(y, (-1,)), "int32")


ONE_HOT = (
    "Labels must be integers of shape (batch,), with -1 where unknown. Turn one-hot "
    "labels into integers with `y.argmax(-1)`. "
)
SAMPLE_WEIGHT = (
    "A method does not take `sample_weight`. To weight classes, pass `class_weight` to "
    "the method; to hide an image's label, set its `y` to -1; for weighted scores, use "
    "`sskeras.evaluate.scores(y, model.predict(x), class_names, weight=...)`."
)
