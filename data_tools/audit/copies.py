"""Pictures that are the same, or nearly so."""

from collections import Counter, defaultdict

from data_tools import duplicates, text
from data_tools.audit import page
from data_tools.audit.films import show

SHOWN = 40  # pairs on the page
FEW = 0.9  # share of different pictures among the rows, below which copies prevail


def section(films):
    """Lists the pairs of like pictures, the most telling first."""
    pairs = [(describe_pair(films, pair), pair) for pair in films.pairs]
    pairs.sort(key=lambda both: -urgency(both[0]))
    facts = {
        "repeated_rows": len(films.rows) - len(films.images),
        "counts": dict(Counter(fact["kind"] for fact, _ in pairs)),
        "different": count_different(films),
        "pairs": [fact for fact, _ in pairs],
    }
    result = page.Section(
        "duplicates",
        "Copies and near duplicates",
        "A copy counts a film twice, so keep one of each; near duplicates may be two "
        "films of one patient and must stay on one side of a split.",
        facts,
        alarms(facts["different"]),
        tables(facts),
    )
    one_each = {}  # of pictures that are all alike
    for fact, pair in pairs:
        one_each.setdefault(films.near[pair.first], (fact, pair))
    few = list(one_each.values())[:SHOWN]
    told = (
        f"{len(few)} of {len(one_each):,} sets of like pictures, two of each; "
        f"audit.json lists {len(pairs):,} pairs."
    )
    result.parts += [page.paragraph(told), page.row(draw(films, *both) for both in few)]
    return result


def alarms(different):
    """Writes an alarm for each class of a split that is full of copies."""
    return [
        f"The {place['rows']:,} rows of {place['label'] or 'no class'} "
        f"in {place['split'] or 'no split'} show only "
        f"{place['pictures']:,} different pictures."
        for place in different
        if place["pictures"] < FEW * place["rows"]
    ]


def tables(facts):
    """Writes how many copies there are, and how many different pictures."""
    counts = facts["counts"]
    told = [
        ["rows that name the picture of an earlier row", facts["repeated_rows"]],
        ["pictures with the pixels of an earlier one", counts.get("same pixels", 0)],
        [
            "pairs of the same picture, resized or re-encoded",
            counts.get("same picture", 0),
        ],
        ["pairs of near duplicates", counts.get("near duplicate", 0)],
    ]
    places = [
        [p["label"] or "unknown", p["split"], p["rows"], p["pictures"]]
        for p in facts["different"]
    ]
    return [
        page.table(["what", "how many"], told),
        page.table(["class", "split", "rows", "different pictures"], places),
    ]


def count_different(films):
    """Counts rows, and different pictures among them, by class and split."""
    places = defaultdict(list)
    for row, picture in zip(films.rows, films.same[films.of_row].tolist(), strict=True):
        places[row.get("split", ""), row["label"]].append(picture)
    order = {label: n for n, label in enumerate(text.class_order(films.labels))}
    return [
        {
            "label": label,
            "split": split,
            "rows": len(found),
            "pictures": len(set(found)),
        }
        for (split, label), found in sorted(
            places.items(), key=lambda item: (order[item[0][1]], item[0][0])
        )
    ]


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


def draw(films, fact, pair):
    """Writes a pair with its two pictures."""
    columns = [fact[name] for name in ("images", "labels", "splits", "sources")]
    figures = [
        page.picture(show(films, number), filter(None, about))
        for number, about in zip(pair[:2], zip(*columns, strict=True), strict=True)
    ]
    marks = [
        words
        for name, words in (("splits", "two splits"), ("labels", "two labels"))
        if differ(*fact[name])
    ]
    told = ", ".join([f"{fact['kind']} ({fact['correlation']:.4f})", *marks])
    return f'<div class="pair">{page.paragraph(told)}{"".join(figures)}</div>'
