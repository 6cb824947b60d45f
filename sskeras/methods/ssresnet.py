"""SSResNet: learning of a semi-supervised ResNet.

Reference:
    Nwosu et al., "Semi-supervised Learning for COVID-19 Image Classification via
    ResNet" (2021), arXiv 2103.06140. Comments such as `line 6` refer to its
    Algorithm 1; line 9, the update, is `train_step` in `base.py`.
"""

import keras
from keras import ops

from sskeras import losses, schedules
from sskeras.methods import checks
from sskeras.methods.base import DIVISORS, Method

SPACES = ("logits", "probabilities")
STOPS = ("none", "supervised", "unsupervised")


@keras.saving.register_keras_serializable("sskeras")
class SSResNet(Method):
    """Two paths that share a trunk and learn to agree on every image.

    The defaults read the paper as literally as it can be read; the three last
    arguments depart from it.

    Args:
        network: A model with two outputs of logits, z_sup and z_un, such as
            `networks.two_path_resnet(...)`.
        class_weight: One float per class, w in the paper, which tries (1, 1, 2),
            (1, 1, 5) and (1, 1, 10). `None` stands for ones.
        unsupervised_weight: λ, a float or a schedule. The paper gives no value.
            `None` stands for `schedules.GaussianRampUp(1.0, 765)`: it grows during
            15 epochs of the paper's 51 steps.
        consistency_space: What the paths agree on: "logits" as in Algorithm 1, or
            "probabilities", which bounds the loss.
        supervised_divisor: What the supervised loss is divided by: "batch", |B| as in
            Algorithm 1, so that few labels give a small loss; "labeled", the number
            of labeled images; "weight", the sum of their class weights.
        stop_gradient: The path that the consistency loss does not move: "none" as in
            Algorithm 1, "supervised" or "unsupervised" (whose weights, that only this
            loss moves, then stay as they were initialized).

    Example:
    >>> network = networks.two_path_resnet((64, 64, 1), num_classes=3)
    >>> model = SSResNet(network, class_weight=(1, 1, 2))
    >>> model.compile("adam", metrics=["accuracy"])
    >>> model.fit(x, y)  # y[i] == -1 where the label is unknown
    """

    paper = "Nwosu et al., 2021"
    needs = "a network with two paths"
    paths = 2
    ramp_up = schedules.GaussianRampUp
    loss_names = ("supervised", "unsupervised")
    log_names = ("unsupervised_weight",)

    def __init__(
        self,
        network,
        class_weight=None,
        unsupervised_weight=None,
        consistency_space="logits",
        supervised_divisor="batch",
        stop_gradient="none",
        **kwargs,
    ):
        super().__init__(network, class_weight, **kwargs)
        self.unsupervised_weight = checks.unsupervised_weight(unsupervised_weight, self)
        self.consistency_space = checks.choice(
            "consistency_space", consistency_space, SPACES
        )
        self.supervised_divisor = checks.choice(
            "supervised_divisor", supervised_divisor, DIVISORS
        )
        self.stop_gradient = checks.choice("stop_gradient", stop_gradient, STOPS)

    def objective(self, x, y, training):
        z_sup, z_un = self.network(x, training=training)  # lines 3-5
        divisor = self.divisor(y, self.supervised_divisor)
        wcel = losses.weighted_cross_entropy(  # line 6
            y, z_sup, self.class_weight, divisor
        )
        a, b = self.compared(z_sup, z_un)
        msel = losses.mean_squared_difference(a, b, self.divisor(y))  # line 7
        return z_sup, {"supervised": wcel, "unsupervised": msel}

    def loss_weights(self, step):  # line 8: L = WCEL + λ · MSEL
        weight = schedules.value_at(self.unsupervised_weight, step)
        return {"unsupervised_weight": weight}

    def compared(self, z_sup, z_un):
        """What line 7 compares; the paths themselves, in the paper's reading."""
        if self.consistency_space == "probabilities":
            z_sup, z_un = ops.softmax(z_sup), ops.softmax(z_un)
        if self.stop_gradient == "supervised":
            z_sup = ops.stop_gradient(z_sup)
        if self.stop_gradient == "unsupervised":
            z_un = ops.stop_gradient(z_un)
        return z_sup, z_un
