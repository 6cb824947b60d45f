"""SoftMatch: every pseudo-label counts, the less confident ones for less.

Reference:
    Chen et al., "SoftMatch" (2023), equations 5-9.
"""

import keras
from keras import ops

from sskeras import augment, losses, schedules
from sskeras.methods import checks, pseudo
from sskeras.methods.base import DIVISORS, Method


@keras.saving.register_keras_serializable("sskeras")
class SoftMatch(Method):
    """Strong views are weighted by a Gaussian of the weak view's confidence.

    The confidence is that of aligned predictions: they are scaled so that, on average,
    they follow a prior. The paper takes all classes as equally frequent, which would
    trust most what is called COVID-19; here the prior is an argument.

    Args:
        network: A model with one output of logits.
        class_prior: Share of each class among the unlabeled images, for example
            `np.bincount(y[y >= 0]) / np.sum(y >= 0)`; the paper's is equal shares.
        class_weight: One float per class, or `None` for ones.
        unsupervised_weight: λ, a float or a schedule; `None` stands for 1.
        sigmas: Width of the Gaussian, in standard deviations of the confidence.
        momentum: Of the averages. The paper's 0.999 is for a million steps; in a few
            hundred they would hardly leave their start.
        weak: Layer that draws a view; `None` stands for `augment.Weak()`.
        strong: Layer that draws a view; `None` stands for `augment.Strong()`.
        supervised_divisor: What the supervised loss is divided by, as in `SSResNet`.

    Example:
    >>> model = SoftMatch(network, class_prior=(0.48, 0.51, 0.01))
    >>> model.compile("adam", metrics=["accuracy"])
    >>> model.fit(x, y)  # y[i] == -1 where the label is unknown
    """

    paper = "Chen et al., 2023"
    needs = "views as FixMatch; the share of each class, which `train` finds"
    loss_names = ("supervised", "unsupervised")
    log_names = ("unsupervised_weight", "mask_rate", "confidence", "variance")
    class_log_names = ("pseudo_labels",)

    def __init__(
        self,
        network,
        class_weight=None,
        *,
        class_prior,
        unsupervised_weight=None,
        sigmas=2.0,
        momentum=0.99,
        weak=None,
        strong=None,
        supervised_divisor="labeled",
        **kwargs,
    ):
        super().__init__(network, class_weight, **kwargs)
        self.class_prior = checks.class_prior(class_prior, network)
        self.unsupervised_weight = checks.unsupervised_weight(unsupervised_weight, self)
        self.sigmas = checks.positive("sigmas", sigmas)
        self.momentum = checks.momentum("momentum", momentum)
        self.weak = checks.view("weak", weak, augment.Weak, network)
        self.strong = checks.view("strong", strong, augment.Strong, network)
        self.supervised_divisor = checks.choice(
            "supervised_divisor", supervised_divisor, DIVISORS
        )
        c = self.num_classes
        self.seen = self.add_state((c,), "zeros", name="seen")
        even = keras.initializers.Constant(1.0 / c)
        self.mean = self.add_state((), even, name="mean")
        self.variance = self.add_state((), "ones", name="variance")

    def objective(self, x, y, training):
        weak, strong = pseudo.weak_and_strong(self, x, training)
        target = pseudo.probabilities(weak)
        unlabeled = pseudo.is_unlabeled(y)
        if training:
            self.adapt(target, unlabeled)
        confidence = ops.max(self.aligned(target), axis=-1)
        mask = self.truncated_gaussian(confidence) * unlabeled
        divisor = self.divisor(y, self.supervised_divisor)
        supervised = losses.weighted_cross_entropy(y, weak, self.class_weight, divisor)
        unsupervised = losses.cross_entropy(
            pseudo.one_hot(target), strong, mask, self.divisor(y, "unlabeled")
        )
        logs = {
            "confidence": ops.convert_to_tensor(self.mean),
            "variance": ops.convert_to_tensor(self.variance),
        }
        return (
            weak,
            {"supervised": supervised, "unsupervised": unsupervised},
            pseudo.logs(self, y, target, mask) | logs,
        )

    def adapt(self, target, unlabeled):
        """Moves the averages, before they set the weights of this step."""
        mean, count = pseudo.mean_of(target, unlabeled)
        first = ops.sum(self.seen) == 0  # The first batch starts the average.
        momentum = ops.where(first, 0.0, self.momentum)
        pseudo.move(self.seen, mean, momentum, count)
        confidence = ops.max(self.aligned(target), axis=-1)
        mean, count = pseudo.mean_of(confidence, unlabeled)
        squares, _ = pseudo.mean_of(ops.square(confidence - mean), unlabeled)
        unbiased = squares * count / ops.maximum(count - 1.0, 1.0)
        pseudo.move(self.mean, mean, self.momentum, count)
        pseudo.move(self.variance, unbiased, self.momentum, count)

    def aligned(self, target):
        """Predictions scaled towards the prior; as they are before the first batch."""
        prior = ops.convert_to_tensor(self.class_prior, "float32")
        aligned = pseudo.align(target, prior, self.seen)
        return ops.where(ops.sum(self.seen) > 0, aligned, target)

    def truncated_gaussian(self, confidence):
        """exp(-min(p - μ, 0)² / (2 σ²/n²)): 1 from the mean confidence upwards."""
        below = ops.minimum(confidence - self.mean, 0.0)
        width = 2.0 * self.variance / self.sigmas**2
        return ops.exp(-ops.square(below) / ops.maximum(width, 1e-12))

    def loss_weights(self, step):
        weight = schedules.value_at(self.unsupervised_weight, step)
        return {"unsupervised_weight": weight}
