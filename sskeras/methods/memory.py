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


def write(table, index, rows):
    """Replaces rows of a table.

    An image may be in a batch more than once, where one round of the data ends and the
    next begins; the last of its rows is kept.

    Args:
        table: What `table` returned, of shape `(num_images, ...)`.
        index: Integer tensor of shape `(batch,)`.
        rows: Tensor of shape `(batch, ...)`.
    """
    index, rows = replicas.gather(index), replicas.gather(rows)
    same = ops.equal(ops.expand_dims(index, 1), ops.expand_dims(index, 0))
    places = ops.arange(ops.shape(index)[0])
    last = ops.max(ops.where(same, places, 0), axis=1)  # (batch,)
    rows = ops.take(rows, last, axis=0)
    table.assign(ops.scatter_update(table, ops.expand_dims(index, 1), rows))
