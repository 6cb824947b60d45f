"""Weak and strong views of chest films, as layers that draw anew at every call.

Only changes that leave a film a film: never upside down, no inverted grays, no
posterized or equalized ones, and no mirrored heart unless asked for.
"""

import math
import numbers

import keras
from keras import ops


@keras.saving.register_keras_serializable("sskeras")
class Weak(keras.layers.Layer):
    """A small rotation and translation of each picture, black outside.

    Without `training=True` the layer only casts. In `tf.data.Dataset.map`, batch
    before it; with `num_parallel_calls` the draws are not repeatable.

    Args:
        rotation: Largest angle in degrees, to either side.
        translation: Largest shift, a share of the height and of the width.
        flip: Whether half of the pictures are mirrored left to right. A mirrored film
            shows the heart on the wrong side.
        seed: Integer. `None` draws one, repeatable with
            `keras.utils.set_random_seed`. Replicas draw differently from one seed.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        pictures: Tensor of shape `(batch, height, width, channels)` in 0-255.
        training: Whether to draw a view.

    Returns:
        Float32 tensor of the same shape, in 0-255.

    Example:
    >>> view = Weak(seed=0)(pictures, training=True)
    """

    def __init__(self, rotation=10, translation=0.05, flip=False, seed=None, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.rotation = _number("rotation", rotation, 180)
        self.translation = _number("translation", translation, 1)
        self.flip = bool(flip)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, pictures, training=None):
        pictures = ops.cast(pictures, "float32")
        if not training:
            return pictures
        angle, down, right, mirror = _draw(pictures, 4, self.seed_generator)
        return _move(
            pictures,
            angle=_spread(angle, self.rotation),
            down=_spread(down, self.translation),
            right=_spread(right, self.translation),
            mirrored=mirror < self.flip / 2,
        )

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "rotation": self.rotation,
            "translation": self.translation,
            "flip": self.flip,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable("sskeras")
class Strong(keras.layers.Layer):
    """RandAugment with operations that suit chest films, then cutout.

    For each picture, `operations` of identity, brightness, contrast, rotation,
    translation and zoom are drawn with replacement. Those drawn are applied once, with
    uniform magnitudes. Cutout then sets one square, which may reach over the border,
    to the mean of the picture. `training`, the pictures and the view are as in `Weak`.

    Args:
        operations: How many operations are drawn.
        rotation: Largest angle in degrees, to either side.
        translation: Largest shift, a share of the height and of the width.
        zoom: Largest change of the scale, 0.15 for factors in 0.85-1.15.
        brightness: Largest change of the factor on all grays.
        contrast: Largest change of the factor on differences from the mean.
        cutout: Largest side of the square, a share of the shorter side; 0 for none.
        flip: Whether half of the pictures are mirrored left to right. A mirrored film
            shows the heart on the wrong side.
        seed: Integer. `None` draws one, repeatable with
            `keras.utils.set_random_seed`. Replicas draw differently from one seed.
        **kwargs: Arguments of `keras.layers.Layer`.

    Example:
    >>> view = Strong(seed=0)(pictures, training=True)

    Reference:
        Cubuk et al., "RandAugment" (2020); DeVries & Taylor, "Improved Regularization
        of Convolutional Neural Networks with Cutout" (2017).
    """

    def __init__(
        self,
        operations=5,
        rotation=10,
        translation=0.1,
        zoom=0.15,
        brightness=0.1,
        contrast=0.1,
        cutout=0.5,
        flip=False,
        seed=None,
        **kwargs,
    ):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.operations = _count("operations", operations)
        self.rotation = _number("rotation", rotation, 180)
        self.translation = _number("translation", translation, 1)
        self.zoom = _number("zoom", zoom, 1)
        self.brightness = _number("brightness", brightness, 1)
        self.contrast = _number("contrast", contrast, 1)
        self.cutout = _number("cutout", cutout, 1)
        self.flip = bool(flip)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, pictures, training=None):
        pictures = ops.cast(pictures, "float32")
        if not training:
            return pictures
        draws = _draw(pictures, self.operations + 10, self.seed_generator)
        brighter, contrast, turned, moved, zoomed = _drawn(draws[: self.operations])
        gain, stretch, angle, down, right, scale, mirror, *square = draws[-10:]
        mean = ops.mean(pictures, axis=(1, 2, 3), keepdims=True)
        view = mean + (pictures - mean) * (
            1 + contrast * _spread(stretch, self.contrast)
        )
        view = _move(
            view * (1 + brighter * _spread(gain, self.brightness)),
            angle=turned * _spread(angle, self.rotation),
            down=moved * _spread(down, self.translation),
            right=moved * _spread(right, self.translation),
            zoom=1 + zoomed * _spread(scale, self.zoom),
            mirrored=mirror < self.flip / 2,
        )
        return ops.where(_square(view, *square, self.cutout), mean, view)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "operations": self.operations,
            "rotation": self.rotation,
            "translation": self.translation,
            "zoom": self.zoom,
            "brightness": self.brightness,
            "contrast": self.contrast,
            "cutout": self.cutout,
            "flip": self.flip,
            "seed": self.seed,
        }


def _draw(pictures, count, seed_generator):
    """`count` tensors of shape `(batch, 1, 1, 1)`, uniform in [0, 1).

    A seed generator stands at the same place on all replicas: each draws the numbers
    of all of them and keeps its own.
    """
    batch = ops.shape(pictures)[0]
    replicas, own = _replicas()
    table = keras.random.uniform(
        (batch, replicas, count), dtype="float32", seed=seed_generator
    )
    table = ops.reshape(ops.take(table, own, axis=1), (batch, 1, 1, 1, count))
    return ops.unstack(table, count, axis=-1)


def _replicas():
    """The number of replicas, and which of them this one is."""
    if keras.backend.backend() != "tensorflow":
        return 1, 0
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None:  # A model built under a strategy's scope.
        return 1, 0
    return context.num_replicas_in_sync, context.replica_id_in_sync_group


def _spread(draw, limit):
    """Uniform within ±limit, never -limit itself: a zoom by 0 has no inverse."""
    return (1 - 2 * draw) * limit


def _drawn(draws):
    """1 or 0 for each of the operations but identity: drawn at least once or not."""
    choice = ops.floor(ops.concatenate(draws, axis=-1) * 6)  # (batch, 1, 1, draws)
    return [
        ops.cast(ops.any(choice == number, axis=-1, keepdims=True), "float32")
        for number in range(1, 6)
    ]


def _grid(pictures):
    """Row and column numbers of the pixels, relative to the center."""
    _, height, width, _ = ops.shape(pictures)
    height, width = ops.cast(height, "float32"), ops.cast(width, "float32")
    y = ops.arange(height, dtype="float32") - (height - 1) / 2
    x = ops.arange(width, dtype="float32") - (width - 1) / 2
    return ops.reshape(y, (1, -1, 1, 1)), ops.reshape(x, (1, 1, -1, 1)), height, width


def _move(pictures, angle=0.0, zoom=1.0, down=0.0, right=0.0, mirrored=False):
    """Mirrors, scales and rotates pictures about their center, then shifts them.

    Args:
        pictures: Float tensor of shape `(batch, height, width, channels)`.
        angle: Degrees counterclockwise; this and what follows are one number, or a
            tensor of shape `(batch, 1, 1, 1)`.
        zoom: Factor, above 1 to enlarge.
        down: Share of the height.
        right: Share of the width.
        mirrored: Whether left and right change places.

    Returns:
        Float tensor of the same shape, clipped to 0-255.
    """
    y, x, height, width = _grid(pictures)
    y, x = y - down * height, x - right * width
    angle = ops.multiply(angle, math.pi / 180)
    cosine, sine = ops.cos(angle) / zoom, ops.sin(angle) / zoom
    source_y = sine * x + cosine * y + (height - 1) / 2
    source_x = cosine * x - sine * y
    source_x = ops.where(mirrored, -source_x, source_x) + (width - 1) / 2
    return ops.clip(_sample(pictures, source_y, source_x), 0, 255)


def _sample(pictures, y, x):
    """Bilinear interpolation at pixel positions `(batch, height, width, 1)`.

    Outside is 0. `ops.image.affine_transform` is not compiled by XLA, and
    `ops.image.map_coordinates` without it takes 15 times as long as this.
    """
    batch, height, width, channels = ops.shape(pictures)
    # On a GPU, TensorFlow adds int64 there but int32 on the host.
    rows, columns = ops.cast(height, "int64") + 2, ops.cast(width, "int64") + 2
    y = ops.clip(y, -1, ops.cast(height, "float32")) + 1  # A border of zeros follows.
    x = ops.clip(x, -1, ops.cast(width, "float32")) + 1
    padded = ops.pad(pictures, ((0, 0), (1, 2), (1, 2), (0, 0)))
    upper, lower = padded[:, :-1], padded[:, 1:]
    corners = [upper[:, :, :-1], upper[:, :, 1:], lower[:, :, :-1], lower[:, :, 1:]]
    # Stacked, then turned: joined pixel by pixel they take twice as long.
    corners = ops.reshape(ops.stack(corners), (4, -1, channels))
    corners = ops.reshape(ops.transpose(corners, (1, 0, 2)), (-1, 4 * channels))
    row, column = (ops.cast(ops.floor(v[..., 0]), "int64") for v in (y, x))
    first = ops.reshape(ops.arange(batch, dtype="int64"), (-1, 1, 1)) * rows
    found = ops.take(corners, (first + row) * columns + column, axis=0)
    a, b, c, d = ops.split(found, 4, axis=-1)
    y, x = y - ops.floor(y), x - ops.floor(x)
    top, bottom = a + (b - a) * x, c + (d - c) * x
    return top + (bottom - top) * y


def _square(pictures, side, row, column, largest):
    """True within a square whose center may lie anywhere in the picture."""
    y, x, height, width = _grid(pictures)
    half = side * (largest / 2) * ops.minimum(height, width)
    inside_y = ops.abs(y - (row - 0.5) * height) < half
    inside_x = ops.abs(x - (column - 0.5) * width) < half
    return ops.logical_and(inside_y, inside_x)


def _number(name, value, largest):
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (number and 0 <= value <= largest):
        raise ValueError(
            f"`{name}` must be a number from 0 to {largest}. Received: {value!r}"
        )
    return float(value)


def _count(name, value):
    number = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not (number and value >= 1):
        raise ValueError(f"`{name}` must be an integer from 1. Received: {value!r}")
    return int(value)
