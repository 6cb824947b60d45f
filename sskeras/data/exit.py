"""An end for streams that are still running when Python ends."""

import atexit
import gc

import tensorflow as tf


def end_streams_at_exit():
    """Ends all iterators over tf.data when Python begins to end, and not later.

    A thread of TensorFlow that calls a Python function after that never returns, and
    the iterator that waits for it would keep the process from ending: a script that
    leaves one behind, as after Ctrl-C during `fit`, would hang.
    """
    atexit.unregister(_end_streams)
    atexit.register(_end_streams)


def _end_streams():
    for found in gc.get_objects():
        if issubclass(type(found), tf.data.Iterator):
            vars(found).clear()
