"""What a build is going to do: rows by source and class, what is missing."""

import shutil
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from data_tools import covidx, ledger, pictures, sources
from data_tools.text import by_class, table

ABSENT = "not-on-disk"
MISSING_SOURCE, UNEXPECTED_COUNTS = 3, 4  # exit status of a dry run


def dry_run(recipe, given, lists=None, out=None, size=None):
    """Checks all that a build needs, writes nothing, and prints the plan.

    Args:
        recipe: A `Recipe`.
        given: Dict of name to `Source`.
        lists: Folder of the released lists, for the recipes `covidx-…`.
        out: Folder of the set, to see whether it fits on the disk.
        size: Side of the pictures in pixels, `None` for that of the originals.

    Returns:
        Exit status: 0, 3 if a source of the recipe is missing, 4 if the counts are
        not those expected.
    """
    rows = collect(recipe, given, lists)
    check_headers(rows, given)
    print(describe(recipe, given, rows))
    print(check_space(out or ".", len(files(rows)), size))
    if set(recipe.sources) - set(given):
        return MISSING_SOURCE
    return UNEXPECTED_COUNTS if differences(recipe, given, rows) else 0


def check_headers(rows, given):
    """Drops rows whose picture's header cannot be read or lacks a decoder."""
    reasons = {}
    for source, file in tqdm(files(rows), unit="file", desc="headers", delay=2):
        try:
            pictures.probe(given[source].folder / file)
        except pictures.PictureError as error:
            reasons[source, file] = (error.reason, str(error))
    for row in rows:
        if (row.source, row.file) in reasons:
            row.drop(*reasons[row.source, row.file])


def collect(recipe, given, lists=None):
    """Lists the rows of all sources, kept and dropped, before any picture is read.

    Args:
        recipe: A `Recipe`.
        given: Dict of name to `Source`.
        lists: Folder of the released lists, for the recipes `covidx-…`.

    Returns:
        List of `Row`: in the order of the sources' priority, or of the lists.

    Raises:
        ValueError, FileNotFoundError: If a source is not what its name says, or the
            recipe cannot use it.
    """
    if recipe.every_row or recipe.version:
        foreign = sorted(set(given) - set(recipe.sources))
        if foreign:
            raise ValueError(
                f"{recipe.name} is made of {', '.join(recipe.sources)} alone. Drop "
                f"--source {', '.join(foreign)}, or use the recipe paper-clean."
            )
    if bool(recipe.version) != bool(lists):
        raise ValueError(
            f"--lists FOLDER, the released lists ({covidx.GET}), belongs to the "
            f"recipes covidx-... and to them alone. Received: recipe {recipe.name}, "
            f"lists {lists}"
        )
    ordered = sorted(given.values(), key=sources.priority)
    for source in ordered:
        source.check()
    if recipe.version:
        return covidx.rows(lists, recipe.version, given, recipe.rules)
    return [row for source in ordered for row in source.rows(recipe.rules)]


def count_kept(recipe, rows):
    """Counts kept rows: `{source: {class: n}}`, `{split: {class: n}}` for a list."""
    counts = {}
    for row in rows:
        if not row.dropped:
            place = row.split if recipe.version else row.source
            counts.setdefault(place, Counter())[row.label] += 1
    return {place: dict(of_class) for place, of_class in counts.items()}


def differences(recipe, given, rows):
    """Compares the counts with those that the recipe expects.

    Returns:
        List of `(place, class, expected, found)` that differ; place is a source that
        was given, or a split of the lists.
    """
    found, result = count_kept(recipe, rows), []
    for place, expected in recipe.expected.items():
        if recipe.version or place in given:
            counts = found.get(place, {})
            result += [
                (place, label, n, counts.get(label, 0))
                for label, n in expected.items()
                if counts.get(label, 0) != n
            ]
    return result


def describe(recipe, given, rows):
    """Writes the plan as text: counts, reasons, what is unexpected or missing."""
    counts = count_kept(recipe, rows)
    parts = [f"Recipe {recipe.name}", "", "Found, by class:", by_class(counts)]
    if recipe.expected:
        parts += ["Expected:", by_class(recipe.expected)]
    for source, count in ledger.count(rows).items():
        parts.append(
            f"{source}: {count['read']:,} rows read, {count['kept']:,} kept, "
            f"{sum(count['dropped'].values()):,} dropped"
        )
        reasons = count["dropped"].items()
        parts.append(table([(n, name, ledger.REASONS[name]) for name, n in reasons]))
        missing = [r.file for r in rows if (r.source, r.dropped) == (source, ABSENT)]
        if missing:
            parts.append(f"  First of those not on disk: {', '.join(missing[:3])}")
    parts.append(_unmapped(rows))
    parts += [f"Note: {line}" for s in given.values() for line in s.remarks()]
    for place, label, expected, found in differences(recipe, given, rows):
        parts.append(
            f"UNEXPECTED: {place} has {found:,} {label}, expected {expected:,}."
        )
    for name in recipe.sources:
        if name not in given:
            parts.append(_missing(recipe, name))
    return "\n".join(part for part in parts if part)


def _unmapped(rows):
    """Lists the findings that no class of the recipe takes, with their counts."""
    left = Counter((r.source, r.finding) for r in rows if r.dropped == "finding")
    if not left:
        return ""
    lines = [(n, *key) for key, n in left.most_common()]
    return "Findings of no class:\n" + table(lines)


def _missing(recipe, name):
    source = sources.find(name)
    effect = recipe.expected.get(name, {})
    counts = ", ".join(f"{n:,} {label}" for label, n in effect.items())
    return (
        f"MISSING: {name}: {source.title}. From {source.get}. License: "
        f"{source.license}. " + (f"Without it there are no {counts}." if counts else "")
    )


def files(rows):
    """Returns the distinct `(source, file)` of kept rows, sorted."""
    return sorted({(row.source, row.file) for row in rows if not row.dropped})


def check_space(out, count, size):
    """Says how much room the pictures need and how much there is.

    Args:
        out: Folder of the set, which may not exist yet.
        count: Number of pictures.
        size: Side in pixels, `None` for the original one.

    Returns:
        A sentence.

    Raises:
        OSError: If the pictures will hardly fit.
    """
    each = 0.6 * size**2 if size else 500_000  # a grey film as PNG, about
    out = Path(out).absolute()
    folder = next(path for path in (out, *out.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    need = (
        f"{count:,} pictures need about {count * each / 1e9:.2f} GB, and {folder} has "
        f"{free / 1e9:.2f} GB free."
    )
    if free < count * each:
        raise OSError(f"{need} Make room, or choose a smaller --size.")
    return need
