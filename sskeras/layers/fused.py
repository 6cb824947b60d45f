"""How TensorFlow normalizes a batch in training, on one replica and on several."""

import tensorflow as tf


def replicas():
    """How many replicas share the batch at hand; 1 while a network is built."""
    replica = tf.distribute.get_replica_context()
    return replica.num_replicas_in_sync if replica else 1


def normalize(x, scale, offset, epsilon):
    """Outputs, mean and variance of a batch on one device."""
    nothing = tf.zeros((0,))
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=scale,
        offset=offset,
        mean=nothing,
        variance=nothing,
        epsilon=epsilon,
        is_training=True,
    )
    # The kernel divides by n - 1; Keras keeps the variance divided by n.
    n = tf.cast(tf.size(x) // scale.shape[0], "float32")
    return y, mean, variance * ((n - 1) / n)


def normalize_shared(x, scale, offset, epsilon):
    """Outputs, mean and variance of a batch that several replicas share.

    The gradient is that of Ioffe and Szegedy (2015), its two sums over all replicas.
    """
    n, mean, variance = shared_moments(tf.cast(x, "float32"), [0, 1, 2])
    given = {"epsilon": epsilon, "is_training": False}

    def frozen(x, scale, offset):
        y, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale, offset=offset, mean=mean, variance=variance, **given
        )
        return y

    @tf.custom_gradient
    def with_gradient(x, scale, offset):
        def gradient(dy):
            dx, dscale, doffset, *_ = tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=dy,
                x=x,
                scale=scale,
                reserve_space_1=mean,
                reserve_space_2=variance,
                reserve_space_3=tf.zeros((0,)),
                **given,
            )
            replica = tf.distribute.get_replica_context()
            sums = replica.all_reduce("SUM", tf.stack([dscale, doffset]))
            sums *= scale * tf.math.rsqrt(variance + epsilon) / n
            return dx - frozen(x, sums[0], sums[1]), dscale, doffset

        return frozen(x, scale, offset), gradient

    return with_gradient(x, scale, offset), mean, variance


def shared_moments(x, axes):
    """Count, mean and variance over all replicas, after Chan et al. (1979).

    One exchange: each replica adds its own to a place that the others leave 0.
    """
    mean, variance = tf.nn.moments(x, axes)
    n = tf.cast(tf.size(x) // tf.size(mean), x.dtype)
    own = tf.stack([tf.ones_like(mean), mean, variance])
    own = tf.math.multiply_no_nan(own, n)  # A replica may have no rows.
    replica = tf.distribute.get_replica_context()
    place = tf.one_hot(
        replica.replica_id_in_sync_group, replica.num_replicas_in_sync, dtype=x.dtype
    )
    of_all = replica.all_reduce("SUM", place[:, None, None] * own)
    counts, totals, squares = tf.unstack(of_all, axis=1)
    n = tf.reduce_sum(counts, 0)
    mean = tf.reduce_sum(totals, 0) / n
    apart = tf.math.divide_no_nan(totals, counts) - mean
    return n, mean, tf.reduce_sum(squares + counts * apart**2, 0) / n
