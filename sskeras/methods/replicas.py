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
    return _context().all_gather(rows, axis=0) if _several() else rows


def _several():
    return tf.distribute.get_strategy().num_replicas_in_sync > 1


def _context():
    return tf.distribute.get_replica_context()
