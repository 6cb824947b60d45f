"""Which labels a semi-supervised experiment may see. −1 = label unknown."""

import math
import warnings

import numpy as np


def hide_labels(y, share, seed=0):
    """Keep a share of the labels of every class and hide the others.

    Of the n_c labeled images of class c, floor(share · n_c) keep their label, as in
    the paper: 5 % of 75 COVID-19 images are 3. The kept sets are nested (what is
    labeled at 5 % is labeled at 7 %) and depend on `y` and `seed` alone.

    Args:
        y: Integer labels `(n,)`; −1 stays −1 and is not counted.
        share: Share of the labels to keep, in (0, 1].
        seed: Non-negative integer; another seed keeps other images.

    Returns:
        int32 array `(n,)`, −1 where the label is unknown or hidden.

    Raises:
        ValueError: If `share` is outside (0, 1] or `y` is not a vector of integers.

    Example:

    >>> hide_labels([0, 0, 0, 0, 1, 1], share=0.5).tolist().count(-1)
    3

    Reference: section IV of the paper, 5 / 7 / 9 % labeled data.
    """
    y = as_labels(y)
    if not 0 < share <= 1:
        raise ValueError(
            "share is the part of the labels to keep, above 0 and at most 1 "
            f"(0.05 for 5 %). Received: share={share}"
        )
    kept = np.full_like(y, -1)
    for label in np.unique(y[y >= 0]):
        rows = np.flatnonzero(y == label)
        # The legacy generator, because NumPy froze its stream for all versions.
        order = np.random.RandomState([seed, label]).permutation(rows)
        # Rounded first: in floating point 0.29 · 100 is 28.999999999999996.
        count = math.floor(round(share * len(rows), 6))
        kept[order[:count]] = label
    return kept


def check_labels(y, class_names):
    """Warn about every class that has no labeled image.

    Args:
        y: Integer labels `(n,)`, −1 = unknown.
        class_names: Names of the classes, in the order of the integers.

    Raises:
        ValueError: If nothing is labeled, or a label is none of the classes.
    """
    y = as_labels(y)
    classes = len(class_names)
    wrong = np.flatnonzero((y < -1) | (y >= classes))
    if len(wrong):
        raise ValueError(
            f"{len(wrong)} label(s) lie outside the {classes} classes "
            f"{tuple(class_names)}, the first is y[{wrong[0]}] = {y[wrong[0]]}. "
            f"Labels are 0 to {classes - 1}, or -1 where unknown; "
            "encode_labels(table, classes) makes them."
        )
    counts = np.bincount(y[y >= 0], minlength=classes)
    if not counts.any():
        raise ValueError(
            f"None of the {len(y)} images has a label, so there is nothing to learn "
            "the classes from. Fill in labels or keep a larger share of them."
        )
    missing = [str(name) for name, n in zip(class_names, counts, strict=True) if not n]
    if missing:
        warnings.warn(
            f"No labeled image of {', '.join(missing)}: the model cannot learn "
            f"what is never shown. Labeled images per class: "
            f"{dict(zip(map(str, class_names), counts.tolist(), strict=True))}. "
            "Keep a larger share of the labels or add some.",
            UserWarning,
            stacklevel=2,
        )


def as_labels(y):
    """Check that `y` is a vector of integers and copy it to int32 `(n,)`."""
    y = np.asarray(y)
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise ValueError(
            "Labels must be a vector of integers with -1 for unknown. "
            f"Received: shape {y.shape}, dtype {y.dtype}"
        )
    return y.astype("int32")
