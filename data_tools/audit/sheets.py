"""Films to look at: the mean of each class and source, and some at random."""

from collections import Counter, defaultdict

import numpy as np

from data_tools import text
from data_tools.audit import page
from data_tools.audit.films import chosen, show
from data_tools.audit.looks import by_class

SOURCES = 8  # of which means are shown, the most frequent


def means(films):
    """Shows the mean film of each class and source."""
    rows = [films.rows[first] for first in films.first_row]
    members, sources = defaultdict(list), Counter()
    for number in films.readable.tolist():
        source = rows[number].get("source", "")
        members[rows[number]["label"], source].append(number)
        sources[source] += 1
    shown = [source for source, _ in sources.most_common(SOURCES)]
    result = page.Section(
        "means",
        "Mean films",
        "What these differ in, a network learns first: fields of view, borders, "
        "markers, and whether children or adults were filmed.",
        {"films": [[*key, len(numbers)] for key, numbers in sorted(members.items())]},
    )
    for label in text.class_order(label for label, _ in members):
        figures = []
        for source in shown:
            numbers = members.get((label, source))
            if numbers:
                mean = films.thumbnails[numbers].mean(axis=0)
                caption = [label or "unknown", source, f"{len(numbers):,} films"]
                figures.append(page.picture(np.rint(mean).astype("uint8"), caption))
        result.parts.append(page.row(figures))
    return result


def random_films(films, count):
    """Shows some films of each class, chosen by the hashes of their names."""
    result = page.Section(
        "sheet",
        "Films at random",
        "Look for what is no frontal chest film, and for marks that only one class "
        "has.",
    )
    for label, numbers in by_class(films).items():
        few = chosen(films, numbers, count)
        result.facts[label] = [films.images[number] for number in few]
        figures = [
            page.picture(show(films, n), [label or "unknown", films.images[n]])
            for n in few
        ]
        result.parts.append(page.row(figures))
    return result
