"""The Π-model: two views of an image should get the same answer.

Reference:
    Laine & Aila, "Temporal Ensembling for Semi-Supervised Learning" (2017),
    Algorithm 1.
"""

import keras
from keras import ops

from sskeras import augment, losses, schedules
from sskeras.methods import checks, teacher
from sskeras.methods.base import DIVISORS, Method


@keras.saving.register_keras_serializable("sskeras")
class PiModel(Method):
    """Two views of an image should get the same answer from one network.

    Each pass has a view and dropout masks of its own. Gradients flow into both passes,
    as in the paper; other implementations stop one of them.

    Args:
        network: A model with one output of logits. Its dropout is part of the noise.
        labeled_share: M/N, the share of the training images that are labeled, by
            which λ is multiplied: `(y >= 0).mean()`.
        class_weight: One float per class, or `None` for ones.
        unsupervised_weight: λ before that factor, a float or a schedule. `None` stands
            for the paper's 100, reached by a Gaussian ramp of 765 steps.
        weak: Layer that draws a view; `None` stands for `augment.Weak()`. The paper
            adds Gaussian noise, and flips both views alike.
        supervised_divisor: What the supervised loss is divided by, as in `SSResNet`.
            With "labeled", pass a `labeled_share` of 1: the factor balances "batch".

    Example:
    >>> model = PiModel(network, labeled_share=(y >= 0).mean())
    >>> model.compile("adam", metrics=["accuracy"])
    >>> model.fit(x, y)  # y[i] == -1 where the label is unknown
    """

    paper = "Laine & Aila, 2017"
    needs = "a weak view; the share of labeled images, which `train` finds"
    loss_names = ("supervised", "unsupervised")
    log_names = ("unsupervised_weight", "agreement")
    peak_weight = 100.0
    ramp_up = schedules.GaussianRampUp

    def __init__(
        self,
        network,
        class_weight=None,
        *,
        labeled_share,
        unsupervised_weight=None,
        weak=None,
        supervised_divisor="batch",
        **kwargs,
    ):
        super().__init__(network, class_weight, **kwargs)
        self.labeled_share = checks.fraction("labeled_share", labeled_share)
        self.unsupervised_weight = checks.unsupervised_weight(unsupervised_weight, self)
        self.weak = checks.view("weak", weak, augment.Weak, network)
        self.supervised_divisor = checks.choice(
            "supervised_divisor", supervised_divisor, DIVISORS
        )

    def objective(self, x, y, training):
        a = self.network(self.weak(x, training=training), training=training)
        # Outside training there is neither a view nor dropout: one pass is both.
        b = self.network(self.weak(x, training=True), training=True) if training else a
        divisor = self.divisor(y, self.supervised_divisor)
        supervised = losses.weighted_cross_entropy(y, a, self.class_weight, divisor)
        size = self.divisor(y)
        unsupervised = losses.mean_squared_difference(
            ops.softmax(a), ops.softmax(b), size
        )
        agreement = ops.sum(teacher.agreement(a, b)) / size
        return (
            a,
            {"supervised": supervised, "unsupervised": unsupervised},
            {"agreement": agreement},
        )

    def loss_weights(self, step):
        weight = schedules.value_at(self.unsupervised_weight, step)
        return {"unsupervised_weight": self.labeled_share * weight}
