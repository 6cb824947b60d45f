"""An endless stream of batches in which every step knows its own place.

The rows of step s follow from s and the seed alone, not from what was drawn before.
A training that was interrupted goes on with the very same batches by
`batches(..., start=steps_done)`.
"""

import math

import numpy as np
import tensorflow as tf

from sskeras.data.labels import as_labels


def batches(x, y, batch_size, seed=0, labeled_per_batch=None, start=0):
    """Stream shuffled batches `(x, y)` without end.

    All images are drawn once, in random order, before any is drawn again, and every
    such round has an order of its own; a batch may reach from one into the next.
    Without `labeled_per_batch` the order does not depend on `y`.

    Args:
        x: Array or memmap `(n, height, width, channels)`; it is not copied.
        y: Integer labels `(n,)`, −1 = unknown.
        batch_size: Images per batch B; may exceed n.
        seed: Integer; another seed gives another order.
        labeled_per_batch: None, or the number k of labeled images that come first in
            each batch; B − k unlabeled ones follow. Both kinds then have rounds of
            their own. (The paper mixes all images: None.)
        start: First step of the stream, to resume a training.

    Returns:
        tf.data.Dataset of `(x, y)`: x `(B, height, width, channels)` in the dtype of
        `x`, y int32 `(B,)`. Infinite: give `steps_per_epoch` to `fit`.

    Raises:
        ValueError: If the shapes or numbers do not fit together.

    Example:

    >>> steps = steps_per_epoch(y, 256)
    >>> model.fit(batches(x, y, 256), steps_per_epoch=steps, epochs=50)

    Reference: Algorithm 1 of the paper, line 3 (minibatch B).
    """
    y = as_labels(y)
    parts = _parts(y, batch_size, labeled_per_batch)
    if np.ndim(x) != 4 or len(x) != len(y):
        raise ValueError(
            "Expected x of shape (n, height, width, channels) and y of shape (n,). "
            f"Received: x {np.shape(x)}, y {y.shape}"
        )
    if start < 0:
        raise ValueError(f"start is the first step, 0 or more. Received: {start}")
    x = np.asarray(x)  # of a memmap this is a view, not a copy

    def batch(step):
        drawn = [_draw(step, *part, seed) for part in parts]
        images, labels = tf.numpy_function(
            lambda rows: (x[rows], y[rows]),
            [tf.concat(drawn, axis=0)],
            (x.dtype, tf.int32),
            stateful=False,
        )
        images.set_shape((batch_size, *x.shape[1:]))
        labels.set_shape((batch_size,))
        return images, labels

    steps = tf.data.Dataset.counter(start)
    stream = steps.map(batch, tf.data.AUTOTUNE, deterministic=True)
    return stream.prefetch(tf.data.AUTOTUNE)


def steps_per_epoch(y, batch_size, labeled_per_batch=None):
    """Count the steps after which every image was drawn: ceil(n / B).

    With `labeled_per_batch` k, every unlabeled image: ceil(n_unlabeled / (B − k)).

    Args:
        y: Integer labels `(n,)`, −1 = unknown.
        batch_size: Images per batch B.
        labeled_per_batch: As in `batches`.

    Raises:
        ValueError: As `batches`.
    """
    _, rows, size = _parts(as_labels(y), batch_size, labeled_per_batch)[-1]
    return math.ceil(len(rows) / size)


def _parts(y, batch_size, labeled_per_batch):
    """List what a batch consists of: `(name, rows to draw from, how many)`."""
    if len(y) == 0 or batch_size < 1:
        raise ValueError(
            "Expected at least one image and a batch_size of 1 or more. Received: "
            f"{len(y)} images, batch_size={batch_size}"
        )
    if labeled_per_batch is None:
        return [("all", np.arange(len(y)), batch_size)]
    if not 1 <= labeled_per_batch < batch_size:
        raise ValueError(
            "labeled_per_batch must be at least 1 and below batch_size. Received: "
            f"labeled_per_batch={labeled_per_batch}, batch_size={batch_size}"
        )
    labeled, unlabeled = np.flatnonzero(y >= 0), np.flatnonzero(y < 0)
    if len(labeled) == 0 or len(unlabeled) == 0:
        raise ValueError(
            "labeled_per_batch needs labeled and unlabeled images. Received: "
            f"{len(labeled)} labeled, {len(unlabeled)} unlabeled. "
            "Drop the option: labeled_per_batch=None."
        )
    return [
        ("labeled", labeled, labeled_per_batch),
        ("unlabeled", unlabeled, batch_size - labeled_per_batch),
    ]


def _draw(step, name, rows, size, seed):
    """Draw the rows at positions step · size … of one endless shuffled sequence."""
    position = step * size + tf.range(size, dtype=tf.int64)
    epoch, index = position // len(rows), position % len(rows)
    # The op wants seeds without pattern and more than its 4 default rounds: with
    # (seed, epoch, 0) it leaves short sequences nearly in order, and the number of
    # labeled images per batch varies 1.6 times as much as in a fair shuffle.
    key = tf.strings.join([f"{seed} {name} ", tf.strings.as_string(epoch)])
    seeds = [tf.strings.to_hash_bucket_fast(key + c, 2**62) for c in "abc"]
    shuffled = tf.raw_ops.RandomIndexShuffle(
        index=index, seed=tf.stack(seeds, 1), max_index=len(rows) - 1, rounds=8
    )
    return tf.gather(rows, shuffled)  # int64 (size,)
