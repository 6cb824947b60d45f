"""Labels that contradict one another."""

import itertools
from collections import Counter, defaultdict

from data_tools.audit import page
from data_tools.audit.copies import differ


def section(films):
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
        result.alarms.append(f"Pictures with contradictory labels: {len(same):,}.")
    if near:
        result.alarms.append(
            f"Pairs of near duplicates with different labels: {len(near):,}."
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
