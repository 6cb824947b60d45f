"""Any network as the trunk of one: those of `keras.applications` or your own."""

import difflib
import inspect

import keras
from keras import layers

from sskeras.layers import BatchNormalization, set_weights
from sskeras.networks import blocks


def backbone(
    model,
    num_classes=3,
    paths=1,
    input_shape=None,
    weights=None,
    filters=128,
    dropout=0.2,
    name=None,
):
    """A classifier with one path or two on top of a known network.

    A network of `keras.applications` keeps its layers and their names, with two
    changes: its own `preprocess_input` stands in front, so that pictures are in 0-255
    as everywhere, and its batch normalization becomes that of `sskeras.layers`, with
    the same weights and epsilon but momentum 0.9. A model of your own stays as it is:
    it must take pictures in 0-255, and its layers are used, not copied.

    The student of SRC-MT is `backbone("DenseNet121", weights="imagenet")`. The features
    that this method compares, 1024 after dropout, are the output of the layer
    "features".

    Args:
        model: Name of a network of `keras.applications`, such as "DenseNet121",
            "ResNet50" or "MobileNetV3Small", in upper or lower case; or a functional
            or sequential `keras.Model` that returns a feature map
            `(batch, height, width, channels)` or, with `paths=1`, a vector
            `(batch, channels)`.
        num_classes: Integer.
        paths: 1 for a classifier: average pooling, dropout, a dense layer. 2 for a
            supervised and an unsupervised path as in `two_path_resnet`, for methods
            such as `SSResNet`.
        input_shape: `(height, width, channels)` of the pictures, in 0-255, with 1 or 3
            channels; a grey picture is shown to all three. `None` stands for
            `(224, 224, 1)`, with a model of your own for its input shape.
        weights: Initial weights of a network of `keras.applications`: `None` for
            random ones; "imagenet", which Keras downloads once; or the path of a file
            that you saved from that network with `include_top=False` (EfficientNetB0
            to B7 scale pictures otherwise for "imagenet" than for a path).
        filters: Filters of each path, with `paths=2`.
        dropout: Rate before the last layer.
        name: Name of the model. `None` stands for that of the backbone.

    Returns:
        A functional `keras.Model` with one or two outputs of shape
        `(batch, num_classes)`, the logits. The graph is flat.

    Raises:
        ValueError: If there is no such network or the model does not fit.
        ConnectionError: If the ImageNet weights cannot be downloaded.

    Example:
    >>> network = backbone("MobileNetV3Small", input_shape=(64, 64, 1))
    >>> model = methods.Supervised(network)

    Reference:
        SRC-MT: "Semi-supervised Medical Image Classification with Relation-driven
        Self-ensembling Model" (Liu et al., 2020), arXiv 2005.07377.
    """
    if paths not in (1, 2):
        raise ValueError(f"Invalid `paths`. Expected 1 or 2. Received: {paths!r}")
    if isinstance(model, str):
        trunk = _application(model, input_shape or (224, 224, 1), weights)
    else:
        trunk = _own(model, input_shape, weights)
    z = trunk.outputs[0]
    _check_features(z, paths)
    if paths == 1:
        logits = _classifier(z, num_classes, dropout)
    else:
        logits = [
            blocks.path(z, num_classes, filters, dropout, name=path)
            for path in ("supervised", "unsupervised")
        ]
    return keras.Model(trunk.inputs[0], logits, name=name or trunk.name)


def _classifier(z, num_classes, dropout):
    """From a feature map or a feature vector to logits."""
    if len(z.shape) == 4:
        z = layers.GlobalAveragePooling2D(name="features_pool")(z)
    z = layers.Dropout(dropout, name="features")(z)
    # Logits are float32 under every precision: softmax and squares need the range.
    return layers.Dense(num_classes, dtype="float32", name="logits")(z)


def _application(name, input_shape, weights):
    """A network of `keras.applications`, from pictures in 0-255 to a feature map."""
    build = _find(name)
    height, width, channels = input_shape
    if channels not in (1, 3):
        raise ValueError(
            "The networks of `keras.applications` see 1 or 3 channels. "
            f"Received: input_shape={tuple(input_shape)}"
        )
    network = _load(build, (height, width, 3), weights)
    x = pictures = keras.Input(input_shape, name="pictures")
    if channels == 1:
        x = layers.Concatenate(dtype="float32", name="grey_to_color")([x, x, x])
    x = inspect.getmodule(build).preprocess_input(x)
    # `call`, unlike calling the network, adds its layers to the graph one by one.
    joined = keras.Model(pictures, network.call(x), name=network.name)
    # Each layer now is part of two graphs. A copy is part of one, as Grad-CAM expects.
    trunk = keras.models.clone_model(joined, clone_function=_clone)
    set_weights(trunk, joined.get_weights())
    return trunk


def _clone(layer):
    """A layer of the same configuration; batch normalization becomes ours."""
    config = layer.get_config()
    if type(layer) is layers.BatchNormalization:
        del config["synchronized"]
        return BatchNormalization.from_config(config | {"momentum": 0.9})
    return type(layer).from_config(config)


def _find(name):
    """Returns the function of `keras.applications` that builds a network."""
    known = {
        key.lower(): value
        for key, value in vars(keras.applications).items()
        if inspect.isfunction(value)
    }
    if name.lower() not in known:
        near = difflib.get_close_matches(name.lower(), known, n=5, cutoff=0.4)
        raise ValueError(
            "`keras.applications` has no such network. Nearest names there: "
            f"{', '.join(known[key].__name__ for key in near) or 'none'}; all are "
            f"listed at https://keras.io/api/applications. Received: {name!r}"
        )
    return known[name.lower()]


def _load(build, input_shape, weights):
    """Builds a network, with a way out where its weights cannot be downloaded."""
    try:
        return build(include_top=False, weights=weights, input_shape=input_shape)
    except Exception as error:  # No subclass of it tells of a failed download.
        if weights != "imagenet" or isinstance(error, ValueError):
            raise
        raise ConnectionError(
            f"Cannot download the ImageNet weights of {build.__name__}: {error}. "
            "Use `weights=None` for random weights, or bring the file from elsewhere "
            "into `~/.keras/models`."
        ) from error


def _own(model, input_shape, weights):
    """A user's model, if it is a graph from one picture to one tensor."""
    ends = [getattr(model, end, None) for end in ("inputs", "outputs")]
    if not isinstance(model, keras.Model) or not all(ends):
        raise ValueError(
            "`model` must be a name or a functional `keras.Model`, made with "
            "`keras.Model(inputs, outputs)`, or a `keras.Sequential` that begins with "
            f"`keras.Input`. Received: {model!r}"
        )
    if weights is not None:
        raise ValueError(
            "`weights` belongs to a name; call `load_weights` of your own model. "
            f"Received: weights={weights!r}"
        )
    if [len(end) for end in ends] != [1, 1]:
        raise ValueError(
            "`model` must have one input and one output. "
            f"Received: '{model.name}' with {len(ends[0])} and {len(ends[1])}"
        )
    expected = model.inputs[0].shape[1:]
    if len(expected) != 3 or tuple(input_shape or expected) != expected:
        raise ValueError(
            f"'{model.name}' takes inputs of shape {expected}, not pictures of "
            "`input_shape`, `(height, width, channels)`. Leave `input_shape` out or "
            f"build the model for these pictures. Received: input_shape={input_shape}"
        )
    return model


def _check_features(z, paths):
    """Raises where the head does not fit what the backbone returns."""
    if len(z.shape) not in ((4,) if paths == 2 else (2, 4)):
        raise ValueError(
            "The backbone must end in a feature map (batch, height, width, channels) "
            "or, with `paths=1`, in a vector (batch, channels). "
            f"Received: paths={paths}, an output of shape {z.shape}"
        )
