"""An endless stream of batches in which every step knows its own place.

The rows of step s follow from s and the seed alone, not from what was drawn before.
A training that was interrupted goes on with the very same batches by
`batches(..., start=steps_done)`.
"""

import math

import numpy as np
import tensorflow as tf

from sskeras.data.exit import end_streams_at_exit
from sskeras.data.labels import as_labels
from sskeras.data.options import one_thread_each, untuned
from sskeras.data.sampling import drawing, list_parts
from sskeras.data.shards import Shards


def batches(
    x,
    y,
    batch_size,
    seed=0,
    labeled_per_batch=None,
    start=0,
    *,
    with_index=False,
    class_balanced=False,
    class_share=None,
    strategy=None,
):
    """Stream shuffled batches `(x, y)` without end.

    All images are drawn once, in random order, before any is drawn again, and every
    such round has an order of its own; a batch may reach from one into the next.
    Without the options that compose a batch the order does not depend on `y`.

    Args:
        x: Array or memmap `(n, height, width, channels)`, which is not copied, or
            `Shards`, whose pictures are read and decoded batch by batch.
        y: Integer labels `(n,)`, −1 = unknown.
        batch_size: Images per batch B; may exceed n.
        seed: Integer; another seed gives another order.
        labeled_per_batch: None, or the number k of labeled images that come first in
            each batch; B − k unlabeled ones follow. Both kinds then have rounds of
            their own. (The paper mixes all images: None.)
        start: First step of the stream, to resume a training.
        with_index: Whether to add the row number of each image, for methods that
            keep something for every image.
        class_balanced: Whether the k labeled images come from every class alike, in
            the order of the classes. Each class has rounds of its own; places that
            cannot be divided go to the classes with the fewest labels, and a class
            without labels gets none. Needs `labeled_per_batch`.
        class_share: None, or a dict `{class index: share}` in place of
            `labeled_per_batch`: first come max(⌊share · B⌋, 1) labeled images of each
            class named, then all other images, labeled or not. Each class and the
            others have rounds of their own. This follows COVID-Net's `covid_percent`
            (`{2: 0.3}`, B = 8), whose released code walks the others in slices of B
            and overwrites random places: it skips the images overwritten, so that
            its epoch is shorter, and fills a short last batch with zeros.
        strategy: None, or a `tf.distribute.Strategy` of which each replica reads its
            own rows of every batch and no others. Without it `fit` cuts the batches
            into shares, for which each machine reads all of them.

    Returns:
        tf.data.Dataset (with a strategy, a tf.distribute.DistributedDataset) of
        `(x, y)`: x `(B, height, width, channels)` in the dtype of `x`, y int32 `(B,)`.
        With index: `((x, index), y)`, index int32 `(B,)`. Infinite: give
        `steps_per_epoch` to `fit`.

    Raises:
        ValueError: If the shapes or numbers do not fit together.

    Example:

    >>> steps = steps_per_epoch(y, 256)
    >>> model.fit(batches(x, y, 256), steps_per_epoch=steps, epochs=50)
    >>> balanced = batches(x, y, 256, labeled_per_batch=64, class_balanced=True)

    Reference: Algorithm 1 of the paper, line 3 (minibatch B). `class_share`: Wang et
    al., "COVID-Net" (Scientific Reports, 2020) and their training script.
    """
    y = as_labels(y)
    parts = list_parts(y, batch_size, labeled_per_batch, class_balanced, class_share)
    if np.ndim(x) != 4 or len(x) != len(y):
        raise ValueError(
            "Expected x of shape (n, height, width, channels) and y of shape (n,). "
            f"Received: x {np.shape(x)}, y {y.shape}"
        )
    if start < 0:
        raise ValueError(f"start is the first step, 0 or more. Received: {start}")
    sharded = isinstance(x, Shards)
    x = x if sharded else np.asarray(x)  # of a memmap this is a view, not a copy
    drawings = [drawing(*part, seed) for part in parts]

    def stream(first=0, own=1, pieces=1):
        """Of the pieces into which each step is cut, `own` from the `first` on."""

        def draw(number):
            step, piece = divmod(number, own)
            rows = np.concatenate([rows_at(step) for rows_at in drawings])
            rows = np.array_split(rows, pieces)[first + piece]
            return x.read(rows) if sharded else x[rows], rows, y[rows]

        def batch(number):
            types = (tf.string if sharded else x.dtype, tf.int32, tf.int32)
            images, index, labels = tf.numpy_function(draw, [number], types)
            if sharded:
                images = x.decode(images)
            size = None if batch_size % pieces else batch_size // pieces
            images.set_shape((size, *x.shape[1:]))
            index.set_shape((size,))
            labels.set_shape((size,))
            return ((images, index) if with_index else images), labels

        numbers = tf.data.Dataset.counter(start * own)
        found = numbers.map(batch, tf.data.AUTOTUNE, deterministic=True)
        found = untuned(found.prefetch(2))
        return one_thread_each(found) if sharded else found

    end_streams_at_exit()
    return stream() if strategy is None else cut(stream, batch_size, strategy)


def cut(stream, batch_size, strategy):
    """A stream of which each replica of a strategy reads its piece of each step."""
    pieces = strategy.num_replicas_in_sync
    if batch_size < pieces:
        raise ValueError(
            f"batch_size must be {pieces} or more, an image for each replica. "
            f"Received: {batch_size}"
        )

    def of_one_machine(context):
        own = pieces // context.num_input_pipelines
        return stream(context.input_pipeline_id * own, own, pieces)

    return strategy.distribute_datasets_from_function(of_one_machine)


def steps_per_epoch(
    y, batch_size, labeled_per_batch=None, *, class_balanced=False, class_share=None
):
    """Count the steps after which every image was drawn: ceil(n / B).

    With `labeled_per_batch` k, every unlabeled image: ceil(n_unlabeled / (B − k)).
    With `class_share`, every other image: ceil(n_others / places left).

    Args:
        y: Integer labels `(n,)`, −1 = unknown.
        batch_size: Images per batch B.
        labeled_per_batch: As in `batches`.
        class_balanced: As in `batches`; does not change the count.
        class_share: As in `batches`.

    Raises:
        ValueError: As `batches`.
    """
    y = as_labels(y)
    parts = list_parts(y, batch_size, labeled_per_batch, class_balanced, class_share)
    _, rows, size = parts[-1]
    return math.ceil(len(rows) / size)
