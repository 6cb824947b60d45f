"""UDA: a strong view should get the sharpened answer of the weak view.

Reference:
    Xie et al., "Unsupervised Data Augmentation for Consistency Training" (2020).
"""

import keras
from keras import ops

from sskeras import augment, losses, schedules
from sskeras.methods import checks, pseudo
from sskeras.methods.base import DIVISORS, Method

ANNEALINGS = ("none", "linear", "exp", "log")


@keras.saving.register_keras_serializable("sskeras")
class UDA(Method):
    """Soft targets from confident weak views, and labeled images held back.

    Args:
        network: A model with one output of logits.
        class_weight: One float per class, or `None` for ones.
        unsupervised_weight: λ, a float or a schedule; `None` stands for 1.
        temperature: By which the logits of a target are divided; below 1 sharpens.
        threshold: Least probability, before sharpening, of a target.
        annealing: Training signal annealing: a labeled image is left out of the
            supervised loss while its class is predicted with more than a threshold
            that grows from 1/C to 1 in a way that is "linear", "exp" (late) or "log"
            (early). The loss is then divided by what is kept. "none" keeps all.
        annealing_steps: Training steps until that threshold is 1.
        weak: Layer that draws a view; `None` stands for `augment.Weak()`.
        strong: Layer that draws a view; `None` stands for `augment.Strong()`.
        supervised_divisor: What the supervised loss is divided by, as in `SSResNet`.

    Example:
    >>> model = UDA(networks.resnet((64, 64, 1), num_classes=3))
    >>> model.compile("adam", metrics=["accuracy"])
    >>> model.fit(x, y)  # y[i] == -1 where the label is unknown
    """

    paper = "Xie et al., 2020"
    needs = "a weak and a strong view, twice the pictures in a step"
    loss_names = ("supervised", "unsupervised")
    log_names = ("unsupervised_weight", "mask_rate", "annealing_threshold")
    class_log_names = ("pseudo_labels",)

    def __init__(
        self,
        network,
        class_weight=None,
        unsupervised_weight=None,
        temperature=0.4,
        threshold=0.8,
        annealing="none",
        annealing_steps=765,
        weak=None,
        strong=None,
        supervised_divisor="labeled",
        **kwargs,
    ):
        super().__init__(network, class_weight, **kwargs)
        self.unsupervised_weight = checks.unsupervised_weight(unsupervised_weight, self)
        self.temperature = checks.positive("temperature", temperature)
        self.threshold = checks.fraction("threshold", threshold)
        self.annealing = checks.choice("annealing", annealing, ANNEALINGS)
        self.annealing_steps = checks.count("annealing_steps", annealing_steps)
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
        annealing = annealing_threshold(
            self.annealing, self.steps, self.annealing_steps, self.num_classes
        )
        kept = held_back(y, target, annealing) if training else y
        divisor = self.divisor(kept, self.supervised_divisor)
        supervised = losses.weighted_cross_entropy(
            kept, weak, self.class_weight, divisor
        )
        unsupervised = losses.cross_entropy(
            pseudo.probabilities(weak / self.temperature),
            strong,
            mask,
            self.divisor(y, "unlabeled"),
        )
        logs = {"annealing_threshold": annealing}
        return (
            weak,
            {"supervised": supervised, "unsupervised": unsupervised},
            pseudo.logs(self, y, target, mask) | logs,
        )

    def loss_weights(self, step):
        weight = schedules.value_at(self.unsupervised_weight, step)
        return {"unsupervised_weight": weight}


def annealing_threshold(annealing, step, steps, num_classes):
    """η (1 - 1/C) + 1/C, where η grows from 0 to 1.

    Args:
        annealing: One of `ANNEALINGS`; "none" gives 1.
        step: Scalar, training steps done so far.
        steps: Step at which the threshold is 1.
        num_classes: C.

    Returns:
        Float scalar tensor.

    Reference:
        Xie et al. (2020), section 3.2.
    """
    r = schedules.linear_ramp(step, steps)
    eta = {
        "none": ops.ones_like(r),
        "linear": r,
        "exp": ops.exp(5.0 * (r - 1.0)),
        "log": 1.0 - ops.exp(-5.0 * r),
    }[annealing]
    return eta * (1.0 - 1.0 / num_classes) + 1.0 / num_classes


def held_back(y, probabilities, threshold):
    """Labels without those of images whose class is more likely than a threshold."""
    label = losses.one_hot(y, probabilities.shape[-1])
    known = ops.sum(label * probabilities, axis=-1) > threshold
    return ops.where(known, -1, y)
