"""SRC-MT: mean teacher whose images should also be related in the same way.

Reference:
    Liu et al., "Semi-supervised Medical Image Classification with Relation-driven
    Self-ensembling Model" (2020).
"""

import keras
from keras import ops

from sskeras import augment, losses, schedules
from sskeras.methods import checks, replicas, teacher
from sskeras.methods.base import DIVISORS, Method

# What the paper says, and what its released code does.
PRESETS = {
    "as_described": {
        "double_softmax": False,
        "gated": False,
        "weighted_consistency": False,
        "batch_norm": "copy",
        "predict_with": "teacher",
    },
    "as_released": {
        "double_softmax": True,  # Probabilities go where logits belong.
        "gated": True,  # λ stays 0 up to epoch 20, and jumps to 0.638 in epoch 21 ...
        "weighted_consistency": True,
        "batch_norm": "own",
        "predict_with": "student",  # The teacher is never evaluated.
    },
}
GATE = 21 / 30  # ... of a ramp of 30 epochs.


@keras.saving.register_keras_serializable("sskeras")
class SRCMT(Method):
    """A mean teacher that also keeps the relations between the images of a batch.

    The relation of two images is the product of their features, which are what enters
    the last layer of the network, after its dropout.

    Args:
        network: A model that ends in a dense layer of logits; the paper's is
            `networks.backbone("DenseNet121", weights="imagenet")`.
        class_weight: One float per class, or `None` for ones.
        unsupervised_weight: λ, a float or a schedule. `None` stands for 1, reached by
            a Gaussian ramp of 765 steps.
        relation_weight: β; λβ is the weight of the relation loss.
        decay: α of the teacher's moving average.
        preset: "as_described", the method of the paper, or "as_released", what its
            code does: a softmax is applied to probabilities before the cross entropy,
            which then cannot fall below 0.55 for three classes; a Gaussian ramp of λ
            is 0 for the first 70 % of its steps; class weights also enter the
            consistency loss; the teacher normalizes with its own batches; the student
            predicts.
        weak: Layer that draws a view; `None` stands for `augment.Weak()`.
        supervised_divisor: What the supervised loss is divided by, as in `SSResNet`.

    Example:
    >>> model = SRCMT(networks.resnet((64, 64, 1), num_classes=3))
    >>> model.compile("adam", metrics=["accuracy"])
    >>> model.fit(x, y)  # y[i] == -1 where the label is unknown
    """

    paper = "Liu et al., 2020"
    needs = "a network that ends in a dense layer; a weak view; a copy of the weights"
    loss_names = ("supervised", "unsupervised", "relation")
    log_names = ("unsupervised_weight", "relation_weight", "agreement")
    ramp_up = schedules.GaussianRampUp

    def __init__(
        self,
        network,
        class_weight=None,
        unsupervised_weight=None,
        relation_weight=1.0,
        decay=0.99,
        preset="as_described",
        weak=None,
        supervised_divisor="weight",
        **kwargs,
    ):
        super().__init__(network, class_weight, **kwargs)
        self.preset = checks.choice("preset", preset, tuple(PRESETS))
        self.options = PRESETS[preset]
        weight = checks.unsupervised_weight(unsupervised_weight, self)
        self.unsupervised_weight = gated(weight) if self.options["gated"] else weight
        self.relation_weight = checks.loss_weight("relation_weight", relation_weight)
        self.decay = checks.momentum("decay", decay)
        self.weak = checks.view("weak", weak, augment.Weak, network)
        self.supervised_divisor = checks.choice(
            "supervised_divisor", supervised_divisor, DIVISORS
        )
        self.teacher = teacher.copy_of(network)
        self.student_features = with_features(network)
        self.teacher_features = with_features(self.teacher)

    def objective(self, x, y, training):
        student, features = self.student_features(
            self.weak(x, training=training), training=training
        )
        own_batches = training and self.options["batch_norm"] == "own"
        target, target_features = map(
            ops.stop_gradient,
            self.teacher_features(
                self.weak(x, training=training), training=own_batches
            ),
        )
        size = self.divisor(y)
        relation = losses.relation_difference(
            features,
            target_features,
            replicas.gather(features),
            replicas.gather(target_features),
            size,
        )
        # The student learns; outside training, the model that predicts is scored.
        by_student = training or self.options["predict_with"] == "student"
        answer = student if by_student else target
        agreement = ops.sum(teacher.agreement(student, target)) / size
        return (
            answer,
            {
                "supervised": self.supervised(y, answer),
                "unsupervised": self.consistency(student, target, size),
                "relation": relation,
            },
            {"agreement": agreement},
        )

    def supervised(self, y, logits):
        """Cross entropy of the labeled images."""
        if self.options["double_softmax"]:
            logits = ops.softmax(logits)
        divisor = self.divisor(y, self.supervised_divisor)
        return losses.weighted_cross_entropy(y, logits, self.class_weight, divisor)

    def consistency(self, student, target, size):
        """Squared difference of the probabilities, over all images."""
        weighted = self.options["weighted_consistency"]
        return losses.class_weighted_difference(
            ops.softmax(student),
            ops.softmax(target),
            self.class_weight if weighted else None,
            size,
        )

    def loss_weights(self, step):
        weight = schedules.value_at(self.unsupervised_weight, step)
        beta = schedules.value_at(self.relation_weight, step)
        return {"unsupervised_weight": weight, "relation_weight": weight * beta}

    def after_update(self):
        decay = teacher.decay(self.steps - 1, self.decay)
        teacher.follow(self.teacher, self.network, decay, self.options["batch_norm"])

    def logits(self, x, training=False):
        student = self.options["predict_with"] == "student"
        return (self.network if student else self.teacher)(x, training=training)


def gated(weight):
    """A Gaussian ramp without its beginning; any other weight as it is."""
    if not isinstance(weight, schedules.GaussianRampUp):
        return weight
    start = round(GATE * weight.steps)
    return schedules.GaussianRampUp(weight.peak, weight.steps, max(start, 1))


def with_features(network):
    """The same network with two outputs: the logits, and what its last layer gets."""
    last = network.layers[-1]
    if not isinstance(last, keras.layers.Dense) or len(last.input.shape) != 2:
        raise ValueError(
            "SRCMT relates the features that enter the last layer, which must be a "
            "dense one; use a network such as `networks.resnet(...)` or "
            f"`networks.backbone(...)`. Received: '{network.name}', which ends in "
            f"'{last.name}'"
        )
    return keras.Model(network.input, [network.output, last.input])
