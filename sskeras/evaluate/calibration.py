"""Do probabilities mean what they say? Temperature, reliability, ECE, Brier score."""

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from sskeras.evaluate import checks

WIDEST = 20.0  # The temperature is sought between this and its inverse.


def temperature(probabilities, y, weight=None):
    """The number T to divide logits by, so that probabilities fit held-out labels best.

    One number cannot change what is called, only how surely. Above 1 the network was
    too sure, below 1 not sure enough.

    Args:
        probabilities: Floats of shape `(rows, num_classes)`.
        y: Class of each row; none may be -1.
        weight: Weight of each row, or `None` for ones.

    Returns:
        Float between 1/20 and 20.

    Example:
    >>> T = temperature(p_validation, y_validation)
    >>> p_test = calibrated(p_test, T)

    Reference:
        Guo et al., "On Calibration of Modern Neural Networks" (2017), section 4.2.
    """
    logits = _logits(probabilities)
    weight = checks.weights(weight, len(y))
    rows = np.arange(len(y))

    def loss(inverse):  # Convex in 1/T.
        return -np.sum(weight * log_softmax(inverse * logits, axis=1)[rows, y])

    found = minimize_scalar(loss, bounds=(1 / WIDEST, WIDEST), method="bounded")
    return float(1 / found.x)


def calibrated(probabilities, temperature):
    """Probabilities after their logits have been divided by a temperature."""
    return np.exp(log_softmax(_logits(probabilities) / temperature, axis=1))


def _logits(probabilities):
    return np.log(np.maximum(probabilities, np.finfo("float32").tiny))


def reliability(probabilities, y, bins=10, weight=None):
    """How often the class that is called is right, by how sure the network is.

    Args:
        probabilities: Floats of shape `(rows, num_classes)`.
        y: Class of each row; none may be -1.
        bins: Number of bins of equal width between 0 and 1.
        weight: Weight of each row, or `None` for ones.

    Returns:
        DataFrame with a row for each bin that holds something: `confidence` and
        `accuracy` (weighted means), and `share` of the weight.
    """
    probabilities = np.asarray(probabilities)
    sure = probabilities.max(axis=1)
    table = pd.DataFrame(
        {
            "bin": np.minimum((sure * bins).astype(int), bins - 1),
            "share": checks.weights(weight, len(sure)),
        }
    )
    table["confidence"] = sure * table["share"]
    table["accuracy"] = (probabilities.argmax(axis=1) == y) * table["share"]
    sums = table.groupby("bin").sum()
    sums = sums[sums["share"] > 0]
    means = sums[["confidence", "accuracy"]].div(sums["share"], axis=0)
    return means.assign(share=sums["share"] / sums["share"].sum())


def ece(probabilities, y, bins=10, weight=None):
    """Expected calibration error: mean distance of confidence and accuracy of the bins.

    It is never negative, also for a perfect network: few rows make it large by chance.

    Arguments as of `reliability`.

    Reference:
        Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning"
        (2015); Guo et al. (2017), equation 3.
    """
    table = reliability(probabilities, y, bins, weight)
    return float(
        (table["share"] * (table["confidence"] - table["accuracy"]).abs()).sum()
    )


def brier(probabilities, y, weight=None):
    """Brier score: mean squared distance to the truth, summed over classes; 0 to 2.

    Reference:
        Brier, "Verification of forecasts expressed in terms of probability" (1950).
    """
    truth = np.eye(np.shape(probabilities)[1])[y]
    distance = np.square(np.asarray(probabilities) - truth).sum(axis=1)
    return float(np.average(distance, weights=weight))
