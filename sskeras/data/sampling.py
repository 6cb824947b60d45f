"""What a batch consists of, and which rows a step draws.

A batch consists of parts `(name, rows, size)`: `size` of its places go to the images
`rows`, in rounds that a seed, the name and the number of the round put in order. A name
that changes changes the order of everyone's batches.
"""

import functools
import math

import numpy as np


def list_parts(y, batch_size, labeled_per_batch, class_balanced, class_share):
    """List the parts of a batch in their order; an epoch is a pass over the last.

    Args:
        y: int32 labels `(n,)`, −1 = unknown. The other arguments are explained in
            `sskeras.data.batches`.

    Returns:
        List of `(name, rows, size)`; the sizes sum to `batch_size`.

    Raises:
        ValueError: If the numbers do not fit together or to `y`.
    """
    if len(y) == 0 or batch_size < 1:
        raise ValueError(
            "Expected at least one image and a batch_size of 1 or more. Received: "
            f"{len(y)} images, batch_size={batch_size}"
        )
    if class_share is not None:
        if labeled_per_batch is not None or class_balanced:
            raise ValueError(
                "class_share composes the whole batch. Drop it, or drop the others. "
                f"Received: class_share={class_share}, labeled_per_batch="
                f"{labeled_per_batch}, class_balanced={class_balanced}"
            )
        return _shares_and_others(y, batch_size, class_share)
    if labeled_per_batch is not None:
        return _labeled_and_unlabeled(y, batch_size, labeled_per_batch, class_balanced)
    if class_balanced:
        raise ValueError(
            "class_balanced divides the labeled images of a batch over the classes, "
            "so it needs their number. Received: labeled_per_batch=None. "
            "Give labeled_per_batch, one or more for each class."
        )
    return [("all", np.arange(len(y)), batch_size)]


def _labeled_and_unlabeled(y, batch_size, labeled_per_batch, class_balanced):
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
            "Drop the option: labeled_per_batch=None, class_balanced=False."
        )
    if class_balanced:
        first = _equal_classes(y, labeled_per_batch)
    else:
        first = [("labeled", labeled, labeled_per_batch)]
    return [*first, ("unlabeled", unlabeled, batch_size - labeled_per_batch)]


def _equal_classes(y, places):
    """Divide places over the classes with labels, what is left to the rarest."""
    labels, counts = np.unique(y[y >= 0], return_counts=True)
    if places < len(labels):
        raise ValueError(
            "class_balanced needs a place for each class with labels. Received: "
            f"labeled_per_batch={places}, {len(labels)} classes with labels. "
            f"Give labeled_per_batch={len(labels)} or more."
        )
    each, left = divmod(places, len(labels))
    sizes = np.full(len(labels), each)
    sizes[np.argsort(counts, kind="stable")[:left]] += 1
    pairs = zip(labels.tolist(), sizes.tolist(), strict=True)
    return [_class_part(y, label, size) for label, size in pairs]


def _shares_and_others(y, batch_size, class_share):
    """Give each named class its share of the places and all other images the rest."""
    labels = np.unique(y[y >= 0]).tolist()
    if not isinstance(class_share, dict) or not class_share:
        raise ValueError(
            "class_share is a dict {class index: share of the batch}, such as "
            f"{{2: 0.3}}. Received: {class_share!r}"
        )
    for label, share in class_share.items():
        if label not in labels:
            raise ValueError(
                f"No labeled image of class {label!r}, which class_share names. "
                f"Classes (integers) with labels: {labels}. Name one of these."
            )
        if not 0 < share < 1:
            raise ValueError(
                "A share is a part of the batch, above 0 and below 1 (0.3 for 30 %). "
                f"Received: {share} for class {label}"
            )
    parts = [
        # Rounded first: in floating point 0.29 · 100 is 28.999999999999996.
        _class_part(y, label, max(math.floor(round(share * batch_size, 6)), 1))
        for label, share in sorted(class_share.items())
    ]
    others = np.flatnonzero(~np.isin(y, [*class_share]))
    left = batch_size - sum(size for *_, size in parts)
    if left < 1 or len(others) == 0:
        raise ValueError(
            "class_share must leave places and images for a rest. Received: "
            f"class_share={class_share}, batch_size={batch_size}, which leaves {left} "
            f"places for {len(others)} other images. "
            "Name fewer classes, take smaller shares or a larger batch_size."
        )
    return [*parts, ("others", others, left)]


def _class_part(y, label, size):
    return f"class {label}", np.flatnonzero(y == label), size


def drawing(name, rows, size, seed):
    """Return a function from the number of a step to the rows that a part draws.

    It draws the positions step · size … (step + 1) · size − 1 of an endless sequence
    in which each round holds all rows once, in an order of its own.
    """

    @functools.lru_cache(maxsize=8)  # The rounds that batches in preparation touch.
    def order(number):
        key = np.frombuffer(f"{seed} {name} {number}".encode(), np.uint8)
        # The legacy generator, because NumPy froze its stream for all versions.
        return rows[np.random.RandomState(key).permutation(len(rows))]

    def draw(step):
        position = np.arange(step * size, (step + 1) * size)
        rounds, place = np.divmod(position, len(rows))
        drawn = np.empty(size, np.int32)
        for number in np.unique(rounds):
            here = rounds == number
            drawn[here] = order(int(number))[place[here]]
        return drawn

    return draw
