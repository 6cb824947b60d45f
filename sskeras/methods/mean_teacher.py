"""Mean teacher: a network should agree with the average of its own past weights.

Reference:
    Tarvainen & Valpola, "Mean teachers are better role models" (2017).
"""

import keras
from keras import ops

from sskeras import augment, losses, schedules
from sskeras.methods import checks, teacher
from sskeras.methods.base import DIVISORS, Method

COSTS = ("mse", "kl")


@keras.saving.register_keras_serializable("sskeras")
class MeanTeacher(Method):
    """A student should answer as its teacher does, the average of its past weights.

    Student and teacher see views of their own of every image; the student's answer
    should be the teacher's. No gradient reaches the teacher. `predict`, `evaluate` and
    exports answer with the teacher.

    Args:
        network: A model with one output of logits, the student. Its dropout is part of
            the noise.
        class_weight: One float per class, or `None` for ones.
        unsupervised_weight: λ, a float or a schedule. `None` stands for 3, reached by
            a Gaussian ramp of 765 steps. The authors advise between C and C² for "mse"
            and between 1 and 10 for "kl".
        cost: What is to be small: "mse" of the probabilities, or "kl", the divergence
            of the student from the teacher.
        decay: α of the moving average, which warms up as `teacher.decay` tells. The
            default is that of the paper's residual network; with 0.999 the teacher is
            the plain mean of all students for the first thousand steps.
        batch_norm: The teacher's batch normalization: "copy" uses and copies the
            student's moving statistics, without dropout; "own", as in the released
            code, normalizes with its own batches, with dropout.
        predict_with: "teacher", or "student".
        weak: Layer that draws a view; `None` stands for `augment.Weak()`.
        supervised_divisor: What the supervised loss is divided by, as in `SSResNet`.

    Example:
    >>> model = MeanTeacher(networks.resnet((64, 64, 1), num_classes=3))
    >>> model.compile("adam", metrics=["accuracy"])
    >>> model.fit(x, y)  # y[i] == -1 where the label is unknown
    """

    paper = "Tarvainen & Valpola, 2017"
    needs = "a weak view; a second copy of the weights"
    loss_names = ("supervised", "unsupervised")
    log_names = ("unsupervised_weight", "agreement")
    peak_weight = 3.0
    ramp_up = schedules.GaussianRampUp

    def __init__(
        self,
        network,
        class_weight=None,
        unsupervised_weight=None,
        cost="mse",
        decay=0.99,
        batch_norm="copy",
        predict_with="teacher",
        weak=None,
        supervised_divisor="batch",
        **kwargs,
    ):
        super().__init__(network, class_weight, **kwargs)
        self.unsupervised_weight = checks.unsupervised_weight(unsupervised_weight, self)
        self.cost = checks.choice("cost", cost, COSTS)
        self.decay = checks.momentum("decay", decay)
        self.batch_norm = checks.choice("batch_norm", batch_norm, teacher.BATCH_NORMS)
        self.predict_with = checks.choice("predict_with", predict_with, teacher.MODELS)
        self.weak = checks.view("weak", weak, augment.Weak, network)
        self.supervised_divisor = checks.choice(
            "supervised_divisor", supervised_divisor, DIVISORS
        )
        self.teacher = teacher.copy_of(network)

    def objective(self, x, y, training):
        student = self.network(self.weak(x, training=training), training=training)
        own_batches = training and self.batch_norm == "own"
        target = ops.stop_gradient(
            self.teacher(self.weak(x, training=training), training=own_batches)
        )
        # The student learns; outside training, the model that predicts is scored.
        answer = student if training or self.predict_with == "student" else target
        divisor = self.divisor(y, self.supervised_divisor)
        supervised = losses.weighted_cross_entropy(
            y, answer, self.class_weight, divisor
        )
        size = self.divisor(y)
        unsupervised = self.consistency(student, target, size)
        agreement = ops.sum(teacher.agreement(student, target)) / size
        return (
            answer,
            {"supervised": supervised, "unsupervised": unsupervised},
            {"agreement": agreement},
        )

    def consistency(self, student, target, divisor):
        """What separates two sets of logits, over all images."""
        if self.cost == "kl":
            return losses.kl_divergence(target, student, divisor)
        return losses.mean_squared_difference(
            ops.softmax(student), ops.softmax(target), divisor
        )

    def loss_weights(self, step):
        weight = schedules.value_at(self.unsupervised_weight, step)
        return {"unsupervised_weight": weight}

    def after_update(self):
        decay = teacher.decay(self.steps, self.decay)
        teacher.follow(self.teacher, self.network, decay, self.batch_norm)

    def logits(self, x, training=False):
        model = self.teacher if self.predict_with == "teacher" else self.network
        return model(x, training=training)
