"""A teacher network that follows the student as a moving average of its weights."""

import keras
from keras import ops

from sskeras.layers import set_weights

BATCH_NORMS = ("copy", "own")
MODELS = ("teacher", "student")


def copy_of(network):
    """Returns a copy of a network that no optimizer moves."""
    teacher = keras.models.clone_model(network)
    set_weights(teacher, network.get_weights())
    # Not `teacher.trainable = False`: batch normalization would then stop to use and
    # to collect the statistics of the batch.
    for weight in teacher.weights:
        weight.trainable = False
    return teacher


def decay(step, ceiling):
    """a = min(1 - 1/(s + 1), α), at first a plain mean of all students so far.

    Args:
        step: Integer scalar, s. Mean teacher counts the update just made, so that the
            first a is 1/2; SRC-MT does not, so that its first a is 0.
        ceiling: Float, α.

    Returns:
        Float scalar tensor.

    Reference:
        The released code of Tarvainen & Valpola (2017) and of Liu et al. (2020).
    """
    return ops.minimum(1.0 - 1.0 / (ops.cast(step, "float32") + 1.0), ceiling)


def average(teacher, student, decay):
    """a θ' + (1 - a) θ."""
    return decay * teacher + (1.0 - decay) * student


def follow(teacher, student, decay, batch_norm):
    """Moves the weights of the teacher towards those of the student.

    Args:
        teacher: What `copy_of(student)` returned.
        student: The network that the optimizer moves.
        decay: Float scalar, a.
        batch_norm: What becomes of moving statistics: "copy" takes the student's, "own"
            leaves the teacher those of its own batches.
    """
    for kept, moved in zip(teacher.weights, student.weights, strict=True):
        if moved.trainable:
            kept.assign(average(kept, moved, decay))
        elif batch_norm == "copy":
            kept.assign(moved)


def agreement(one, other):
    """1 for each image that two networks give the same class, else 0."""
    same = ops.equal(ops.argmax(one, axis=-1), ops.argmax(other, axis=-1))
    return ops.cast(same, "float32")
