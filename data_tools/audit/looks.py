"""What pictures look like: sizes, modes, borders, negatives, and unreadable ones."""

from collections import Counter, defaultdict

import numpy as np

from data_tools import ledger, pictures, text
from data_tools.audit import page
from data_tools.audit.counts import pivot, tally
from data_tools.audit.films import chosen, show

SHOWN = 12  # pictures of each kind of suspect on the page
WIDE = 0.1  # share of a film that a blank border rarely exceeds
KINDS = {
    "negative": "look like photographic negatives",
    "flat": "show nearly nothing",
    "color": "have colored marks",
    "alpha": "have transparent parts",
    "border": "have a blank border over a tenth of the film",
}


def unreadable(films):
    """Lists the pictures that cannot be read, with the reason."""
    broken = [
        (image, measure)
        for image, measure in zip(films.images, films.measures, strict=True)
        if measure.reason
    ]
    result = page.Section(
        "unreadable",
        "Pictures that cannot be read",
        "Training stops at such a picture: repair it, or take its row out.",
        {"pictures": [[image, m.reason, m.detail] for image, m in broken]},
    )
    if broken:
        result.alarms.append(
            f"Pictures that cannot be read: {len(broken):,} of {len(films.images):,}; "
            f"the first is {broken[0][0]}."
        )
        rows = [
            [image, ledger.REASONS.get(m.reason, m.reason), m.detail]
            for image, m in broken[:SHOWN]
        ]
        result.parts.append(page.table(["picture", "reason", "detail"], rows))
    else:
        result.parts.append(page.paragraph("None."))
    return result


def sizes(films):
    """Counts sizes, modes and file types of each class."""
    columns = formats(films)
    labels = films.labels
    result = page.Section(
        "sizes",
        "Sizes, modes and brightness",
        "If classes differ in size, mode or brightness, so do the ways in which their "
        "films were made, and a network can see it even after resizing.",
        {name: tally(values, labels) for name, values in columns.items()},
    )
    for name, counts in result.facts.items():
        named = {(value,): found for value, found in counts.items()}
        result.parts.append(pivot((name,), named, text.class_order(labels)))
    rows, result.facts["levels"] = [], {}
    for label, numbers in by_class(films).items():
        values = [films.measures[n].brightness for n in numbers]
        borders = [films.measures[n].border for n in numbers]
        quantiles = [round(float(q)) for q in np.quantile(values, (0.1, 0.5, 0.9))]
        wide = float(np.mean(borders))
        result.facts["levels"][label] = {"brightness": quantiles, "border": wide}
        rows.append([label or "unknown", *quantiles, wide])
    header = ["mean level of a film", "10 % below", "half", "10 % above", "border"]
    result.parts.append(page.table(header, rows))
    return result


def formats(films):
    """Returns size, mode and file type of each row's original: dict of lists.

    Those of the stored file where the manifest does not say.
    """
    found = defaultdict(list)
    for row, number in zip(films.rows, films.of_row, strict=True):
        measure = films.measures[number]
        width = row.get("width") or str(measure.width or "")
        height = row.get("height") or str(measure.height or "")
        bits = row.get("bits") or str(measure.bits or "")
        mode = row.get("mode") or measure.mode
        name = row.get("source_file") or row["image"]
        kind = name.rpartition("/")[2].rpartition(".")
        found["size"].append(f"{width} x {height}" if width and height else "")
        found["mode"].append(f"{mode}, {bits} bits" if mode and bits else mode)
        found["file type"].append(kind[2].lower() if kind[0] else "")
    return dict(found)


def by_class(films):
    """Returns the readable pictures of each class, by their first rows."""
    members = defaultdict(list)
    for number in films.readable.tolist():
        members[films.rows[films.first_row[number]]["label"]].append(number)
    return {label: members[label] for label in text.class_order(members)}


def suspects(films):
    """Finds negatives, flat and colored pictures, and wide borders."""
    found = find_suspects(films)
    result = page.Section(
        "suspects",
        "Pictures to look at",
        "Invert a negative, crop a wide border, and leave out what is no chest film.",
        {
            kind: [films.images[number] for number in numbers]
            for kind, numbers in found.items()
        },
    )
    negatives = found["negative"]
    if negatives:
        result.alarms.append(
            f"Pictures that look like photographic negatives: {len(negatives):,}; the "
            f"first is {films.images[negatives[0]]}."
        )
    labels = [films.rows[first]["label"] for first in films.first_row]
    rows = [
        [KINDS[kind], len(numbers), count([labels[n] for n in numbers])]
        for kind, numbers in found.items()
    ]
    result.parts.append(page.table(["pictures that", "", "by class"], rows))
    for kind, numbers in found.items():
        few = chosen(films, numbers, SHOWN)
        figures = [
            page.picture(show(films, n), [kind, films.images[n], labels[n]])
            for n in few
        ]
        result.parts.append(page.row(figures))
    return result


def find_suspects(films):
    """Returns the numbers of the pictures of each kind."""
    found = {kind: [] for kind in KINDS}
    flags = defaultdict(set)
    for row, number in zip(films.rows, films.of_row.tolist(), strict=True):
        flags[number].update(row.get("flags", "").split())
    shown = films.thumbnails[films.readable]
    negative = pictures.looks_negative(shown)
    for number, inverted in zip(films.readable.tolist(), negative, strict=True):
        measure = films.measures[number]
        kinds = flags[number].union(measure.flags)
        if inverted:
            kinds.add("negative")
        if measure.border > WIDE:
            kinds.add("border")
        for kind in kinds & found.keys():
            found[kind].append(number)
    return found


def count(labels):
    """Writes how many of each class."""
    counts = Counter(labels)
    return ", ".join(
        f"{c or 'unknown'} {counts[c]:,}" for c in text.class_order(counts)
    )
