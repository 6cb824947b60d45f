"""A second judge beside a network: linear discriminants on typical patches.

Gradients learn little from three labeled images. A discriminant learns nothing from
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
IMAGES = 20_000  # From which the covariance and the thresholds are learned.
NOISE = 10.0  # Variance of the grays, in 0-255, that is no structure.
SHRINKAGE = 0.5  # Share of the identity in the covariance of the features.


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


@keras.saving.register_keras_serializable("sskeras")
class SecondJudge(layers.Layer):
    """Adds what discriminants say to what a network says, and calls as labels do.

    For each class, the log-odds of the network and the discriminant are measured in
    standard deviations over the training images and added. A threshold for each class
    lets as many training images exceed it as the class's share. The rarest class is
    called where its threshold is exceeded; elsewhere the class that exceeds its own by
    most, so that few labels do not mean no calls.

    Args:
        rare: Integer, the rarest class.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Logits of shape `(batch, num_classes)`, features `(batch, features)`.

    Returns:
        Logits of the same shape, in standard deviations above the thresholds.
    """

    def __init__(self, rare, **kwargs):
        super().__init__(**{"dtype": "float32", "trainable": False, **kwargs})
        self.rare = rare

    def build(self, shapes):
        (_, classes), (_, features) = shapes
        self.is_rare = np.arange(classes) == self.rare
        self.directions = self.add_weight(
            shape=(features, classes), initializer="zeros", name="directions"
        )
        self.scale = self.add_weight(
            shape=(2, classes), initializer="ones", name="scale"
        )
        self.threshold = self.add_weight(
            shape=(classes,), initializer="zeros", name="threshold"
        )

    def adapt(self, logits, features, y, share):
        """Learns directions, scales and thresholds.

        Args:
            logits: Array of shape `(images, num_classes)`.
            features: Array of shape `(images, features)`.
            y: Integer labels of the images, -1 where unknown.
            share: Share of each class among all images, of shape `(num_classes,)`.
        """
        classes = np.arange(len(share))
        self.directions.assign(discriminants(features, y == classes[:, None]))
        # Labeled images of the rarest class are no measure of others: judges know them.
        others = y != self.rare
        judges = ops.convert_to_numpy(self.judges(logits, features))[:, others]
        scale = judges.std(axis=1)
        scale[scale == 0] = 1  # A judge that always says the same, as without labels.
        scores = (judges / scale[:, None]).sum(axis=0)
        levels = [np.quantile(scores[:, c], 1 - share[c]) for c in classes]
        self.scale.assign(scale)
        self.threshold.assign(levels)

    def judges(self, logits, features):
        """Log-odds of each class, and its discriminant: `(2, batch, num_classes)`."""
        others = ops.where(np.eye(logits.shape[-1]) == 1, -1e9, logits[:, None])
        odds = logits - ops.logsumexp(others, axis=-1)
        return ops.stack([odds, ops.matmul(features, self.directions)])

    def call(self, inputs):
        judges = self.judges(*inputs) / self.scale[:, None]
        above = ops.sum(judges, axis=0) - self.threshold
        common = ops.max(ops.where(self.is_rare, -1e9, above), axis=-1, keepdims=True)
        return ops.where(self.is_rare, common + above, above)

    def get_config(self):
        return {**super().get_config(), "rare": self.rare}


def discriminants(features, labeled):
    """Fisher's directions from the mean of all images to those of labeled ones.

    Args:
        features: Float array of shape `(images, features)`.
        labeled: Boolean array of shape `(num_classes, images)`: the labels.

    Returns:
        Float array of shape `(features, num_classes)`: Σ⁻¹ (mean of the labeled - mean
        of all), with the covariance Σ of all images, of which the identity takes the
        share `SHRINKAGE` once every feature has variance 1. A class without labels has
        the direction 0.
    """
    spread = features.std(axis=0) + 1e-6
    z = (features - features.mean(axis=0)) / spread
    covariance = (1 - SHRINKAGE) * (z.T @ z) / len(z)
    covariance += SHRINKAGE * np.eye(len(covariance), dtype=covariance.dtype)
    means = labeled @ z / np.maximum(labeled.sum(axis=1, keepdims=True), 1)
    return np.linalg.solve(covariance, means.T) / spread[:, None]


def rarest(y):
    """The class with the fewest labels, of those that have any."""
    classes, counts = np.unique(y[y >= 0], return_counts=True)
    if not len(classes):
        raise ValueError("No image has a label, so that no class is the rarest.")
    return int(classes[np.argmin(counts)])


def share_of_labels(y, num_classes):
    """Share of each class among the labels, of shape `(num_classes,)`."""
    counts = np.bincount(y[y >= 0], minlength=num_classes)
    return counts / counts.sum()


def drawn(y, rare, seed):
    """Rows to adapt to: at most `IMAGES` of all, of the labeled and of the rare."""
    rng = np.random.default_rng(seed)
    groups = np.arange(len(y)), np.flatnonzero(y >= 0), np.flatnonzero(y == rare)
    return np.unique(np.concatenate([rng.permutation(g)[:IMAGES] for g in groups]))


def with_second_judge(network, x, y, class_prior=None, seed=0):
    """Adds discriminants on typical patches to a trained network.

    Args:
        network: Trained functional model from pictures to logits; of two outputs, the
            first is judged.
        x: uint8 training pictures, an array or a `data.Shards`.
        y: Their integer labels, -1 where unknown.
        class_prior: Share of each class among all images; `None` stands for its share
            of the labels, which is wrong where labels were not drawn at random.
        seed: Integer, of the patches and images that are drawn.

    Returns:
        A functional model from the same pictures to logits. Their softmax serves the
        decision; it is not calibrated.

    Raises:
        ValueError: If nothing is labeled.

    Example:
    >>> judged = with_second_judge(model.network, x, y)
    >>> model = methods.Supervised(judged)
    """
    y = np.asarray(y)
    rare = rarest(y)
    logits, *others = network.outputs
    if class_prior is None:
        class_prior = share_of_labels(y, logits.shape[-1])
    pictures = network.inputs[0]
    strides = max(min(pictures.shape[1:3]) // 32, 1)  # As fine at every size.
    dictionary = PatchDictionary(strides=strides, name="patches")
    judge = SecondJudge(rare, name="judge")
    features = dictionary(pictures)
    dictionary.adapt(x, seed)
    judged = keras.Model(network.inputs, [judge([logits, features]), *others])
    parts = keras.Model(network.inputs, [logits, features])
    chosen = drawn(y, rare, seed)
    results = [
        parts.predict_on_batch(x[rows])
        for rows in tqdm(np.array_split(chosen, -(-len(chosen) // 128)), "second judge")
    ]
    found = map(np.concatenate, zip(*results, strict=True))
    judge.adapt(*found, y[chosen], class_prior)
    return judged
