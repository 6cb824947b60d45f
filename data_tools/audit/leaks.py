"""What more than one split knows."""

from collections import Counter, defaultdict

from data_tools import text
from data_tools.audit import page

KINDS = {
    "row": "the same file",
    "picture": "the same picture",
    "near": "a near duplicate, or one of a near duplicate",
    "patient": "the same patient",
    "group": "the same group",
}


def section(films):
    """Finds pictures, patients and groups in more than one split."""
    splits = films.column("split")
    result = page.Section(
        "leakage",
        "Leakage between splits",
        "A film of the test that training knows, or whose patient it knows, measures "
        "memory: split anew by groups (python -m data_tools split).",
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
    table = []
    for kind, words in KINDS.items():
        fact = find(keys[kind], splits, films.labels)
        result.facts[kind] = fact
        for place, of_class in fact["rows"].items():
            total = sum(of_class.values())
            told = ", ".join(f"{c or 'unknown'} {n:,}" for c, n in of_class.items())
            table.append([words, place, total, total / fact["of"][place], told])
    facts = result.facts
    name_patients(facts["patient"], films, splits)
    result.alarms += alarms(facts)
    header = ["", "", "rows", "of its rows", "by class"]
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
        Dict: `several`, the number of keys in more than one split; `rows`, dict of
        `"test in train"` and so on to `{class: rows}`; `of`, the number of rows of
        the first split.
    """
    places = defaultdict(set)
    for key, split in zip(keys, splits, strict=True):
        if key != "" and split:
            places[key].add(split)
    rows = Counter(
        (f"{split} in {other}", label)
        for key, split, label in zip(keys, splits, labels, strict=True)
        if key != "" and split
        for other in places[key] - {split}
        if rank(split) > rank(other)
    )
    names = sorted({place for place, _ in rows})
    sizes = Counter(splits)
    return {
        "several": sum(len(found) > 1 for found in places.values()),
        "rows": {
            place: {
                label: rows[place, label]
                for label in text.class_order(labels)
                if rows[place, label]
            }
            for place in names
        },
        "of": {place: sizes[place.split(" in ")[0]] for place in names},
    }


def rank(split):
    """Orders splits: train, val, test, others."""
    order = ("train", "val", "test")
    return (order.index(split), "") if split in order else (len(order), split)


def name_patients(fact, films, splits):
    """Adds the names of the patients in more than one split."""
    places = defaultdict(set)
    for patient, split in zip(films.column("patient_id"), splits, strict=True):
        if patient and split:
            places[patient].add(split)
    fact["names"] = sorted(name for name, found in places.items() if len(found) > 1)


def alarms(facts):
    """Writes an alarm for each kind that says more than the kinds before it."""
    found = []
    for kind, noun in (
        ("picture", "pictures are"),
        ("near", "sets of near duplicates are"),
        ("patient", "patients are"),
        ("group", "groups are"),
    ):
        fact = facts[kind]
        rows = {place: sum(n.values()) for place, n in fact["rows"].items()}
        if kind == "near" and fact["several"] == facts["picture"]["several"]:
            continue
        if fact["several"]:
            told = ", ".join(
                f"{n:,} of {fact['of'][place]:,} rows of {place}"
                for place, n in rows.items()
            )
            found.append(
                f"{fact['several']:,} {noun} in more than one split: {told}."
            )
    return found
