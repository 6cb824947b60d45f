"""Linear discriminants that judge beside a network.

Reference:
    Friedman, "Regularized Discriminant Analysis" (1989), for the shrunken covariance.
"""

import keras
import numpy as np
from keras import layers, ops

SHRINKAGE = 0.5  # Share of the identity in the covariance of the features.


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
