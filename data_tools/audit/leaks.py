"""What more than one split knows."""

from collections import Counter, defaultdict

from data_tools import text
from data_tools.audit import page

KINDS = {
    "row": "the same file",
    "picture": "the same picture",
    "near": "a near duplicate, directly or through others",
    "patient": "the same patient",
    "group": "the same group",
}
SPLITS = ("train", "val", "test")


def section(films):
    """Finds pictures, patients and groups in more than one split."""
    splits = films.column("split")
    result = page.Section(
        "leakage",
        "Leakage between splits",
        "A test film that training knows, or whose patient it knows, measures memory: "
        "split anew by groups (python -m data_tools split).",
    )
    if len(set(splits) - {""}) < 2:
        result.parts.append(page.paragraph("There are no two splits to compare."))
        return result
    keys = {
        "row": films.of_row.tolist(),
        "picture": films.same[films.of_row].tolist(),
        "near": films.near[films.of_row].tolist(),
        "patient": films.column("patient_id"),
        "group": films.column("group"),
    }
    result.facts = {kind: find(keys[kind], splits, films.labels) for kind in KINDS}
    result.alarms = alarms(result.facts)
    table = [
        [
            f"rows of {overlap['split']} with {words} in {overlap['known_to']}",
            overlap["rows"],
            overlap["rows"] / overlap["of"],
            by_class(overlap["classes"]),
        ]
        for kind, words in KINDS.items()
        for overlap in result.facts[kind]["overlaps"]
    ]
    header = ["", "rows", "of its rows", "by class"]
    result.parts.append(
        page.table(header, table) if table else page.paragraph("None was found.")
    )
    return result


def find(keys, splits, labels):
    """Counts what is in more than one split.

    Args:
        keys: List, one key for each row; `""` is not known.
        splits, labels: Lists, one text for each row.

    Returns:
        Dict: `several`, the number of keys in more than one split; `names`, these
        keys if they are texts; `overlaps`, a list with the number of rows of one
        split that another knows, of how many, and of which classes.
    """
    places = defaultdict(set)
    for key, split in zip(keys, splits, strict=True):
        if key != "" and split:
            places[key].add(split)
    several = {key for key, found in places.items() if len(found) > 1}
    rows = defaultdict(Counter)
    for key, split, label in zip(keys, splits, labels, strict=True):
        if split and key in several:
            for other in places[key]:
                if rank(split) > rank(other):
                    rows[split, other][label] += 1
    sizes = Counter(splits)
    overlaps = [
        {
            "split": split,
            "known_to": other,
            "rows": found.total(),
            "of": sizes[split],
            "classes": {label: found[label] for label in text.class_order(found)},
        }
        for (split, other), found in sorted(rows.items())
    ]
    names = sorted(key for key in several if isinstance(key, str))
    return {"several": len(several), "names": names, "overlaps": overlaps}


def rank(split):
    """Orders splits: train, val, test, then others."""
    return SPLITS.index(split) if split in SPLITS else len(SPLITS), split


def by_class(counts):
    """Writes how many of each class."""
    return ", ".join(f"{label or 'unknown'} {n:,}" for label, n in counts.items())


def alarms(facts):
    """Writes an alarm for every kind; near duplicates must add to copies."""
    found = []
    for kind, words in (
        ("picture", "Pictures"),
        ("near", "Sets of near duplicates"),
        ("patient", "Patients"),
        ("group", "Groups"),
    ):
        several, overlaps = facts[kind]["several"], facts[kind]["overlaps"]
        if not several or (kind == "near" and overlaps == facts["picture"]["overlaps"]):
            continue
        told = ", ".join(
            f"{o['rows']:,} of {o['of']:,} rows of {o['split']} are known to "
            f"{o['known_to']}"
            for o in overlaps
        )
        found.append(f"{words} in more than one split: {several:,}; {told}.")
    return found
