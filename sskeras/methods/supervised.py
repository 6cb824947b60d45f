"""Supervised learning, plain or class-weighted: Table III's ResNets."""

import keras

from sskeras import losses
from sskeras.methods import checks
from sskeras.methods.base import DIVISORS, Method


@keras.saving.register_keras_serializable("sskeras")
class Supervised(Method):
    """Cross entropy on the labeled images; the unlabeled ones are not learned from.

    It sees the same batches as every other method, so that two methods differ in
    nothing but their losses: unlabeled images pass through the network and count in
    its batch normalization.

    Args:
        network: A model with one output of logits, such as `networks.resnet(...)`.
        class_weight: One float per class, or `None` for the plain ResNet.
        supervised_divisor: As in `SSResNet`, so that λ = 0 there is this method to the
            bit. "labeled" gives the usual mean over the labeled images.
        weak: Layer that draws a view to learn from, such as `augment.Weak()`, for a
            fair comparison with methods that have one; `None` stands for the picture.

    Example:
    >>> model = Supervised(networks.resnet((64, 64, 1), num_classes=3))
    >>> model.compile("adam", metrics=["accuracy"])
    >>> model.fit(x, y)  # y[i] == -1 where the label is unknown
    """

    paper = "He et al., 2016"
    needs = "nothing more"

    def __init__(
        self,
        network,
        class_weight=None,
        supervised_divisor="batch",
        weak=None,
        **kwargs,
    ):
        super().__init__(network, class_weight, **kwargs)
        self.supervised_divisor = checks.choice(
            "supervised_divisor", supervised_divisor, DIVISORS
        )
        self.weak = checks.view("weak", weak, keras.layers.Identity, network)

    def objective(self, x, y, training):
        view = self.weak(x, training=training)
        logits = self.network(view, training=training)
        divisor = self.divisor(y, self.supervised_divisor)
        loss = losses.weighted_cross_entropy(y, logits, self.class_weight, divisor)
        return logits, {"supervised": loss}
