"""Typical patches of pictures, as features of a second judge.

Reference:
    Coates, Lee & Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature
    Learning" (2011).
"""

import keras
import numpy as np
from keras import layers, ops

PATCHES = 60_000  # From which the typical ones are learned.
NOISE = 10.0  # Variance of the grays, in 0-255, that is no structure.


@keras.saving.register_keras_serializable("sskeras")
class PatchDictionary(layers.Layer):
    """How near each part of a picture is to each of some typical patches.

    Patches are rid of their brightness and contrast and decorrelated. A patch counts
    for the centers of k-means that are nearer to it than the mean center is, by as much
    as they are nearer. Each cell of a grid takes the mean of its patches, so that it
    matters where in the picture a patch is.

    Args:
        patches: Number of typical patches.
        size: Height and width of a patch in pixels.
        strides: Pixels from one patch to the next.
        grid: Number of cells along each side.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        pictures: Tensor of shape `(batch, height, width, channels)` in 0-255.

    Returns:
        Float32 tensor of shape `(batch, grid² · patches)`.
    """

    def __init__(self, patches=100, size=6, strides=2, grid=4, **kwargs):
        super().__init__(**{"dtype": "float32", "trainable": False, **kwargs})
        self.patches = patches
        self.size = size
        self.strides = strides
        self.grid = grid

    def build(self, shape):
        least = self.strides * self.grid
        if min(shape[1:3]) < least:
            raise ValueError(
                f"A grid of {self.grid}×{self.grid} cells needs pictures of {least} "
                f"pixels or more along each side. Received: {shape[1]}×{shape[2]}"
            )
        pixels = self.size**2 * shape[-1]
        self.mean = self.add_zeros("mean", pixels)
        self.whitening = self.add_zeros("whitening", pixels, pixels)
        self.centers = self.add_zeros("centers", self.patches, pixels)

    def add_zeros(self, name, *shape):
        """Adds a weight that `adapt` gives its value."""
        return self.add_weight(shape=shape, initializer="zeros", name=name)

    def adapt(self, x, seed=0):
        """Learns the typical patches of pictures.

        Args:
            x: uint8 pictures, an array or a `data.Shards`.
            seed: Integer, of the patches that are drawn.
        """
        from sklearn.cluster import MiniBatchKMeans

        rng = np.random.default_rng(seed)
        images = rng.permutation(len(x))[:1000]
        parts = np.array_split(images, -(-len(images) // 50))  # To save memory.
        count = PATCHES // len(parts)
        found = np.concatenate([self.drawn(x[rows], count, rng) for rows in parts])
        mean, covariance = found.mean(0), np.cov(found.T)
        variance, axes = np.linalg.eigh(covariance)
        whitening = axes / np.sqrt(np.maximum(variance, 0) + 0.1) @ axes.T
        means = MiniBatchKMeans(
            self.patches, batch_size=4096, max_iter=30, n_init=1, random_state=seed
        )
        means.fit((found - mean) @ whitening)
        self.set_weights([mean, whitening, means.cluster_centers_])

    def drawn(self, pictures, count, rng):
        """Some normalized patches of pictures, `(count, pixels)`."""
        found = ops.convert_to_numpy(self.normalized(pictures))
        found = found.reshape(-1, found.shape[-1])
        return found[rng.integers(len(found), size=count)]

    def normalized(self, pictures):
        """Patches `(batch, rows, columns, pixels)` of mean 0, of variance 1 or less."""
        pictures = ops.cast(pictures, "float32")
        pixels = self.mean.shape[0]
        take_each = ops.reshape(ops.eye(pixels), (self.size, self.size, -1, pixels))
        patches = ops.conv(pictures, take_each, self.strides, "same")
        mean, variance = ops.moments(patches, -1, keepdims=True)
        return (patches - mean) / ops.sqrt(variance + NOISE)

    def call(self, pictures):
        z = ops.matmul(self.normalized(pictures) - self.mean, self.whitening)
        squares = ops.sum(z**2, -1, keepdims=True) + ops.sum(self.centers**2, -1)
        squares = squares - 2 * ops.matmul(z, ops.transpose(self.centers))
        distance = ops.sqrt(ops.relu(squares))
        nearness = ops.relu(ops.mean(distance, -1, keepdims=True) - distance)
        _, rows, columns, _ = nearness.shape
        cells = ops.average_pool(nearness, (rows // self.grid, columns // self.grid))
        cells = cells[:, : self.grid, : self.grid]
        return ops.reshape(cells, (-1, self.grid**2 * self.patches))

    def get_config(self):
        return {
            **super().get_config(),
            "patches": self.patches,
            "size": self.size,
            "strides": self.strides,
            "grid": self.grid,
        }
