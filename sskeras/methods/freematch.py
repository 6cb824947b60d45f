"""FreeMatch: FixMatch with thresholds that follow the model's own confidence.

Reference:
    Wang et al., "FreeMatch: Self-adaptive Thresholding" (2023), equations 5-12.
"""

import keras
from keras import ops

from sskeras import augment, losses, schedules
from sskeras.methods import checks, pseudo
from sskeras.methods.base import DIVISORS, Method


@keras.saving.register_keras_serializable("sskeras")
class FreeMatch(Method):
    """One global threshold, scaled for each class by how likely the class is held.

    The fairness loss is a negative number and should fall, see `losses.fairness`. A
    class that never wins adds 1/C log(1e-12), about -9 for three classes, to it: it is
    no measure of progress then.

    Args:
        network: A model with one output of logits.
        class_weight: One float per class, or `None` for ones.
        unsupervised_weight: λ, a float or a schedule; `None` stands for 1.
        fairness_weight: Weight of the fairness loss, a float or a schedule.
        momentum: Of the averages. The paper's 0.999 is for a million steps; in a few
            hundred they would hardly leave their start.
        weak: Layer that draws a view; `None` stands for `augment.Weak()`.
        strong: Layer that draws a view; `None` stands for `augment.Strong()`.
        supervised_divisor: What the supervised loss is divided by, as in `SSResNet`.

    Example:
    >>> model = FreeMatch(networks.resnet((64, 64, 1), num_classes=3))
    >>> model.compile("adam", metrics=["accuracy"])
    >>> model.fit(x, y)  # y[i] == -1 where the label is unknown
    """

    paper = "Wang et al., 2023"
    needs = "a weak and a strong view, twice the pictures in a step"
    loss_names = ("supervised", "unsupervised", "fairness")
    log_names = ("unsupervised_weight", "fairness_weight", "mask_rate")
    class_log_names = ("pseudo_labels", "threshold")

    def __init__(
        self,
        network,
        class_weight=None,
        unsupervised_weight=None,
        fairness_weight=0.01,
        momentum=0.99,
        weak=None,
        strong=None,
        supervised_divisor="labeled",
        **kwargs,
    ):
        super().__init__(network, class_weight, **kwargs)
        self.unsupervised_weight = checks.unsupervised_weight(unsupervised_weight, self)
        self.fairness_weight = checks.loss_weight("fairness_weight", fairness_weight)
        self.momentum = checks.momentum("momentum", momentum)
        self.weak = checks.view("weak", weak, augment.Weak, network)
        self.strong = checks.view("strong", strong, augment.Strong, network)
        self.supervised_divisor = checks.choice(
            "supervised_divisor", supervised_divisor, DIVISORS
        )
        c = self.num_classes
        even = keras.initializers.Constant(1.0 / c)
        self.confidence = self.add_state((), even, name="confidence")
        self.seen = self.add_state((c,), even, name="seen")
        self.histogram = self.add_state((c,), even, name="histogram")

    def objective(self, x, y, training):
        weak, strong = pseudo.weak_and_strong(self, x, training)
        target = pseudo.probabilities(weak)
        unlabeled = pseudo.is_unlabeled(y)
        if training:
            self.adapt(target, unlabeled)
        thresholds = self.confidence * self.seen / ops.max(self.seen)
        label = ops.argmax(target, axis=-1)
        confident = pseudo.at_least(
            ops.max(target, axis=-1), ops.take(thresholds, label)
        )
        mask = confident * unlabeled
        divisor = self.divisor(y, self.supervised_divisor)
        supervised = losses.weighted_cross_entropy(y, weak, self.class_weight, divisor)
        unsupervised = losses.cross_entropy(
            pseudo.one_hot(target), strong, mask, self.divisor(y, "unlabeled")
        )
        return (
            weak,
            {
                "supervised": supervised,
                "unsupervised": unsupervised,
                "fairness": self.fairness(strong, mask),
            },
            pseudo.logs(self, y, target, mask) | {"threshold": thresholds},
        )

    def adapt(self, target, unlabeled):
        """Moves the averages, before they set the thresholds of this step."""
        for average, value in (
            (self.confidence, ops.max(target, axis=-1)),
            (self.seen, target),
            (self.histogram, pseudo.one_hot(target)),
        ):
            mean, count = pseudo.mean_of(value, unlabeled)
            pseudo.move(average, mean, self.momentum, count)

    def fairness(self, strong, mask):
        """The fairness loss of the strong views that are learned from."""
        probabilities = ops.softmax(strong)
        mean, count = pseudo.mean_of(probabilities, mask)
        wins, _ = pseudo.mean_of(pseudo.one_hot(probabilities), mask)
        loss = losses.fairness(self.seen, self.histogram, mean, wins)
        return ops.where(count > 0, loss, 0.0)

    def loss_weights(self, step):
        return {
            "unsupervised_weight": schedules.value_at(self.unsupervised_weight, step),
            "fairness_weight": schedules.value_at(self.fairness_weight, step),
        }
