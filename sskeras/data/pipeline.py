"""An endless stream of batches in which every step knows its own place.

The rows of step s follow from s and the seed alone, not from what was drawn before.
A training that was interrupted goes on with the very same batches by
`batches(..., start=steps_done)`.
"""

import functools
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

    def draw(step):
        rows = np.concatenate([_draw(step, *part, seed) for part in parts])
        return x[rows], y[rows]

    def batch(step):
        images, labels = tf.numpy_function(draw, [step], (x.dtype, tf.int32))
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
    position = np.arange(step * size, (step + 1) * size)
    rounds = position // len(rows)
    drawn = np.empty(size, np.int64)
    for number in np.unique(rounds):
        here = rounds == number
        order = _order(len(rows), name, seed, int(number))
        drawn[here] = rows[order[position[here] % len(rows)]]
    return drawn


@functools.lru_cache(maxsize=8)  # The rounds that batches in preparation touch.
def _order(n, name, seed, number):
    """Shuffle n rows for one round; RandomState's stream is the same for ever."""
    key = np.frombuffer(f"{seed} {name} {number}".encode(), np.uint8)
    return np.random.RandomState(key).permutation(n)
