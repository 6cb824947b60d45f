"""Who goes to train, val and test, and whose label is kept: exact and repeatable.

The counts are the paper's: `floor(0.7 n)` films of every class are for training, and
`floor(0.05 n)` of these keep their label. Only the seed and the names of the groups
decide, by their SHA-256: no version of Python and no other class does.

Reference:
    Nwosu et al., "Semi-supervised Learning for COVID-19 Image Classification via
    ResNet", Table I and section IV.
"""

import math
from collections import Counter, defaultdict

from data_tools import quotas, text


def assign(labels, groups, seed=0, train=0.7, validation=0.0):
    """Assigns whole groups to train, val and test.

    Of the n films of a class, `n - floor(train · n)` are for testing; of the others,
    `floor(validation · m)` are for validation, so that the test set is the same
    whatever the validation. Films without label count as a class of their own.

    Args:
        labels: List of class names, `""` = unknown.
        groups: List of names, one for each film: what must stay together.
        seed: Integer; another seed gives another split.
        train: Share of each class that is not for testing, in (0, 1].
        validation: Share of that which is for validation, in [0, 1).

    Returns:
        List of `"train"`, `"val"` or `"test"`, and list of the misses: dicts of
        `label`, `split`, `expected` and `received`, where no choice of whole groups
        was found that meets a count.

    Raises:
        ValueError: If a share is out of range or a name is missing.

    Example:
    >>> assign(["a"] * 10, [f"patient {i // 2}" for i in range(10)])[0].count(
    ...     "train"
    ... )
    6
    """
    if not (0 < train <= 1 and 0 <= validation < 1):
        raise ValueError(
            "train is a share in (0, 1] of all films and validation a share in [0, 1) "
            f"of these. Received: train={train}, validation={validation}"
        )
    sizes = defaultdict(Counter)
    for label, group in zip(labels, groups, strict=True):
        if not group:
            raise ValueError("A film has no group. groups.of(rows) names one for each.")
        sizes[group][label] += 1
    where, misses, left = dict.fromkeys(sizes, "train"), [], dict(sizes)
    rules = {
        "test": lambda n: n - floor(train, n),
        "val": lambda n: floor(validation, n),
    }
    for split, rule in rules.items():
        wanted = {label: rule(n) for label, n in total(left.values()).items()}
        chosen = quotas.choose(left, wanted, f"{seed}:{split}")
        where |= dict.fromkeys(chosen, split)
        received = total(left.pop(group) for group in chosen)
        misses += [
            {"label": c, "split": split, "expected": wanted[c], "received": received[c]}
            for c in text.class_order(wanted)
            if received[c] != wanted[c]
        ]
    return [where[group] for group in groups], misses


def total(counters):
    """Adds up counters."""
    result = Counter()
    for counter in counters:
        result.update(counter)
    return result


def labeled(labels, groups, splits, share, seed=0):
    """Chooses the films of train that keep their label.

    Of the n labeled films of a class, `floor(share · n)`, but at least one: first one
    film of each group, then the second films, and so on, so that three films of
    COVID-19 show three patients. A larger share holds all films of a smaller one, and
    no class depends on another.

    Args:
        labels, groups: As for `assign`. Of a group's films, the first here is taken
            first.
        splits: List of `"train"`, `"val"` or `"test"`.
        share: Share of the labels of each class, in (0, 1].
        seed: Integer; another seed keeps other labels.

    Returns:
        Sorted list of row numbers from 0.

    Raises:
        ValueError: If the share is out of range.
    """
    if not 0 < share <= 1:
        raise ValueError(
            f"A labeled share lies in (0, 1], 0.05 for 5 %. Received: {share}"
        )
    ranked, taken = defaultdict(list), Counter()
    for number, (label, group, split) in enumerate(
        zip(labels, groups, splits, strict=True)
    ):
        if label and split == "train":
            order = quotas.digest(f"{seed}:labeled:{label}", group)
            ranked[label].append((taken[label, group], order, number))
            taken[label, group] += 1
    kept = []
    for films in ranked.values():
        films.sort()
        kept += [number for *_, number in films[: max(1, floor(share, len(films)))]]
    return sorted(kept)


def number_copies(images):
    """Names rows that are split one by one: `a.png#1`, `a.png#2`."""
    seen, names = Counter(), []
    for image in images:
        seen[image] += 1
        names.append(f"{image}#{seen[image]}")
    return names


def floor(share, count):
    """Rounds down, and so that floor(0.29 · 100) is 29 in floating point too."""
    return math.floor(round(share * count, 6))
