"""The losses of the papers, one function per equation.

Every function takes a divisor: papers and repositories differ in whether a sum over
the batch is divided by |B|, by the labeled images or by their weights, and each
choice changes the balance between the losses.
"""

import keras
from keras import ops


def is_labeled(y, dtype="float32"):
    """1 where the label is known, 0 where `y` is -1."""
    return ops.cast(ops.greater_equal(y, 0), dtype)


def label_weight(y, class_weight=None):
    """w of equation 10: the class weight of each image, 0 where it is unlabeled.

    Args:
        y: Integer tensor of shape `(batch,)`; -1 marks an unlabeled image.
        class_weight: One float per class, or `None` for ones.

    Returns:
        Float tensor of shape `(batch,)`.
    """
    weight = is_labeled(y)
    if class_weight is None:
        return weight
    per_class = ops.convert_to_tensor(class_weight, "float32")
    return weight * ops.take(per_class, ops.maximum(y, 0))


def weighted_cross_entropy(y, logits, class_weight=None, divisor=None):
    """Equation 10 and Algorithm 1, line 6: -1/|B| Σ w[y_i] log φ(z_i)[y_i].

    The sum runs over the labeled images only. The printed `log φ(z)[y_i w_i]` is read
    as the weight times the logarithm, as in equation 10.

    Args:
        y: Integer tensor of shape `(batch,)`; -1 marks an unlabeled image.
        logits: Float tensor of shape `(batch, num_classes)`.
        class_weight: One float per class, or `None` for ones.
        divisor: Scalar. `None` stands for |B|, the size of the whole batch, as the
            paper prints it: a batch with few labels gives a small loss.

    Returns:
        Scalar.

    Reference:
        Nwosu et al., "Semi-supervised Learning for COVID-19 Image Classification via
        ResNet" (2021).
    """
    weight = label_weight(y, class_weight)
    # Unlabeled rows borrow class 0, with weight 0: a label of -1 is an error on CPU
    # and not-a-number under XLA.
    cross_entropy = keras.losses.sparse_categorical_crossentropy(
        ops.maximum(y, 0), ops.cast(logits, "float32"), from_logits=True
    )
    return ops.sum(weight * cross_entropy) / _or_batch_size(divisor, y)


def mean_squared_difference(a, b, divisor=None):
    """Equation 11 and Algorithm 1, line 7: 1/(C|B|) Σ ||a_i - b_i||².

    Gradients flow to both sides.

    Args:
        a: Float tensor of shape `(batch, num_classes)`.
        b: Float tensor of the same shape.
        divisor: Scalar in place of |B|.

    Returns:
        Scalar.
    """
    difference = ops.cast(a, "float32") - ops.cast(b, "float32")
    per_image = ops.mean(ops.square(difference), axis=-1)  # (batch,)
    return ops.sum(per_image) / _or_batch_size(divisor, a)


def _or_batch_size(divisor, rows):
    if divisor is None:
        divisor = ops.shape(rows)[0]
    return ops.cast(divisor, "float32")
