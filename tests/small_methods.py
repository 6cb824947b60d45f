"""Small methods, quickly traced, for the tests that hold for all of them."""

import inspect

import keras
import numpy as np
from keras import layers

from sskeras import methods
from sskeras.layers import BatchNormalization

SHAPE = (16, 16, 1)


def tiny(paths=1, dropout=0.2):
    """A network that is traced quickly, with all kinds of layers that matter."""
    pictures = keras.Input(SHAPE)
    x = layers.Rescaling(1 / 255)(pictures)
    x = layers.Conv2D(8, 3, strides=2, use_bias=False, name="shared_conv")(x)
    x = layers.ReLU()(BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    logits = [
        layers.Dense(3, dtype="float32")(layers.Dropout(dropout)(x))
        for _ in range(paths)
    ]
    return keras.Model(pictures, logits if paths > 1 else logits[0])


# What a method needs besides a network, for 16 images of which half are labeled. A low
# threshold lets some, but not all, images of an untrained network pass.
NEEDED = {
    "AdaMatch": {},
    "FixMatch": {"threshold": 0.4},
    "FlexMatch": {"num_images": 16, "threshold": 0.4},
    "FreeMatch": {},
    "MeanTeacher": {},
    "MixMatch": {},
    "PiModel": {"labeled_share": 0.5},
    "PseudoLabel": {"threshold": 0.4},
    "SRCMT": {},
    "SSResNet": {},
    "SoftMatch": {"class_prior": (0.4, 0.4, 0.2)},
    "Supervised": {},
    "TemporalEnsembling": {"num_images": 16, "labeled_share": 1.0},
    "UDA": {"threshold": 0.4},
}


def new(name, still=False, network=None, **kwargs):
    """A method; with `still`, views are the pictures themselves."""
    method = getattr(methods, name)
    network = network or tiny(method.paths)
    arguments = inspect.signature(method).parameters
    if "unsupervised_weight" in arguments:
        kwargs.setdefault("unsupervised_weight", 0.5)
    if still:
        views = {"weak", "strong"} & set(arguments)
        kwargs |= {view: layers.Identity() for view in views}
    return method(network, **NEEDED[name] | kwargs)


def in_training(model, x):
    """What `objective` gets in training: some methods also want to know the images."""
    return (x, np.arange(len(x))) if model.needs_index else x


def without_dropout(model):
    for layer in model._flatten_layers():
        if isinstance(layer, layers.Dropout):
            layer.rate = 0
    return model
