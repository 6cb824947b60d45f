"""Decisions other than the likeliest class: operating points and sets of classes."""

import numpy as np

from sskeras.evaluate import checks


def threshold_at(score, positive, specificity, weight=None):
    """The lowest threshold that calls at most a given share of negatives positive.

    Args:
        score: Number for each row, such as the probability of a class.
        positive: Boolean for each row: whether it is of that class.
        specificity: Share of the negatives in [0, 1] that must lie below.
        weight: Weight of each row, or `None` for ones.

    Returns:
        Float; rows of at least this score are called positive. Infinite where no
        threshold in the data reaches the specificity.

    Raises:
        ValueError: If there is no negative.
    """
    score, negative = np.asarray(score, "float64"), ~np.asarray(positive, bool)
    weight = checks.weights(weight, len(score))
    if not weight[negative].sum() > 0:
        raise ValueError("A specificity needs rows that are not of the class.")
    values, place = np.unique(score[negative], return_inverse=True)
    mass = np.bincount(place, weight[negative])
    below = np.cumsum(mass) / mass.sum()  # Specificity of what lies just above.
    if specificity <= 0:
        return -np.inf
    enough = np.flatnonzero(below >= specificity - 1e-12)
    above = score[score > values[enough[0]]]
    return float(above.min()) if len(above) else np.inf


def sensitivity_and_specificity(called, positive, weight=None):
    """Share of the positives that are called, and of the negatives that are not.

    Args:
        called: Boolean for each row.
        positive: Boolean for each row.
        weight: Weight of each row, or `None` for ones.

    Returns:
        Two floats in [0, 1]; NaN where there is nothing to count.
    """
    called, positive = np.asarray(called, bool), np.asarray(positive, bool)
    weight = checks.weights(weight, len(called))

    def share(right, among):
        total = weight[among].sum()
        return float(weight[right & among].sum() / total) if total else np.nan

    return share(called, positive), share(~called, ~positive)


def conformal_threshold(probabilities, y, coverage=0.9):
    """The probability that a class needs to be in a set that holds the truth so often.

    Split conformal prediction: of n held-out labeled rows, that whose true class has
    the ⌈(n + 1) · coverage⌉-th largest probability. Sets of other rows of the same kind
    then hold their true class at least that often on average over all, whatever the
    network; not for each class, and not for films from elsewhere.

    Args:
        probabilities: Floats of shape `(rows, num_classes)`, of rows that were not
            trained on.
        y: Class of each row; none may be -1.
        coverage: Share in (0, 1).

    Returns:
        Float: classes of at least this probability are in the set. Minus infinity,
        every class, where the rows are too few to promise more.

    Example:
    >>> least = conformal_threshold(p_validation, y_validation, 0.9)
    >>> sets = p_test >= least

    Reference:
        Sadinle, Lei & Wasserman, "Least Ambiguous Set-Valued Classifiers" (2019);
        Angelopoulos & Bates, "A Gentle Introduction to Conformal Prediction" (2021).
    """
    if not 0 < coverage < 1:
        raise ValueError(
            f"`coverage` is a share between 0 and 1, such as 0.9. Received: {coverage}"
        )
    of_truth = np.sort(np.asarray(probabilities)[np.arange(len(y)), y])[::-1]
    rank = int(np.ceil((len(y) + 1) * coverage - 1e-9))
    return float(of_truth[rank - 1]) if rank <= len(y) else -np.inf
