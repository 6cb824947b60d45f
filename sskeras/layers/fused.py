"""How TensorFlow normalizes a batch in training, on one replica and on several."""

import tensorflow as tf


def replicas():
    """How many replicas share a batch."""
    return tf.distribute.get_strategy().num_replicas_in_sync


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
            sums = replica.all_reduce("SUM", tf.stack([dscale, doffset])) / n
            inverse = tf.math.rsqrt(variance + epsilon)
            normal = (tf.cast(x, "float32") - mean) * inverse
            shared = scale * inverse * (normal * sums[0] + sums[1])
            return dx - tf.cast(shared, dx.dtype), dscale, doffset

        y, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale, offset=offset, mean=mean, variance=variance, **given
        )
        return y, gradient

    return with_gradient(x, scale, offset), mean, variance


def shared_moments(x, axes):
    """Count, mean and variance over all replicas, after Chan et al. (1979).

    One exchange: each replica adds its own to a place that the others leave 0.
    """
    mean, variance = tf.nn.moments(x, axes)
    n = tf.cast(tf.size(x) // tf.size(mean), x.dtype)
    replica = tf.distribute.get_replica_context()
    if replica is None:  # While a network is built within a strategy.
        return n, mean, variance
    place = tf.one_hot(
        replica.replica_id_in_sync_group, replica.num_replicas_in_sync, dtype=x.dtype
    )
    own = tf.stack([tf.fill(tf.shape(mean), n), mean, variance])
    all_of_them = replica.all_reduce("SUM", place[:, None, None] * own)
    counts, means, variances = tf.unstack(all_of_them, axis=1)
    n = tf.reduce_sum(counts, 0)
    mean = tf.reduce_sum(counts * means, 0) / n
    variance = tf.reduce_sum(counts * (variances + (means - mean) ** 2), 0) / n
    return n, mean, variance
