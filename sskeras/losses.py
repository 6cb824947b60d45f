"""The losses of the papers, one function per equation.

Every function takes a divisor: papers and repositories differ in whether a sum over
the batch is divided by |B|, by the labeled images or by their weights, and each
choice changes the balance between the losses.
"""

import math

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


def one_hot(y, num_classes):
    """Labels as distributions; unlabeled images borrow class 0.

    Args:
        y: Integer tensor of shape `(batch,)`.
        num_classes: C.

    Returns:
        Float tensor of shape `(batch, num_classes)`.
    """
    return ops.one_hot(ops.maximum(y, 0), num_classes, dtype="float32")


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
    # Keras's own loss fails on a label of -1, and in a graph it silently takes a
    # softmax in front of it for a mistake.
    target = one_hot(y, logits.shape[-1])
    return cross_entropy(target, logits, label_weight(y, class_weight), divisor)


def mean_squared_difference(a, b, divisor=None, weight=None):
    """Equation 11 and Algorithm 1, line 7: 1/(C|B|) Σ ||a_i - b_i||².

    Gradients flow to both sides.

    Args:
        a: Float tensor of shape `(batch, num_classes)`.
        b: Float tensor of the same shape.
        divisor: Scalar in place of |B|.
        weight: Float tensor of shape `(batch,)`, a factor for each image.

    Returns:
        Scalar.
    """
    difference = ops.cast(a, "float32") - ops.cast(b, "float32")
    per_image = ops.mean(ops.square(difference), axis=-1)  # (batch,)
    if weight is not None:
        per_image = weight * per_image
    return ops.sum(per_image) / _or_batch_size(divisor, a)


def class_weighted_difference(a, b, class_weight=None, divisor=None):
    """The consistency loss of SRC-MT: 1/|B| Σ_i Σ_c w_c (a_ic - b_ic)².

    It is summed over the classes, so that a weight of 1 here is one of C in
    `mean_squared_difference`.

    Args:
        a: Float tensor of shape `(batch, num_classes)`.
        b: Float tensor of the same shape.
        class_weight: One float per class, or `None` for ones.
        divisor: Scalar in place of |B|.

    Returns:
        Scalar.
    """
    squared = ops.square(ops.cast(a, "float32") - ops.cast(b, "float32"))
    if class_weight is not None:
        squared = squared * ops.convert_to_tensor(class_weight, "float32")
    return ops.sum(squared) / _or_batch_size(divisor, a)


def cross_entropy(target, logits, weight=None, divisor=None):
    """-1/|B| Σ_i v_i Σ_c q_ic log φ(z_i)_c, for targets that are distributions.

    With pseudo-labels, v is the mask: images it leaves out stay in the divisor.

    Args:
        target: Float tensor of shape `(batch, num_classes)`, q; one row per image that
            sums to 1, or to the image's weight.
        logits: Float tensor of the same shape, z.
        weight: Float tensor of shape `(batch,)`, v; `None` stands for ones.
        divisor: Scalar in place of |B|.

    Returns:
        Scalar.
    """
    log_probabilities = ops.log_softmax(ops.cast(logits, "float32"))
    per_image = -ops.sum(target * log_probabilities, axis=-1)  # (batch,)
    if weight is not None:
        per_image = weight * per_image
    return ops.sum(per_image) / _or_batch_size(divisor, logits)


def kl_divergence(target_logits, logits, divisor=None):
    """1/|B| Σ_i KL(φ(t_i) ‖ φ(z_i)), from the target's distribution to the other.

    Args:
        target_logits: Float tensor of shape `(batch, num_classes)`, t.
        logits: Float tensor of the same shape, z.
        divisor: Scalar in place of |B|.

    Returns:
        Scalar.
    """
    log_target = ops.log_softmax(ops.cast(target_logits, "float32"))
    log_probabilities = ops.log_softmax(ops.cast(logits, "float32"))
    difference = ops.exp(log_target) * (log_target - log_probabilities)
    return ops.sum(difference) / _or_batch_size(divisor, logits)


def relation_difference(a, b, all_a=None, all_b=None, divisor=None):
    """The relation loss of SRC-MT: 1/|B| Σ_i ||R_i(a) - R_i(b)||².

    Row i of R holds the products of image i's features with those of every image of the
    batch, divided by the length of that row. An image without any feature has a row of
    zeros, where the released code divides 0 by 0.

    Args:
        a: Float tensor of shape `(batch, ...)`, features of the images.
        b: Float tensor of the same shape, features of the same images elsewhere.
        all_a: The features to relate with, where these are more than `a`: those of
            all replicas.
        all_b: The same for `b`.
        divisor: Scalar in place of |B|.

    Returns:
        Scalar.

    Reference:
        Liu et al., "Semi-supervised Medical Image Classification with Relation-driven
        Self-ensembling Model" (2020), section III-B.
    """
    relation_a = _relations(a, a if all_a is None else all_a)
    relation_b = _relations(b, b if all_b is None else all_b)
    difference = ops.sum(ops.square(relation_a - relation_b))
    return difference / _or_batch_size(divisor, a)


def _relations(features, others):
    width = math.prod(features.shape[1:])
    features, others = (
        ops.reshape(ops.cast(f, "float32"), (-1, width)) for f in (features, others)
    )
    gram = ops.matmul(features, ops.transpose(others))
    squared_length = ops.sum(ops.square(gram), axis=-1, keepdims=True)
    # An ε under the root would leave the value at 0 but blow up the gradient.
    return gram * ops.rsqrt(ops.where(squared_length > 0, squared_length, 1.0))


def fairness(seen, histogram, strong, strong_histogram):
    """The self-adaptive fairness of FreeMatch: Σ_c a_c log b_c, a negative number.

    a is `seen / histogram` and b is `strong / strong_histogram`, both scaled to sum 1:
    predictions are divided by how often they win, so that classes that are frequent in
    the data are not punished for it. A class that never wins counts as 0. Lowering the
    loss raises the cross entropy between a and b.

    Args:
        seen: Float tensor of shape `(num_classes,)`, average probabilities so far.
        histogram: The same shape, average share of images that each class wins.
        strong: The same shape, mean probabilities of the strong views.
        strong_histogram: The same shape, share of strong views that each class wins.

    Returns:
        Scalar.

    Reference:
        Wang et al., "FreeMatch" (2023), equations 10-12.
    """
    a = _normalized(ops.divide_no_nan(seen, histogram))
    b = _normalized(ops.divide_no_nan(strong, strong_histogram))
    return ops.sum(a * ops.log(b + 1e-12))


def _normalized(values):
    return ops.divide_no_nan(values, ops.sum(values))


def _or_batch_size(divisor, rows):
    if divisor is None:
        divisor = ops.shape(rows)[0]
    return ops.cast(divisor, "float32")
