"""Methods whose network answers with given logits, to test what they learn from.

A picture holds the logits of its weak view above those of its strong view, and the
network only reads the upper row: losses are functions of given logits.
"""

import inspect

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from sskeras import methods

NEEDED = {
    "AdaMatch": {},
    "FixMatch": {"threshold": 0.7},
    "FlexMatch": {"num_images": 40},
    "FreeMatch": {},
    "MixMatch": {"seed": 5},
    "PseudoLabel": {"threshold": 0.7},
    "SoftMatch": {"class_prior": (0.5, 0.3, 0.2)},
    "UDA": {},
}
TWO_VIEWS = sorted(set(NEEDED) - {"MixMatch", "PseudoLabel"})
UNLABELED = np.full(6, -1, "int32")


class Turned(layers.Layer):
    """A view of the picture in which its rows have changed places."""

    def call(self, x, training=None):
        return ops.flip(x, axis=1) if training else x


class InTurns(Turned):
    """Draws two views in turn: the picture, and the picture turned."""

    turned = True

    def call(self, x, training=None):
        if not training:
            return x
        self.turned = not self.turned
        return super().call(x, self.turned)


def given(name, dtype="float32", **kwargs):
    """A method whose network answers with the upper row of a picture."""
    pictures = keras.Input((2, 1, 3))
    upper = layers.Cropping2D(((0, 1), (0, 0)), dtype=dtype)(pictures)
    network = keras.Model(pictures, layers.Flatten(dtype=dtype)(upper))
    method = getattr(methods, name)
    views = {"weak": layers.Identity(), "strong": Turned()}
    views = {v: views[v] for v in views if v in inspect.signature(method).parameters}
    return method(network, **NEEDED[name] | views | kwargs)


def step(model, weak, strong, y=UNLABELED, index=None, training=True):
    """Runs the objective on given logits.

    Returns losses, logs, and for each loss the gradients with respect to the logits of
    the weak and of the strong view.
    """
    x = tf.Variable(np.stack([weak, strong], 1)[:, :, None], dtype="float32")
    index = np.arange(len(y)) if index is None else index
    with tf.GradientTape(persistent=True) as tape:
        indexed = (x, index) if model.needs_index else x
        _, values, logs = model.objective(indexed, y, training)
    gradients = {
        name: tape.gradient(value, x, unconnected_gradients="zero").numpy()[:, :, 0]
        for name, value in values.items()
    }
    return (
        {name: float(value) for name, value in values.items()},
        {name: value.numpy() for name, value in logs.items()},
        {name: (both[:, 0], both[:, 1]) for name, both in gradients.items()},
    )


def softmax(z):
    exponentials = np.exp(z - np.max(z, -1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def pull(target, logits, weight=1.0):
    """The gradient of the mean weighted cross entropy."""
    weight = np.broadcast_to(weight, len(logits))[:, None]
    return weight * (softmax(logits) - target) / len(logits)


def random_logits(rows=12, seed=3, scale=2.5):
    return scale * np.random.default_rng(seed).normal(size=(2, rows, 3))
