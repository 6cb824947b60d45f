"""Pictures that are the same or nearly so, and labels that contradict one another."""

import itertools
from collections import Counter, defaultdict

from data_tools import duplicates
from data_tools.audit import page
from data_tools.audit.films import show

SHOWN = 40  # pairs on the page


def section(films):
    """Lists the pairs of like pictures, the most telling first."""
    pairs = [describe_pair(films, pair) for pair in films.pairs]
    pairs.sort(key=lambda pair: -urgency(pair))
    counts = {
        "repeated rows": len(films.rows) - len(films.images),
        "same pixels": sum(pair["kind"] == "same pixels" for pair in pairs),
        "same picture": sum(pair["kind"] == "same picture" for pair in pairs),
        "near duplicate": sum(pair["kind"] == "near duplicate" for pair in pairs),
    }
    result = page.Section(
        "duplicates",
        "Copies and near duplicates",
        "A copy counts a film twice, so keep one of each; near duplicates may be two "
        "films of one patient and must stay on one side of a split.",
        {"counts": counts, "pairs": pairs},
    )
    told = [
        ["rows that name a picture which an earlier row names", counts["repeated rows"]],
        ["pairs with the same pixels", counts["same pixels"]],
        ["pairs of the same picture, resized or compressed", counts["same picture"]],
        ["pairs of near duplicates", counts["near duplicate"]],
    ]
    result.parts.append(page.table(["what", "how many"], told))
    if len(pairs) > SHOWN:
        text = f"The first {SHOWN} of {len(pairs):,} pairs; audit.json lists all."
        result.parts.append(page.paragraph(text))
    result.parts.append(page.row([draw(films, pair) for pair in pairs[:SHOWN]]))
    return result


def describe_pair(films, pair):
    """Returns what `audit.json` says of a pair."""
    one, other = (films.measures[number].pixels for number in pair[:2])
    kind = "near duplicate"
    if pair.correlation >= duplicates.SAME:
        kind = "same pixels" if one == other else "same picture"
    rows = [films.rows[films.first_row[number]] for number in pair[:2]]
    values = {
        f"{column}s": [row.get(column, "") for row in rows]
        for column in ("image", "label", "split", "source")
    }
    return {"kind": kind, "correlation": round(pair.correlation, 5), **values}


def urgency(pair):
    """Says how telling a pair is: of two splits, two labels, two sources, closeness."""
    split, label, source = (
        differ(*pair[name]) for name in ("splits", "labels", "sources")
    )
    return 8 * split + 4 * label + 2 * source + pair["correlation"]


def differ(one, other):
    """Says whether two values are known and differ."""
    return bool(one and other and one != other)


def draw(films, pair):
    """Writes a pair with its two pictures."""
    numbers = [films.images.index(image) for image in pair["images"]]
    figures = [
        page.picture(show(films, number), [image, *filter(None, about)])
        for number, image, *about in zip(
            numbers,
            *(pair[name] for name in ("images", "labels", "splits", "sources")),
            strict=True,
        )
    ]
    marks = [
        words
        for name, words in (("splits", "two splits"), ("labels", "two labels"))
        if differ(*pair[name])
    ]
    told = ", ".join([f"{pair['kind']} ({pair['correlation']:.4f})", *marks])
    return f'<div class="pair">{page.paragraph(told)}{"".join(figures)}</div>'


def contradictions(films):
    """Finds labels that differ among the same picture, near duplicates, patients."""
    labels = films.labels
    same = contrary(films.same[films.of_row].tolist(), labels)
    pairs = [
        (pair.first, pair.second)
        for pair in films.pairs
        if films.same[pair.first] != films.same[pair.second]
    ]
    near = [
        [films.images[n] for n in pair]
        for pair in pairs
        if differ(*(labels[films.first_row[n]] for n in pair))
    ]
    patients = contrary(films.column("patient_id"), labels)
    result = page.Section(
        "labels",
        "Labels that contradict one another",
        "One picture has one label: look at each and correct it, or leave it out; a "
        "patient with several labels may have fallen ill between two films.",
        {
            "same_picture": [
                [[films.rows[i]["image"], labels[i]] for i in numbers]
                for numbers in same.values()
            ],
            "near_duplicates": near,
            "patients": {
                patient: sorted({labels[i] for i in numbers} - {""})
                for patient, numbers in patients.items()
            },
        },
    )
    if same:
        result.alarms.append(f"{len(same):,} pictures have contradictory labels.")
    if near:
        result.alarms.append(
            f"{len(near):,} pairs of near duplicates have different labels."
        )
    told = [
        ["pictures with contradictory labels", len(same)],
        ["pairs of near duplicates with different labels", len(near)],
        ["patients with several labels", len(patients)],
    ]
    result.parts.append(page.table(["what", "how many"], told))
    mixed = Counter(" and ".join(v) for v in result.facts["patients"].values())
    if mixed:
        rows = [[name, n] for name, n in mixed.most_common()]
        result.parts.append(page.table(["labels of one patient", "patients"], rows))
    return result


def contrary(keys, labels):
    """Groups rows by key: dict of those keys that have several labels to rows."""
    members = defaultdict(list)
    for number, (key, label) in enumerate(zip(keys, labels, strict=True)):
        if key != "" and label:
            members[key].append(number)
    return {
        key: numbers
        for key, numbers in members.items()
        if any(labels[a] != labels[b] for a, b in itertools.pairwise(numbers))
    }
