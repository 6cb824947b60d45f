"""Mean and interval over training seeds."""

import numpy as np
from scipy.special import stdtrit


def over_seeds(values, level=0.95):
    """Mean of a score over seeds, with Student's interval for that mean.

    It holds what another seed changes: labels kept, initial weights, order, dropout.
    The choice of test patients is not in it; `scores` has that.

    Args:
        values: One number per seed. For a paired difference, these are differences.
        level: Probability that the interval covers the mean.

    Returns:
        Dict of `value`, `low`, `high` and `seeds`. One seed alone has no interval:
        `low` and `high` are `None`.

    Example:
    >>> over_seeds([0.5, 0.7])["value"]
    0.6
    """
    values = np.asarray(values, "float64")
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(
            f"`values` must be one finite number per seed. Received: {values}"
        )
    found = {"value": float(values.mean()), "seeds": len(values)}
    if len(values) == 1:
        return {**found, "low": None, "high": None}
    error = values.std(ddof=1) / np.sqrt(len(values))
    reach = float(error * stdtrit(len(values) - 1, (1 + level) / 2))
    return {**found, "low": found["value"] - reach, "high": found["value"] + reach}
