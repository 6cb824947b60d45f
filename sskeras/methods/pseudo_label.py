"""Pseudo-label: confident predictions serve as labels.

Reference:
    Lee, "Pseudo-Label" (2013); with a threshold as in Sohn et al., "FixMatch" (2020).
"""

import keras
from keras import ops

from sskeras import augment, losses, schedules
from sskeras.methods import checks, pseudo
from sskeras.methods.base import DIVISORS, Method


@keras.saving.register_keras_serializable("sskeras")
class PseudoLabel(Method):
    """The likeliest class of an unlabeled image is its label, if it is likely enough.

    Args:
        network: A model with one output of logits.
        class_weight: One float per class, or `None` for ones.
        unsupervised_weight: λ, a float or a schedule. `None` stands for 1, reached by
            a linear ramp of 765 steps.
        threshold: Least probability of a pseudo-label; 0 takes all, as Lee does.
        weak: Layer that draws a view; `None` stands for `augment.Weak()`.
        supervised_divisor: What the supervised loss is divided by, as in `SSResNet`.

    Example:
    >>> model = PseudoLabel(networks.resnet((64, 64, 1), num_classes=3))
    >>> model.compile("adam", metrics=["accuracy"])
    >>> model.fit(x, y)  # y[i] == -1 where the label is unknown
    """

    paper = "Lee, 2013"
    needs = "a weak view"
    loss_names = ("supervised", "unsupervised")
    log_names = ("unsupervised_weight", "mask_rate")
    class_log_names = ("pseudo_labels",)
    ramp_up = schedules.LinearRampUp

    def __init__(
        self,
        network,
        class_weight=None,
        unsupervised_weight=None,
        threshold=0.95,
        weak=None,
        supervised_divisor="labeled",
        **kwargs,
    ):
        super().__init__(network, class_weight, **kwargs)
        self.unsupervised_weight = checks.unsupervised_weight(unsupervised_weight, self)
        self.threshold = checks.fraction("threshold", threshold)
        self.weak = checks.view("weak", weak, augment.Weak, network)
        self.supervised_divisor = checks.choice(
            "supervised_divisor", supervised_divisor, DIVISORS
        )

    def objective(self, x, y, training):
        view = self.weak(x, training=training)
        logits = ops.cast(self.network(view, training=training), "float32")
        target = pseudo.probabilities(logits)
        confident = pseudo.at_least(ops.max(target, axis=-1), self.threshold)
        mask = confident * pseudo.is_unlabeled(y)
        divisor = self.divisor(y, self.supervised_divisor)
        supervised = losses.weighted_cross_entropy(
            y, logits, self.class_weight, divisor
        )
        unsupervised = losses.cross_entropy(
            pseudo.one_hot(target), logits, mask, self.divisor(y, "unlabeled")
        )
        return (
            logits,
            {"supervised": supervised, "unsupervised": unsupervised},
            pseudo.logs(self, y, target, mask),
        )

    def loss_weights(self, step):
        weight = schedules.value_at(self.unsupervised_weight, step)
        return {"unsupervised_weight": weight}
