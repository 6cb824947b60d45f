"""The shortcut alarm: can a tiny model tell where a film comes from?"""

import hashlib
from collections import Counter

import numpy as np

from data_tools import text
from data_tools.audit import page
from data_tools.audit.columns import LOUD, explains

FEWEST = 20  # films of a source that takes part
ALL = "all films"
MOST = 4000  # films of all sources together
FOLDS = 3
CLEAR = 0.5  # of the way from chance to perfect; 60 films at random come to 0.3


def section(films):
    """Measures how well 32×32 pixels give the source away."""
    result = page.Section(
        "shortcut",
        "Shortcut: the source shows in the film",
        "Within one class no disease explains the difference between sources; where a "
        "linear model of 32x32 pixels finds the source, a network finds it too.",
    )
    sources, labels = (
        [films.rows[films.first_row[n]].get(column, "") for n in films.readable]
        for column in ("source", "label")
    )
    fact = explains(films.column("source"), films.labels)
    result.facts = {"source_explains": fact, "scores": {}, "left_out": {}}
    classes = [label for label in text.class_order(labels) if label]
    for label in ("", *classes):
        numbers = [i for i, c in enumerate(labels) if label in ("", c)]
        names = np.array([sources[i] for i in numbers])
        place = label or ALL
        score(result.facts, place, films, films.readable[numbers], names)
    if not result.facts["scores"]:
        count = len(set(sources) - {""})
        words = ["no source is named", "there is one source", "too few films"]
        result.parts.append(
            page.paragraph(f"Nothing to compare: {words[min(count, 2)]}.")
        )
        return result
    result.alarms = alarms(result.facts)
    result.parts += describe(result.facts)
    return result


def score(facts, place, films, numbers, sources):
    """Scores the model on some films, and notes which sources are too small.

    Args:
        facts: Dict with `scores` and `left_out`, which are added to.
        place: Name of these films.
        films: `Films`.
        numbers: Numbers of pictures, int `(n,)`.
        sources: Source of each, `""` where it is not known.
    """
    counts = Counter(sources.tolist())
    counts.pop("", None)
    few = {source: n for source, n in counts.items() if n < FEWEST}
    if len(counts) > 1 and few:
        facts["left_out"][place] = few
    large = sorted(set(counts) - set(few))
    if len(large) < 2:
        return
    part = sample(films, numbers, sources, large)
    names = [films.groups[films.first_row[n]] for n in numbers[part]]
    accuracy = tell(films.thumbnails[numbers[part]], sources[part], names)
    if accuracy is not None:
        chance = 1 / len(large)
        facts["scores"][place] = {
            "sources": large,
            "films": len(part),
            "accuracy": accuracy,
            "chance": chance,
            "gain": (accuracy - chance) / (1 - chance),
        }


def sample(films, numbers, sources, names):
    """Chooses equally many films of every source, by the hashes of their names."""
    hashes = [hashlib.sha256(films.images[n].encode()).digest() for n in numbers]
    order = np.array(sorted(range(len(hashes)), key=hashes.__getitem__))
    parts = [order[sources[order] == name][: MOST // len(names)] for name in names]
    return np.sort(np.concatenate(parts))


def tell(thumbnails, sources, groups):
    """Returns how well a linear model tells sources of films it has not seen.

    Args:
        thumbnails: uint8 `(n, 32, 32)`.
        sources: Texts `(n,)`.
        groups: Names; films of one group are never on both sides.

    Returns:
        Balanced accuracy over three folds, or `None` if the groups are too few.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    several = set(zip(sources, groups, strict=True))
    if min(Counter(name for name, _ in several).values()) < FOLDS:
        return None
    x = thumbnails.reshape(len(thumbnails), -1).astype("float32")
    guessed = np.empty_like(sources)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for train, test in folds.split(x, sources, groups):
        if len(set(sources[train])) < len(set(sources)):
            return None
        model = make_pipeline(
            StandardScaler(),
            PCA(components(x[train]), whiten=True, svd_solver="full"),
            LogisticRegression(C=0.1, max_iter=1000, class_weight="balanced"),
        )
        with threadpool_limits(1):  # Faster for so little, and the same everywhere.
            guessed[test] = model.fit(x[train], sources[train]).predict(x[test])
    return float(balanced_accuracy_score(sources, guessed))


def components(x):
    """How many directions to keep: only those in which different films differ.

    Whitened, any other would blow the rounding of this processor up to a feature.
    """
    different = len(np.unique(x, axis=0))
    return max(1, min(32, len(x) // 2, different - 1))


def alarms(facts):
    """Returns the alarm, if sources differ in class and the films show the source.

    What counts is the scores within a class. If no class has two sources, no score
    can tell the source from the disease, and that is the alarm.
    """
    source = facts["source_explains"].get("explained", 0)
    scores = {p: s for p, s in facts["scores"].items() if p != ALL}
    best = max(scores, key=lambda place: scores[place]["gain"], default=ALL)
    found = facts["scores"][best]
    if source <= LOUD or (scores and found["gain"] <= CLEAR):
        return []
    films = f"{best} films alone" if scores else "films"
    reason = "" if scores else "No class has two sources large enough to compare. "
    return [
        f"{reason}A tiny model tells the source of {films} from 32x32 pixels with a "
        f"balanced accuracy of {page.percent(found['accuracy'])} (chance "
        f"{page.percent(found['chance'])}), and the source explains "
        f"{page.percent(source)} of the class over all films. A network can score "
        "high by learning the source in place of the disease: test on a source that "
        "training has not seen, or within one source."
    ]


def describe(facts):
    """Writes the scores, and what was left out."""
    rows = [
        [place, ", ".join(s["sources"]), s["films"], s["accuracy"], s["chance"]]
        for place, s in facts["scores"].items()
    ]
    header = ["among", "sources", "films", "balanced accuracy", "chance"]
    parts = [page.table(header, rows)]
    source = facts["source_explains"]
    if "bits" in source:
        told = (
            f"The source alone says {source['bits']:.2f} bits about the class: always "
            f"guessing its most frequent class is right for "
            f"{page.percent(source['accuracy'])} of the rows; the biggest class has "
            f"{page.percent(source['biggest'])}."
        )
        parts.append(page.paragraph(told))
    for place, few in facts["left_out"].items():
        told = ", ".join(f"{name} ({n})" for name, n in sorted(few.items()))
        words = f"Left out among {place}, as fewer than {FEWEST} films: {told}."
        parts.append(page.paragraph(words))
    return parts
