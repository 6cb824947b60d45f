"""How far probabilities can be trusted: each half judged by the other one."""

import warnings

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from sskeras.evaluate import calibration, decisions
from sskeras.evaluate.checks import check_rows


def trust(
    y_true,
    probabilities,
    class_names,
    weight=None,
    patient_id=None,
    coverage=0.9,
    specificity=0.9,
    seed=0,
):
    """Calibration, operating points and conformal sets on rows that did not set them.

    A temperature, a threshold or a set needs labels that the network was not trained
    on. The rows are cut into two halves by patient. What is fitted on one half is
    judged on the other, and the other way round, so that all rows are judged and none
    by itself.

    Args:
        y_true: Integers of shape `(rows,)`; -1 marks an unlabeled row, left out.
        probabilities: Floats of shape `(rows, num_classes)`.
        class_names: One name per class.
        weight: Evaluation weight of each row, or `None` for ones. Conformal sets do
            not use it: their promise is about rows as they come.
        patient_id: Patient of each row; where it is empty, a row stands for itself.
        coverage: Share of the sets that must hold the true class.
        specificity: Share of the films of other classes that must not be called, at
            the operating point of each class.
        seed: Integer, of the halves.

    Returns:
        Dict that `json.dump` takes as it is: `temperature` (one for each half),
        `ece` and `brier` (`before` and `after` the temperature), `reliability` (list of
        dicts, before and after), `operating_points` (for each class `threshold` of each
        half, `sensitivity` and `specificity` as they came out), `auc` (for each class
        against the others), `conformal` (`coverage` promised, `threshold` of each
        half, `found`, `by_class`, `size`: mean classes in a set, `empty`: share of sets
        without any).

    Raises:
        ValueError: As `scores`; also if a class has fewer than two patients.
    """
    y, _, weight = check_rows(y_true, probabilities, class_names, weight)
    known = (y >= 0) & (weight > 0)
    groups = _groups(patient_id, len(y))[known]
    y, weight = y[known], weight[known]
    p = np.asarray(probabilities, "float64")[known]
    halves = _halves(y, groups, class_names, seed)
    after, sets, called = (np.empty(p.shape, kind) for kind in (float, bool, bool))
    temperatures, thresholds, least = [], [], []
    for fit, judge in halves:
        t = calibration.temperature(p[fit], y[fit], weight[fit])
        after[judge] = calibration.calibrated(p[judge], t)
        temperatures.append(t)
        least.append(decisions.conformal_threshold(p[fit], y[fit], coverage))
        sets[judge] = p[judge] >= least[-1]
        found = [
            decisions.threshold_at(p[fit, c], y[fit] == c, specificity, weight[fit])
            for c in range(len(class_names))
        ]
        called[judge] = p[judge] >= found
        thresholds.append(found)
    return {
        "temperature": temperatures,
        "ece": _both(calibration.ece, p, after, y, weight),
        "brier": _both(calibration.brier, p, after, y, weight),
        "reliability": _both(_bins, p, after, y, weight),
        "auc": auc(y, p, class_names, weight),
        "operating_points": _points(called, thresholds, y, weight, class_names),
        "conformal": _conformal(sets, least, y, coverage, class_names),
    }


def auc(y, score, class_names, weight=None):
    """Area under the ROC curve of each class against the others, `None` without rows.

    Args:
        y: Class of each row; none may be -1.
        score: Floats of shape `(rows, num_classes)`.
        class_names: One name per class.
        weight: Weight of each row, or `None` for ones.
    """
    return {
        name: float(roc_auc_score(y == c, score[:, c], sample_weight=weight))
        if 0 < np.sum(y == c) < len(y)
        else None
        for c, name in enumerate(class_names)
    }


def _groups(patient_id, rows):
    """A text for each row: its patient, or its number where that is unknown."""
    alone = np.char.add("row ", np.arange(rows).astype(str)).astype(object)
    if patient_id is None:
        return alone
    ids = np.asarray(patient_id, dtype=object)
    return np.where(ids == "", alone, ids)


def _halves(y, groups, class_names, seed):
    for c, name in enumerate(class_names):
        patients = len(set(groups[y == c]))
        if 0 < patients < 2:
            raise ValueError(
                f"Two halves by patient need two patients of each class. Received: one "
                f"of {name}. Evaluate on more films, or leave this class out."
            )
    folds = StratifiedGroupKFold(2, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # A class may have few rows.
        return [*folds.split(y, y, groups)]


def _both(score, before, after, y, weight):
    return {
        "before": score(before, y, weight=weight),
        "after": score(after, y, weight=weight),
    }


def _bins(probabilities, y, weight):
    table = calibration.reliability(probabilities, y, weight=weight)
    return table.to_dict("records")


def _points(called, thresholds, y, weight, class_names):
    points = {}
    for c, name in enumerate(class_names):
        found = decisions.sensitivity_and_specificity(called[:, c], y == c, weight)
        points[name] = {
            "threshold": [_finite(half[c]) for half in thresholds],
            **dict(
                zip(("sensitivity", "specificity"), map(_finite, found), strict=True)
            ),
        }
    return points


def _conformal(sets, least, y, coverage, class_names):
    holds = sets[np.arange(len(y)), y]
    return {
        "coverage": coverage,
        "threshold": [_finite(t) for t in least],
        "found": float(holds.mean()),
        "by_class": {
            name: float(holds[y == c].mean()) if (y == c).any() else None
            for c, name in enumerate(class_names)
        },
        "size": float(sets.sum(axis=1).mean()),
        "empty": float((~sets.any(axis=1)).mean()),
    }


def _finite(value):
    return float(value) if np.isfinite(value) else None
