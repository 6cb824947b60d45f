"""Percentile bootstrap of scores that follow from sums over patients.

Where patients are unknown, each row is a unit of its own.
"""

import numpy as np
import pandas as pd

AT_ONCE = 2**22  # numbers drawn at a time: 32 MiB


def drawn_units(patient_id, labeled):
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


def resample(counts, draws, seed):
    """Sums over as many units drawn with replacement: `(units, …)` to `(draws, …)`."""
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


def with_interval(value, draws, level):
    """Value and bounds, `None` where undefined; a list of these for an array.

    Args:
        value: Number, or array of shape `(num_classes,)`.
        draws: The same of every draw, `(draws,)` or `(draws, num_classes)`; NaN is
            left out.
        level: Share of the draws between the bounds.
    """
    if np.ndim(value):
        pairs = zip(value, draws.T, strict=True)
        return [with_interval(one, of_class, level) for one, of_class in pairs]
    draws = draws[~np.isnan(draws)]
    tail = (1 - level) / 2
    bounds = np.quantile(draws, (tail, 1 - tail)) if len(draws) else (None, None)
    triple = zip(("value", "low", "high"), (value, *bounds), strict=True)
    return {k: None if v is None or np.isnan(v) else float(v) for k, v in triple}
