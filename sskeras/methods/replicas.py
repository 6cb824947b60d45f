"""Sums, means and batches over all replicas, so that a step sees the global batch.

On a single device each function returns what it is given. Gradients flow through.
"""

import tensorflow as tf


def total(value):
    """The sum over the replicas."""
    return _context().all_reduce("SUM", value) if _several() else value


def mean(value):
    """The mean over the replicas."""
    return _context().all_reduce("MEAN", value) if _several() else value


def gather(rows):
    """The rows of all replicas, one below the other."""
    # What a step is given has no device, and TensorFlow gathers to that device.
    return _context().all_gather(tf.identity(rows), axis=0) if _several() else rows


def rows(count):
    """Where the rows of this replica stand in the global batch, and its size.

    Args:
        count: Number of rows on this replica, an integer scalar.
    """
    if not _several():
        return tf.range(count), count
    counts = _context().all_gather(tf.reshape(count, [1]), axis=0)
    before = tf.reduce_sum(counts[: _context().replica_id_in_sync_group])
    return before + tf.range(count), tf.reduce_sum(counts)


def local_variable(shape, aggregation):
    """A float32 variable that each replica changes alone; "SUM" or "MEAN" when read."""
    return tf.Variable(
        tf.zeros(shape),
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation[aggregation],
    )


def on_processors():
    """Whether there is no GPU."""
    return not tf.config.list_physical_devices("GPU")


def reducible(logs):
    """Logs as `fit` can reduce them: those of several machines need an axis."""
    strategy = tf.distribute.get_strategy()
    several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and (
        strategy.extended._in_multi_worker_mode()
    )
    return tf.nest.map_structure(lambda v: v[None], logs) if several else logs


def _several():
    return tf.distribute.get_strategy().num_replicas_in_sync > 1


def _context():
    return tf.distribute.get_replica_context()
