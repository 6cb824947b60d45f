"""FixMatch: what is confident on a weak view is the label of a strong view.

Reference:
    Sohn et al., "FixMatch" (2020), equations 3 and 4.
"""

import keras
from keras import ops

from sskeras import augment, losses, schedules
from sskeras.methods import checks, pseudo
from sskeras.methods.base import DIVISORS, Method


@keras.saving.register_keras_serializable("sskeras")
class FixMatch(Method):
    """The weak view of an unlabeled image labels its strong view, if it is confident.

    Args:
        network: A model with one output of logits.
        class_weight: One float per class, or `None` for ones.
        unsupervised_weight: λ, a float or a schedule; `None` stands for 1.
        threshold: τ, the least probability of a pseudo-label.
        weak: Layer that draws a view; `None` stands for `augment.Weak()`.
        strong: Layer that draws a view; `None` stands for `augment.Strong()`.
        supervised_divisor: What the supervised loss is divided by, as in `SSResNet`.

    Example:
    >>> model = FixMatch(networks.resnet((64, 64, 1), num_classes=3))
    >>> model.compile("adam", metrics=["accuracy"])
    >>> model.fit(x, y)  # y[i] == -1 where the label is unknown
    """

    paper = "Sohn et al., 2020"
    needs = "a weak and a strong view, twice the pictures in a step"
    loss_names = ("supervised", "unsupervised")
    log_names = ("unsupervised_weight", "mask_rate")
    class_log_names = ("pseudo_labels",)

    def __init__(
        self,
        network,
        class_weight=None,
        unsupervised_weight=None,
        threshold=0.95,
        weak=None,
        strong=None,
        supervised_divisor="labeled",
        **kwargs,
    ):
        super().__init__(network, class_weight, **kwargs)
        self.unsupervised_weight = checks.unsupervised_weight(unsupervised_weight, self)
        self.threshold = checks.fraction("threshold", threshold)
        self.weak = checks.view("weak", weak, augment.Weak, network)
        self.strong = checks.view("strong", strong, augment.Strong, network)
        self.supervised_divisor = checks.choice(
            "supervised_divisor", supervised_divisor, DIVISORS
        )

    def objective(self, x, y, training):
        weak, strong = pseudo.weak_and_strong(self, x, training)
        target = pseudo.probabilities(weak)
        confident = pseudo.at_least(ops.max(target, axis=-1), self.threshold)
        mask = confident * pseudo.is_unlabeled(y)
        divisor = self.divisor(y, self.supervised_divisor)
        supervised = losses.weighted_cross_entropy(y, weak, self.class_weight, divisor)
        unsupervised = losses.cross_entropy(
            pseudo.one_hot(target), strong, mask, self.divisor(y, "unlabeled")
        )
        return (
            weak,
            {"supervised": supervised, "unsupervised": unsupervised},
            pseudo.logs(self, y, target, mask),
        )

    def loss_weights(self, step):
        weight = schedules.value_at(self.unsupervised_weight, step)
        return {"unsupervised_weight": weight}
