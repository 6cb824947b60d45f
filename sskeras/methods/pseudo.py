"""What FixMatch and its family share: two views, and targets from the weak one."""

from keras import ops

from sskeras import losses
from sskeras.methods import replicas


def weak_and_strong(method, x, training):
    """Returns the logits of a weak and of a strong view, from one pass of the network.

    Batch normalization sees both views at once, as in the released code of FixMatch;
    here that includes strong views of labeled images, from which nothing is learned.
    Outside training both are the pictures themselves.
    """
    if not training:
        logits = ops.cast(method.network(x, training=False), "float32")
        return logits, logits
    views = [method.weak(x, training=True), method.strong(x, training=True)]
    logits = method.network(ops.concatenate(views), training=True)
    return ops.split(ops.cast(logits, "float32"), 2)


def probabilities(logits):
    """φ(z), through which no gradient flows."""
    return ops.stop_gradient(ops.softmax(ops.cast(logits, "float32")))


def one_hot(target):
    """The likeliest class of each row, as a distribution."""
    return ops.one_hot(ops.argmax(target, axis=-1), target.shape[-1], dtype="float32")


def is_unlabeled(y):
    """1 where the label is unknown, else 0."""
    return 1.0 - losses.is_labeled(y)


def at_least(confidence, threshold):
    """1 where the confidence reaches the threshold, else 0."""
    return ops.cast(ops.greater_equal(confidence, threshold), "float32")


def logs(method, y, target, mask):
    """Share of the unlabeled images that are learned from, in all and by class."""
    taken = ops.expand_dims(mask, -1) * one_hot(target)
    count = method.divisor(y, "unlabeled")
    return {
        "mask_rate": ops.sum(mask) / count,
        "pseudo_labels": ops.sum(taken, axis=0) / count,
    }


def mean_of(values, rows):
    """Mean of the chosen rows of all replicas.

    Args:
        values: Float tensor of shape `(batch, ...)`.
        rows: Float tensor of shape `(batch,)`, 1 for the rows to take, else 0.

    Returns:
        Float tensor of shape `(...)`, 0 where no row is chosen; and the number of rows.
    """
    count = replicas.total(ops.sum(rows))
    total = replicas.total(ops.tensordot(rows, values, 1))
    return total / ops.maximum(count, 1.0), count


def move(average, value, momentum, count):
    """Moves an exponential average, unless there was nothing to average."""
    moved = momentum * average + (1.0 - momentum) * value
    average.assign(ops.where(count > 0, moved, average))


def align(probabilities, prior, seen):
    """Scales predictions by how often each class is, over how often it is predicted.

    Args:
        probabilities: Float tensor of shape `(batch, num_classes)`.
        prior: Float tensor of shape `(num_classes,)`, share of each class.
        seen: The same shape, average prediction.

    Returns:
        Float tensor of shape `(batch, num_classes)`, rows of which sum to 1.

    Reference:
        Berthelot et al., "ReMixMatch" (2020), section 3.1.
    """
    scaled = probabilities * (prior + 1e-6) / (seen + 1e-6)
    return scaled / ops.sum(scaled, axis=-1, keepdims=True)
