"""How TensorFlow is to run a stream."""

import tensorflow as tf


def one_thread_each(dataset):
    """Lets the steps of a stream run side by side, each on one processor.

    Otherwise every small operation wakes the threads of all, which takes longer than
    the operation.
    """
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1
    return dataset.with_options(options)


def untuned(dataset):
    """Leaves TensorFlow's tuner of threads and buffers out of a stream.

    Whoever ends a stream waits for its tuner, which sleeps for longer and longer and
    often misses the signal to wake up, seen in TensorFlow 2.21: for as long as the
    stream had lived, but a minute at most. Without it `tf.data.AUTOTUNE` stands for as
    many calls at a time as there are processors, 16 at most.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
