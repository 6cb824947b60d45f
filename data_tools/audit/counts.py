"""How many films there are of each class, from where, and of whom."""

import re
from collections import Counter

from data_tools import text
from data_tools.audit import page

COLUMNS = ("view", "sex", "age", "license")
MOST = 20  # values of a column that the page shows


def section(films):
    """Counts rows by class, source and split, and by what else the columns say."""
    labels = films.labels
    classes = text.class_order(labels)
    places = list(
        zip(films.column("source"), films.column("split"), films.labels, strict=True)
    )
    result = page.Section(
        "counts",
        "What there is",
        "Every class should come from every source, in about the same proportion in "
        "each split, and views, ages and sexes should be alike across classes.",
    )
    counts = Counter(places)
    by_place = {}
    for (source, split, label), n in sorted(counts.items()):
        by_place.setdefault((source, split), Counter())[label] = n
    result.facts["rows"] = [
        {"source": source, "split": split, "label": label, "rows": n}
        for (source, split, label), n in sorted(counts.items())
    ]
    result.parts.append(pivot(("source", "split"), by_place, classes))
    for column in COLUMNS:
        if column in films.rows[0]:
            values = films.column(column)
            values = list(map(age_band, values)) if column == "age" else values
            of_value = tally(values, labels)
            result.facts[column] = of_value
            named = {(value,): found for value, found in of_value.items()}
            result.parts.append(pivot((column,), named, classes))
    return result


def tally(values, labels):
    """Counts classes: dict of value, the most frequent first, to `{class: n}`."""
    pairs = Counter(zip(values, labels, strict=True))
    order = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
    classes = text.class_order(labels)
    return {
        value: {label: pairs[value, label] for label in classes if pairs[value, label]}
        for value, _ in order
    }


def pivot(names, counts, classes):
    """Writes `{(value, ...): {class: n}}` as a table with sums.

    Args:
        names: The headings of the values.
        counts: The dict.
        classes: List of classes, in the order of the columns.
    """
    total = {c: sum(found.get(c, 0) for found in counts.values()) for c in classes}
    rows = [
        [*(value or "unknown" for value in key), *numbers(found, classes)]
        for key, found in list(counts.items())[:MOST]
    ]
    if len(counts) > MOST:
        rest = Counter()
        for found in list(counts.values())[MOST:]:
            rest.update(found)
        others = f"{len(counts) - MOST:,} others"
        rows.append([others, *[""] * (len(names) - 1), *numbers(rest, classes)])
    rows.append(["all", *[""] * (len(names) - 1), *numbers(total, classes)])
    return page.table([*names, *(c or "unknown" for c in classes), "all"], rows)


def numbers(found, classes):
    """Returns the counts of the classes, and their sum."""
    of_class = [found.get(label, 0) for label in classes]
    return [*of_class, sum(of_class)]


def age_band(age):
    """Returns the band of an age as tables and DICOM headers write it (`059Y`)."""
    found = re.match(r"\s*(\d+)(?:\.\d*)?\s*([DWMY]?)", age, re.ASCII | re.IGNORECASE)
    if not found:
        return ""
    years = int(found[1][:4]) if found[2].upper() in ("", "Y") else 0
    for limit in (18, 40, 60):
        if years < limit:
            return {18: "under 18", 40: "18-39", 60: "40-59"}[limit]
    return "60 or more"
