"""A row of memory for each training image, the same on every replica."""

from keras import ops

from sskeras.methods import replicas


def write(table, index, rows, confidence=None):
    """Replaces rows of a table.

    An image may be in a batch more than once, as where one round of the data ends and
    the next begins; one of its rows is kept.

    Args:
        table: Variable of shape `(num_images, ...)`.
        index: Integer tensor of shape `(batch,)`.
        rows: Tensor of shape `(batch, ...)`.
        confidence: Float tensor of shape `(batch,)`. Of the rows of an image the most
            confident is kept; `None` stands for the last.
    """
    if confidence is None:
        confidence = ops.arange(ops.shape(index)[0], dtype="float32")
    index, rows, confidence = map(replicas.gather, (index, rows, confidence))
    same = ops.equal(ops.expand_dims(index, 1), ops.expand_dims(index, 0))
    kept = ops.argmax(ops.where(same, confidence, -1.0), axis=1)  # (batch,)
    rows = ops.take(rows, kept, axis=0)
    table.assign(ops.scatter_update(table, ops.expand_dims(index, 1), rows))
