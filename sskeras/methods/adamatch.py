"""AdaMatch: FixMatch with aligned predictions and a threshold from labeled images.

Reference:
    Berthelot et al., "AdaMatch" (2022), sections 3.2 and 3.3.
"""

import keras
from keras import ops

from sskeras import augment, losses, schedules
from sskeras.methods import checks, pseudo
from sskeras.methods.base import DIVISORS, Method


@keras.saving.register_keras_serializable("sskeras")
class AdaMatch(Method):
    """Predictions follow the classes of the labeled images, and so does the threshold.

    Labeled and unlabeled images come from one collection here, so this leaves out
    what the paper has for two: the interpolation of logits and the warm-up of λ (the
    paper's threshold is 0.9). Both averages start with equal shares, so that there is
    no alignment at first. It holds where labeled images are drawn as often as their
    classes are: not with class-balanced batches.

    Args:
        network: A model with one output of logits.
        class_weight: One float per class, or `None` for ones.
        unsupervised_weight: λ, a float or a schedule; `None` stands for 1.
        threshold: τ, by which the mean confidence of the labeled images is multiplied.
        momentum: Of the averages. The paper's 0.999 is for a million steps; in a few
            hundred they would hardly leave their start.
        weak: Layer that draws a view; `None` stands for `augment.Weak()`.
        strong: Layer that draws a view; `None` stands for `augment.Strong()`.
        supervised_divisor: What the supervised loss is divided by, as in `SSResNet`.

    Example:
    >>> model = AdaMatch(networks.resnet((64, 64, 1), num_classes=3))
    >>> model.compile("adam", metrics=["accuracy"])
    >>> model.fit(x, y)  # y[i] == -1 where the label is unknown
    """

    paper = "Berthelot et al., 2022"
    needs = "a weak and a strong view, twice the pictures in a step"
    loss_names = ("supervised", "unsupervised")
    log_names = ("unsupervised_weight", "mask_rate", "threshold")
    class_log_names = ("pseudo_labels",)

    def __init__(
        self,
        network,
        class_weight=None,
        unsupervised_weight=None,
        threshold=0.95,
        momentum=0.99,
        weak=None,
        strong=None,
        supervised_divisor="labeled",
        **kwargs,
    ):
        super().__init__(network, class_weight, **kwargs)
        self.unsupervised_weight = checks.unsupervised_weight(unsupervised_weight, self)
        self.threshold = checks.fraction("threshold", threshold)
        self.momentum = checks.momentum("momentum", momentum)
        self.weak = checks.view("weak", weak, augment.Weak, network)
        self.strong = checks.view("strong", strong, augment.Strong, network)
        self.supervised_divisor = checks.choice(
            "supervised_divisor", supervised_divisor, DIVISORS
        )
        c = self.num_classes
        even = keras.initializers.Constant(1.0 / c)
        self.labeled = self.add_state((c,), even, name="labeled")
        self.seen = self.add_state((c,), even, name="seen")

    def objective(self, x, y, training):
        weak, strong = pseudo.weak_and_strong(self, x, training)
        probabilities = pseudo.probabilities(weak)
        labeled, unlabeled = losses.is_labeled(y), pseudo.is_unlabeled(y)
        if training:
            for average, rows in ((self.labeled, labeled), (self.seen, unlabeled)):
                mean, count = pseudo.mean_of(probabilities, rows)
                pseudo.move(average, mean, self.momentum, count)
        target = pseudo.align(probabilities, self.labeled, self.seen)
        threshold = self.relative_threshold(probabilities, labeled)
        confident = pseudo.at_least(ops.max(target, axis=-1), threshold)
        mask = confident * unlabeled
        divisor = self.divisor(y, self.supervised_divisor)
        supervised = losses.weighted_cross_entropy(y, weak, self.class_weight, divisor)
        unsupervised = losses.cross_entropy(
            pseudo.one_hot(target), strong, mask, self.divisor(y, "unlabeled")
        )
        return (
            weak,
            {"supervised": supervised, "unsupervised": unsupervised},
            pseudo.logs(self, y, target, mask) | {"threshold": threshold},
        )

    def relative_threshold(self, probabilities, labeled):
        """τ times the mean confidence of the labeled images, τ where there is none."""
        confidence = ops.max(probabilities, axis=-1)
        mean, count = pseudo.mean_of(confidence, labeled)
        return self.threshold * ops.where(count > 0, mean, 1.0)

    def loss_weights(self, step):
        weight = schedules.value_at(self.unsupervised_weight, step)
        return {"unsupervised_weight": weight}
