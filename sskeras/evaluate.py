"""Scores with intervals, from labels and class probabilities."""

import numpy as np
import pandas as pd

AT_ONCE = 2**22  # numbers drawn at a time: 32 MiB
SCORES = {
    "accuracy": "Accuracy",
    "macro_precision": "MacroP",
    "macro_recall": "MacroR",
    "macro_f": "MacroF",
}


def scores(
    y_true,
    probabilities,
    class_names,
    weight=None,
    patient_id=None,
    level=0.95,
    draws=2000,
    seed=0,
):
    """Accuracy, the macro scores of equations 13-19, and their intervals.

    The intervals are percentile bootstrap intervals. Whole patients are drawn where
    `patient_id` tells them apart: films of one patient resemble each other, and an
    interval over films would be too narrow. The intervals speak of the choice of test
    patients alone; how far another training seed moves a score is not in them. Nor can
    the bootstrap see what never happened: the interval of a recall of exactly 0 or 1
    has no width. With n patients of the class, the truth is then within 3/n (95 %).

    Args:
        y_true: Integers of shape `(rows,)`; -1 marks an unlabeled row, which is left
            out and counted under `"unlabeled"`.
        probabilities: Floats of shape `(rows, num_classes)`; the largest one is the
            prediction.
        class_names: One name per class.
        weight: Evaluation weight of each row, or `None` for ones.
        patient_id: Patient of each row; a row whose entry is empty is a patient of
            its own. Rows are drawn if this is `None`, empty, or the same for all.
        level: Share of the bootstrap draws that lies inside the interval.
        draws: Number of bootstrap draws.
        seed: Integer.

    Returns:
        Dictionary that `json.dump` takes as it is. `accuracy`, `macro_precision`,
        `macro_recall` and `macro_f` are `{"value", "low", "high"}`; `recall` and
        `precision` hold one of these per class. `confusion_matrix` is a list of lists
        of weighted counts, rows = truth. `rows` and `patients` are the numbers
        evaluated (`patients` is `None` where rows were drawn), and `interval` says how
        the intervals were made.

        What is undefined is `None`, never NaN. The precision of a class that is never
        predicted is 0. The recall of a class without rows is undefined, and 0 in the
        macro scores. A draw that misses a class says nothing about it: it is left out
        of the intervals of that class and of the macro scores, and counted in
        `interval["incomplete_draws"]`. One row alone has no interval.

    Raises:
        ValueError: If shapes disagree, a probability is not finite, a weight is
            negative, a label is none of the classes, or nothing is labeled.

    Example:
        >>> result = scores([0, 1, 1], [[.9, .1], [.8, .2], [.3, .7]], ["no", "yes"])
        >>> result["recall"]["yes"]["value"]
        0.5
    """
    _check_options(class_names, level, draws)
    y, predicted, weight = _check_rows(y_true, probabilities, class_names, weight)
    labeled = y >= 0
    units, patients = _units(patient_id, labeled)
    y, predicted, weight = y[labeled], predicted[labeled], weight[labeled]
    size = len(class_names)
    counts = _counts_per_unit(y, predicted, weight, units, size)
    total = counts.sum(axis=0)
    resampled = _rates(_bootstrap(counts, draws, seed), total)
    found = {
        name: _with_interval(value, resampled[name], level)
        for name, value in _rates(total, total).items()
    }
    matrix = np.bincount(y * size + predicted, weight, size * size)
    return {
        "rows": len(y),
        "unlabeled": int(np.sum(~labeled)),
        "patients": patients,
        **{name: found[name] for name in SCORES},
        "recall": dict(zip(class_names, found["recall"], strict=True)),
        "precision": dict(zip(class_names, found["precision"], strict=True)),
        "confusion_matrix": matrix.reshape(size, size).tolist(),
        "interval": {
            "level": level,
            "method": "percentile bootstrap over "
            + ("rows" if patients is None else "patients"),
            "draws": draws,
            "seed": seed,
            "incomplete_draws": int(np.isnan(resampled["macro_recall"]).sum()),
        },
    }


def table(results):
    """Several results of `scores`, one row per run, in percent with intervals.

    Args:
        results: Dictionary from the name of a run to its result.

    Returns:
        String: two Markdown tables, the macro scores and the recall of each class,
        that also read well as plain text.

    Example:
        >>> print(table({"Supervised": first, "SSResNet": second}))
    """
    if not results:
        raise ValueError("`table` needs at least one result of `scores`. Received: {}")
    intervals = {
        f"{100 * r['interval']['level']:g} % interval, {r['interval']['method']}"
        for r in results.values()
    }
    classes = list(dict.fromkeys(c for r in results.values() for c in r["recall"]))
    overall = [["Run", *SCORES.values()]]
    recall = [["Recall", *classes]]
    for name, result in results.items():
        overall.append([name, *(_cell(result[score]) for score in SCORES)])
        recall.append([name, *(_cell(result["recall"].get(c)) for c in classes)])
    caption = (
        f"Percent, in brackets the {'; '.join(sorted(intervals))}.\nAn interval of no "
        "width means that all draws were alike, not that the score is certain."
    )
    return "\n\n".join([caption, _pipe_table(overall), _pipe_table(recall)])


def _check_options(class_names, level, draws):
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


def _check_rows(y_true, probabilities, class_names, weight):
    """Returns labels, predictions and weights as arrays of one length."""
    y, probabilities = np.asarray(y_true), np.asarray(probabilities, "float64")
    weight = np.ones(len(y)) if weight is None else np.asarray(weight, "float64")
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


def _units(patient_id, labeled):
    """Returns what is drawn (a number per labeled row) and how many patients."""
    rows = np.arange(np.sum(labeled))
    if patient_id is None:
        return rows, None
    ids = pd.Series(np.asarray(patient_id, dtype="object"))
    if len(ids) != len(labeled):
        raise ValueError(
            "`patient_id` needs one entry per row. "
            f"Received: {len(ids)} entries for {len(labeled)} rows"
        )
    codes, known = pd.factorize(ids.where(ids != "")[labeled])
    if len(known) == 0:
        return rows, None
    units = np.where(codes < 0, len(known) + rows, codes)
    distinct, units = np.unique(units, return_inverse=True)
    return (units, len(distinct)) if len(distinct) > 1 else (rows, None)


def _counts_per_unit(y, predicted, weight, units, size):
    """Weighted hits, images and predictions per class: `(units, 3, size)`.

    Every score is a function of their sums.
    """
    number = units.max() + 1

    def count(classes, weight):
        cells = np.bincount(units * size + classes, weight, number * size)
        return cells.reshape(number, size)

    hits = count(y, weight * (y == predicted))
    return np.stack([hits, count(y, weight), count(predicted, weight)], axis=1)


def _bootstrap(counts, draws, seed):
    """Sums of `counts` over as many units drawn with replacement: `(draws, 3, C)`."""
    number = len(counts)
    if number < 2:
        return np.empty((0, *counts.shape[1:]))
    # Units with equal counts are interchangeable: draw how often each kind occurs.
    kinds, frequency = np.unique(counts, axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    sums = []
    for start in range(0, draws, step := max(1, AT_ONCE // len(kinds))):
        chunk = min(step, draws - start)
        times = rng.multinomial(number, frequency / number, size=chunk)
        sums.append(times.astype("float64") @ kinds.reshape(len(kinds), -1))
    return np.concatenate(sums).reshape(draws, *counts.shape[1:])


def _rates(counts, total):
    """Scores of counts `(..., 3, C)`, NaN where a class of `total` is missing."""
    hits, truth, predicted = np.moveaxis(counts, -2, 0)
    missing = np.where((truth == 0) & (total[1] > 0), np.nan, 0.0)
    precision = _divide(hits, predicted) + missing
    recall = _divide(hits, truth) + missing
    f = _divide(2 * hits, truth + predicted) + missing
    return {
        "accuracy": _divide(hits.sum(axis=-1), truth.sum(axis=-1)),
        "macro_precision": precision.mean(axis=-1),
        "macro_recall": recall.mean(axis=-1),
        "macro_f": f.mean(axis=-1),
        "precision": precision,
        "recall": np.where(truth > 0, recall, np.nan),
    }


def _divide(numerator, denominator):
    """Zero where the denominator is."""
    out = np.zeros(np.shape(numerator))
    return np.divide(numerator, denominator, out=out, where=denominator > 0)


def _with_interval(value, draws, level):
    if np.ndim(value):
        pairs = zip(value, draws.T, strict=True)
        return [_with_interval(one, of_class, level) for one, of_class in pairs]
    draws = draws[~np.isnan(draws)]
    tail = (1 - level) / 2
    bounds = np.quantile(draws, (tail, 1 - tail)) if len(draws) else (None, None)
    triple = zip(("value", "low", "high"), (value, *bounds), strict=True)
    return {k: None if v is None or np.isnan(v) else float(v) for k, v in triple}


def _cell(score):
    if score is None or score["value"] is None:
        return "–"
    value = f"{100 * score['value']:.1f}"
    if score["low"] is None:
        return value
    return f"{value} ({100 * score['low']:.1f}–{100 * score['high']:.1f})"


def _pipe_table(rows):
    rows = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    lines = (
        [cell.ljust(w) for cell, w in zip(row, widths, strict=True)] for row in rows
    )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
