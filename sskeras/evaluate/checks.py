"""Refuse what `evaluate.scores` cannot take, and say why."""

import numpy as np


def check_options(class_names, level, draws):
    if len(set(class_names)) < max(2, len(class_names)):
        raise ValueError(
            "`class_names` must be at least two names, all different. "
            f"Received: {list(class_names)}"
        )
    if not 0 < level < 1:
        raise ValueError(
            f"`level` is a share between 0 and 1, such as 0.95. Received: level={level}"
        )
    if draws < 1:
        raise ValueError(f"`draws` must be at least 1. Received: draws={draws}")


def weights(weight, rows):
    """Weights of the rows; ones for `None`."""
    return np.ones(rows) if weight is None else np.asarray(weight, "float64")


def check_rows(y_true, probabilities, class_names, weight):
    """Returns labels, predictions and weights as arrays of one length."""
    y, probabilities = np.asarray(y_true), np.asarray(probabilities, "float64")
    weight = weights(weight, len(y))
    expected = (len(y), len(class_names))
    if y.ndim != 1 or probabilities.shape != expected or weight.shape != y.shape:
        raise ValueError(
            "Expected labels of shape (rows,), probabilities of shape (rows, "
            f"{len(class_names)}) and weights of shape (rows,). Received: "
            f"{y.shape}, {probabilities.shape} and {weight.shape}"
        )
    _refuse(
        "a label that is none of the classes",
        f"-1 (unlabeled) or a class number below {len(class_names)}",
        ~np.isin(y, range(-1, len(class_names))),
        y,
    )
    _refuse(
        "a probability that is not finite",
        "finite numbers; did the training diverge?",
        ~np.isfinite(probabilities).all(axis=1),
        probabilities,
    )
    _refuse(
        "a weight that is negative or not finite",
        "0 or more",
        ~(np.isfinite(weight) & (weight >= 0)),
        weight,
    )
    if not weight[y >= 0].sum() > 0:
        raise ValueError(
            f"Nothing to evaluate: none of the {len(y)} rows has both a label (-1 "
            "stands for unknown) and a weight above 0. Evaluate on labeled rows, such "
            "as the `test` split of a manifest."
        )
    return y.astype("int64"), probabilities.argmax(axis=1), weight


def _refuse(what, expected, wrong, values):
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{int(wrong.sum())} of {len(wrong)} rows have {what}. Expected: "
            f"{expected}. Received in row {row} (counted from 0): {values[row]}"
        )
