"""Temporal ensembling: a network should agree with its own answers so far.

Reference:
    Laine & Aila, "Temporal Ensembling for Semi-Supervised Learning" (2017),
    Algorithm 2.
"""

import keras
from keras import ops

from sskeras import augment, losses, schedules
from sskeras.methods import checks, memory, replicas, teacher
from sskeras.methods.base import DIVISORS, Method


@keras.saving.register_keras_serializable("sskeras")
class TemporalEnsembling(Method):
    """An image should get the answer that it got in earlier epochs, on average.

    The memory of an image moves when the image is seen, Z ← αZ + (1 - α)p, and its
    target is Z divided by its sum. That sum is 1 - α^t after t visits, so this is the
    paper's bias correction, as long as every image is seen once in an epoch, and the
    released code's sparse mode where images are skipped. An image that was never seen
    has no target yet.

    Args:
        network: A model with one output of logits. Its dropout is part of the noise.
        num_images: N, the number of training images.
        labeled_share: M/N, the share of them that is labeled, by which λ is
            multiplied: `(y >= 0).mean()`.
        class_weight: One float per class, or `None` for ones.
        unsupervised_weight: λ before that factor, a float or a schedule. `None` stands
            for the paper's 30, reached by a Gaussian ramp of 765 steps.
        momentum: α, from 0 to below 1.
        weak: Layer that draws a view; `None` stands for `augment.Weak()`.
        supervised_divisor: What the supervised loss is divided by, as in `PiModel`.

    Example:
    >>> share = (y >= 0).mean()
    >>> model = TemporalEnsembling(network, num_images=len(x), labeled_share=share)
    >>> model.compile("adam", metrics=["accuracy"])
    >>> model.fit(x, y)  # or a dataset of ((x, index), y)
    """

    paper = "Laine & Aila, 2017"
    needs = "a weak view; number of images and labeled share, which `train` finds"
    needs_index = True
    loss_names = ("supervised", "unsupervised")
    log_names = ("unsupervised_weight", "remembered", "agreement")
    peak_weight = 30.0
    ramp_up = schedules.GaussianRampUp

    def __init__(
        self,
        network,
        class_weight=None,
        *,
        num_images,
        labeled_share,
        unsupervised_weight=None,
        momentum=0.6,
        weak=None,
        supervised_divisor="batch",
        **kwargs,
    ):
        super().__init__(network, class_weight, **kwargs)
        self.num_images = checks.count("num_images", num_images)
        self.labeled_share = checks.fraction("labeled_share", labeled_share)
        self.unsupervised_weight = checks.unsupervised_weight(unsupervised_weight, self)
        self.momentum = checks.momentum("momentum", momentum)
        self.weak = checks.view("weak", weak, augment.Weak, network)
        self.supervised_divisor = checks.choice(
            "supervised_divisor", supervised_divisor, DIVISORS
        )
        shape = (num_images, self.num_classes)
        self.memory = self.add_state(shape, "zeros", name="memory")

    def objective(self, x, y, training):
        pictures, index = checks.indexed(x, training)
        view = self.weak(pictures, training=training)
        logits = self.network(view, training=training)
        probabilities = ops.softmax(ops.cast(logits, "float32"))
        seen, target = self.recall(index, probabilities)
        if training:
            self.remember(index, ops.stop_gradient(probabilities))
        divisor = self.divisor(y, self.supervised_divisor)
        supervised = losses.weighted_cross_entropy(
            y, logits, self.class_weight, divisor
        )
        size = self.divisor(y)
        unsupervised = losses.mean_squared_difference(
            probabilities, target, size, weight=seen
        )
        agreement = replicas.total(ops.sum(seen * teacher.agreement(logits, target)))
        remembered = ops.sum(seen)
        return (
            logits,
            {"supervised": supervised, "unsupervised": unsupervised},
            {
                "remembered": remembered / size,
                "agreement": ops.divide_no_nan(agreement, replicas.total(remembered)),
            },
        )

    def recall(self, index, probabilities):
        """Returns 1 for each image with a memory, else 0, and the targets."""
        if index is None:  # Pictures from elsewhere, in evaluation.
            nothing = ops.zeros_like(probabilities)
            return nothing[:, 0], nothing
        z = ops.take(self.memory, index, axis=0)
        return ops.cast(ops.any(z > 0, axis=-1), "float32"), targets(z)

    def remember(self, index, probabilities):
        """Z ← αZ + (1 - α)p."""
        z = ops.take(self.memory, index, axis=0)
        z = self.momentum * z + (1.0 - self.momentum) * probabilities
        memory.write(self.memory, index, z)

    def loss_weights(self, step):
        weight = schedules.value_at(self.unsupervised_weight, step)
        return {"unsupervised_weight": self.labeled_share * weight}


def targets(z):
    """Z divided by the sum of its row, 0 where there is no memory."""
    return ops.divide_no_nan(z, ops.sum(z, axis=-1, keepdims=True))
