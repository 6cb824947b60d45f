"""Groups: the films that a split must not separate."""

from collections import Counter

import numpy as np

from data_tools import text

LINKS = ("patient_id", "sha256_pixels", "image", "group")  # equal value, same group
KINDS = {
    "picture": ("image", "sha256_pixels"),
    "patient": ("patient_id",),
    "group": ("group",),
}


def components(count, links):
    """Numbers the connected components of a graph.

    Args:
        count: Number of elements.
        links: Iterable of pairs of elements.

    Returns:
        int array `(count,)`: the component of each element, numbered in the order
        of their first elements.
    """
    parent = list(range(count))

    def root(element):
        while parent[element] != element:
            parent[element] = parent[parent[element]]
            element = parent[element]
        return element

    for one, other in links:
        one, other = root(one), root(other)
        parent[max(one, other)] = min(one, other)
    numbers = {}
    found = (numbers.setdefault(root(i), len(numbers)) for i in range(count))
    return np.fromiter(found, int, count)


def of(rows, pairs=()):
    """Names the group of each row of a manifest.

    Rows belong together if they agree in `patient_id`, `sha256_pixels`, `image` or
    `group` (where that is not empty), or if a pair links them; and so on from row to
    row.

    Args:
        rows: List of dicts, the rows of a manifest.
        pairs: Pairs of row numbers from 0, such as near duplicates.

    Returns:
        List of names: the smallest `patient_id` of the group, or its smallest
        `image` if it has none. Independent of the order of the rows.

    Example:
    >>> groups.of([{"image": "a.png"}, {"image": "b.png"}], [(0, 1)])
    ['a.png', 'a.png']
    """
    first = {}
    links = [(pair[0], pair[1]) for pair in pairs]
    for number, row in enumerate(rows):
        for column in LINKS:
            if row.get(column):
                links.append((first.setdefault((column, row[column]), number), number))
    numbers = components(len(rows), links).tolist()
    names = {}
    for number, row in zip(numbers, rows, strict=True):
        patient = row.get("patient_id", "")
        name = (not patient, patient or row["image"])  # A patient comes first.
        names[number] = min(names.get(number, name), name)
    return [names[number][1] for number in numbers]


def check(path, rows):
    """Raises an error if a split separates films that belong together.

    Args:
        path: The manifest, for the message.
        rows: List of dicts with the column `split`; `""` belongs to no split.

    Raises:
        ValueError: If rows of different splits agree in `patient_id`,
            `sha256_pixels`, `image` or `group`; names the first two.
    """
    first = {}
    for line, row in enumerate(rows, start=2):  # line 1 is the header
        for column in LINKS:
            if not (row["split"] and row.get(column)):
                continue
            other, split = first.setdefault((column, row[column]), (line, row["split"]))
            if split != row["split"]:
                raise ValueError(
                    f"{path}: rows {other} and {line} have the same {column}, "
                    f"{row[column]!r}, but belong to {split} and {row['split']}. "
                    "Expected all of them in one split: split the manifest anew."
                )


def leaks(rows):
    """Counts the test rows that training knows.

    Args:
        rows: List of dicts with the column `split`.

    Returns:
        Dict of `"picture"`, `"patient"` and `"group"` to `{class: test rows}`: rows
        whose picture (patient, group) is that of a training row too.
    """
    counts = {}
    for kind, columns in KINDS.items():
        known = {
            (column, row.get(column))
            for row in rows
            for column in columns
            if row["split"] == "train"
        }
        found = Counter(
            row["label"]
            for row in rows
            if row["split"] == "test"
            and any(row.get(c) and (c, row[c]) in known for c in columns)
        )
        counts[kind] = {label: found[label] for label in text.class_order(found)}
    return counts
