"""Compares two manifests."""

from collections import Counter, defaultdict
from typing import NamedTuple

KINDS = ("added", "removed", "moved", "relabeled", "changed")


class Difference(NamedTuple):
    """What distinguishes two manifests; each row is a line of text.

    `moved` rows have another split, `relabeled` ones another label, `changed` ones
    another value elsewhere; `columns` are those that only one manifest has.
    """

    columns: list
    added: list
    removed: list
    moved: list
    relabeled: list
    changed: list


def diff(old, new):
    """Compares the rows of two manifests, in whatever order.

    Rows belong together if they have the same picture: the same `sha256_pixels` if
    all rows of both have it, else the same `image`. Of several rows with one picture,
    those that agree in all else are paired first.

    Args:
        old, new: Lists of rows, see `manifest.read`.

    Returns:
        `Difference`; `any` of it is false if the manifests say the same.

    Example:
    >>> diff(manifest.read("before"), manifest.read("after")).added
    ['images/0a/0a51….png  normal  train']
    """
    key = "image"
    if all(row.get("sha256_pixels") for row in [*old, *new]):
        key = "sha256_pixels"
    columns = [list(rows[0]) if rows else [] for rows in (old, new)]
    shared = [name for name in columns[0] if name in columns[1]]
    result = Difference(
        [
            f"{name}: only in the {which}"
            for which, own, other in (("first", *columns), ("second", *columns[::-1]))
            for name in own
            if name not in other and old and new
        ],
        *([] for _ in KINDS),
    )
    before, after = by_key(old, key), by_key(new, key)
    for value in dict.fromkeys([*before, *after]):
        compare(before[value], after[value], shared, result)
    return result


def by_key(rows, key):
    """Groups rows by a column."""
    found = defaultdict(list)
    for row in rows:
        found[row[key]].append(row)
    return found


def compare(old, new, columns, result):
    """Pairs the rows of one picture and adds what differs to the result."""
    left, right = (unmatched(*both, columns) for both in ((old, new), (new, old)))
    for one, other in zip(left, right, strict=False):
        name = one["image"]
        for column in columns:
            if one[column] != other[column]:
                kind = {"split": result.moved, "label": result.relabeled}.get(column)
                told = f"{one[column] or '(empty)'} -> {other[column] or '(empty)'}"
                if kind is None:
                    kind, told = result.changed, f"{column} {told}"
                kind.append(f"{name}  {told}")
    both = min(len(left), len(right))
    result.removed.extend(map(describe_row, left[both:]))
    result.added.extend(map(describe_row, right[both:]))


def unmatched(rows, others, columns):
    """Returns the rows without an equal among the others, sorted."""
    spare = Counter(tuple(row[c] for c in columns) for row in others)
    left = []
    for row in rows:
        cells = tuple(row[c] for c in columns)
        if spare[cells]:
            spare[cells] -= 1
        else:
            left.append(row)
    return sorted(left, key=lambda row: (row["label"], row.get("split", "")))


def describe_row(row):
    """Writes a row in one line."""
    return "  ".join(filter(None, (row["image"], row["label"], row.get("split", ""))))


def describe(difference, count=10):
    """Writes the counts of a difference, and the first lines of each kind.

    Args:
        difference: What `diff` returns.
        count: How many lines.

    Returns:
        Text of some lines.
    """
    lines = []
    for kind, found in difference._asdict().items():
        if found:
            lines.append(f"{kind}: {len(found):,}")
            lines += [f"  {line}" for line in found[:count]]
            if len(found) > count:
                lines.append(f"  and {len(found) - count:,} more")
    return "\n".join(lines) or "No difference."
