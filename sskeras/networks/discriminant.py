"""A second judge for the rarest class: a linear discriminant on typical patches.

Gradients learn little from three labeled images. The discriminant learns nothing from
them but a mean; how images vary it learns from all of them, labeled or not.

Reference:
    Coates, Lee & Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature
    Learning" (2011), for the patches; Friedman, "Regularized Discriminant Analysis"
    (1989), for the shrunken covariance.
"""

import keras
import numpy as np
from keras import layers, ops
from tqdm import tqdm

PATCHES = 60_000  # From which the typical ones are learned.
IMAGES = 20_000  # From which the covariance is learned, at most.
NOISE = 10.0  # Variance of the grays, in 0-255, that is no structure.
SHRINKAGE = 0.1  # Share of the identity in the covariance of the features.


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
        images = rng.permutation(len(x))[: PATCHES // 60]
        found = np.concatenate(
            [
                ops.convert_to_numpy(self.normalized(x[part]))
                for part in np.array_split(images, 10)
            ]
        )
        found = found.reshape(-1, self.mean.shape[0])
        found = found[rng.integers(len(found), size=PATCHES)]
        mean, covariance = found.mean(0), np.cov(found.T)
        variance, axes = np.linalg.eigh(covariance)
        whitening = axes / np.sqrt(np.maximum(variance, 0) + 0.1) @ axes.T
        means = MiniBatchKMeans(
            self.patches, batch_size=4096, max_iter=30, n_init=1, random_state=seed
        )
        means.fit((found - mean) @ whitening)
        self.set_weights([mean, whitening, means.cluster_centers_])

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


@keras.saving.register_keras_serializable("sskeras")
class RareClass(layers.Layer):
    """Calls a class where two judges together say so, as often as it is.

    The network says how likely the class is and the discriminant how much an image is
    like its labeled ones. Both are measured in standard deviations over the training
    images and added; above a threshold the logit of the class exceeds the others.

    Args:
        rare: Integer, the class.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Logits of shape `(batch, num_classes)`, features `(batch, features)`.

    Returns:
        Logits of the same shape, changed for the rare class alone.
    """

    def __init__(self, rare, **kwargs):
        super().__init__(**{"dtype": "float32", "trainable": False, **kwargs})
        self.rare = rare

    def build(self, shapes):
        logits, features = shapes
        self.is_rare = np.arange(logits[-1]) == self.rare
        self.direction = self.add_weight(
            shape=(features[-1],), initializer="zeros", name="direction"
        )
        self.scale = self.add_weight(shape=(2,), initializer="ones", name="scale")
        self.threshold = self.add_weight(
            shape=(), initializer="zeros", name="threshold"
        )

    def adapt(self, logits, features, y):
        """Learns the direction, the scales and the threshold.

        Args:
            logits: Array of shape `(images, num_classes)`.
            features: Array of shape `(images, features)`.
            y: Integer labels of the images, -1 where unknown.
        """
        labeled = y == self.rare
        self.direction.assign(discriminant(features, labeled))
        judges = ops.convert_to_numpy(self.judges(logits, features))[~labeled]
        scale = judges.std(axis=0)
        self.scale.assign(scale)
        share = labeled.sum() / np.sum(y >= 0)
        self.threshold.assign(np.quantile((judges / scale).sum(axis=-1), 1 - share))

    def judges(self, logits, features):
        """Log-odds of the class and likeness to its labeled images, `(batch, 2)`."""
        others = ops.where(self.is_rare, -1e9, logits)
        odds = logits[:, self.rare] - ops.logsumexp(others, axis=-1)
        return ops.stack([odds, ops.matmul(features, self.direction)], axis=-1)

    def call(self, inputs):
        logits, features = inputs
        score = ops.sum(self.judges(logits, features) / self.scale, axis=-1)
        others = ops.max(ops.where(self.is_rare, -1e9, logits), axis=-1)
        raised = others + score - self.threshold
        return ops.where(self.is_rare, ops.expand_dims(raised, -1), logits)

    def get_config(self):
        return {**super().get_config(), "rare": self.rare}


def discriminant(features, labeled):
    """Fisher's direction from the mean of all images to that of the labeled ones.

    Args:
        features: Float array of shape `(images, features)`.
        labeled: Boolean array of shape `(images,)`.

    Returns:
        Float array of shape `(features,)`: Σ⁻¹ (mean of the labeled - mean), with the
        covariance Σ of all images, of which the identity takes the share `SHRINKAGE`
        once every feature has variance 1.
    """
    spread = features.std(axis=0) + 1e-6
    z = (features - features.mean(axis=0)) / spread
    covariance = (1 - SHRINKAGE) * (z.T @ z) / len(z)
    covariance += SHRINKAGE * np.eye(len(covariance), dtype=covariance.dtype)
    return np.linalg.solve(covariance, z[labeled].mean(axis=0)) / spread


def rarest(y):
    """The class with the fewest labels, of those that have any."""
    classes, counts = np.unique(y[y >= 0], return_counts=True)
    if not len(classes):
        raise ValueError("No image has a label, so that no class is the rarest.")
    return int(classes[np.argmin(counts)])


def with_rare_class(network, x, y, seed=0):
    """Adds a second judge for the rarest class to a trained network.

    The class with the fewest labels is called where the network and a discriminant on
    typical patches say so together, and of the training images without its label as
    many are called as its share of the labels. Unless the class is as frequent among
    the labels as among all images, this is the wrong number.

    Args:
        network: Trained functional model from pictures to logits.
        x: uint8 training pictures, an array or a `data.Shards`.
        y: Their integer labels, -1 where unknown.
        seed: Integer, of the patches and images that are drawn.

    Returns:
        A functional model from the same pictures to logits. Probabilities that follow
        from them serve the decision; they are not calibrated.

    Raises:
        ValueError: If nothing is labeled.

    Example:
    >>> judged = with_rare_class(model.network, x, y)
    >>> model = methods.Supervised(judged)
    """
    y = np.asarray(y)
    rare = rarest(y)
    dictionary, judge = PatchDictionary(name="patches"), RareClass(rare, name="rare")
    logits, *others = network.outputs
    features = dictionary(network.inputs[0])
    dictionary.adapt(x, seed)
    chosen = np.random.default_rng(seed).permutation(len(y))[:IMAGES]
    chosen = np.union1d(chosen, np.flatnonzero(y == rare))
    judged = keras.Model(network.inputs, [judge([logits, features]), *others])
    parts = keras.Model(network.inputs, [logits, features])
    batches = np.array_split(chosen, max(len(chosen) // 256, 1))
    results = [
        parts.predict_on_batch(x[rows])
        for rows in tqdm(batches, "typical patches", unit="batch")
    ]
    judge.adapt(*map(np.concatenate, zip(*results, strict=True)), y[chosen])
    return judged
