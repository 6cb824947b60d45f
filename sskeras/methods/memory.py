"""A row of memory for each training image, the same on every replica."""

from keras import ops

from sskeras.methods import replicas


def table(method, shape, initializer, dtype="float32"):
    """Adds a table to a method, with one row per training image; it is saved with it.

    Args:
        method: The method that keeps the table.
        shape: Its shape, `(num_images, ...)`.
        initializer: What it holds at first.
        dtype: Its type.
    """
    return method.add_weight(
        shape=shape,
        dtype=dtype,
        initializer=initializer,
        trainable=False,
        aggregation="only_first_replica",
        name="memory",
    )


def write(table, index, rows, confidence=None):
    """Replaces rows of a table.

    An image may be in a batch more than once, as where one round of the data ends and
    the next begins; one of its rows is kept.

    Args:
        table: What `table` returned, of shape `(num_images, ...)`.
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
