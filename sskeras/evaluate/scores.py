"""Scores with intervals, from labels and class probabilities."""

import numpy as np

from sskeras.evaluate import bootstrap, checks

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
    checks.check_options(class_names, level, draws)
    y, predicted, weight = checks.check_rows(y_true, probabilities, class_names, weight)
    labeled = y >= 0
    units, patients = bootstrap.drawn_units(patient_id, labeled)
    y, predicted, weight = y[labeled], predicted[labeled], weight[labeled]
    size = len(class_names)
    counts = _counts_per_unit(y, predicted, weight, units, size)
    total = counts.sum(axis=0)
    resampled = _rates(bootstrap.resample(counts, draws, seed), total)
    found = {
        name: bootstrap.with_interval(value, resampled[name], level)
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
        overall.append([name, *(cell(result[score]) for score in SCORES)])
        recall.append([name, *(cell(result["recall"].get(c)) for c in classes)])
    caption = (
        f"Percent, in brackets the {'; '.join(sorted(intervals))}.\nAn interval of no "
        "width means that all draws were alike, not that the score is certain."
    )
    return "\n\n".join([caption, _pipe_table(overall), _pipe_table(recall)])


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


def cell(score):
    """A score in percent, with its interval if it has one."""
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
