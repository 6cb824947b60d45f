"""From examined rows to rows of a manifest: one for each picture, and groups.

Two films are the same picture if their grey pixels are equal, or their 32×32
thumbnails correlate at 0.9995 or more (re-encoded, resized). Above 0.98 they are near
duplicates (other crop or contrast, the same patient again): both stay, in one group.
"""

from data_tools import duplicates, groups, manifest, pictures, store


def arrange(recipe, rows, entries, given):
    """Drops repeated pictures and describes the rows that stay.

    Args:
        recipe: A `Recipe`. One that takes every row drops none here.
        rows: All `Row`; some get dropped.
        entries: Dict of `(source, file)` to `Entry`.
        given: Dict of name to `Source`.

    Returns:
        Rows of the manifest, and the pairs of like pictures as `(row, row,
        correlation)` of a list of dicts.
    """
    live = [row for row in rows if not row.dropped]
    versions = {name: source.version() for name, source in given.items()}
    known = [entries[row.source, row.file] for row in live]
    thumbnails = store.thumbnails(known)
    hashes = pictures.phash(thumbnails)
    table = [
        describe(row, entry, versions[row.source], phash)
        for row, entry, phash in zip(live, known, hashes, strict=True)
    ]
    flag_negatives(table, thumbnails)
    pairs = like_pairs(table, hashes, thumbnails)
    for line, group in zip(table, groups.of(table, pairs), strict=True):
        line["group"] = group
    if not (recipe.every_row or recipe.version):
        keep_one(live, table, pairs)
    named = [
        (table[pair.first], table[pair.second], pair.correlation) for pair in pairs
    ]
    return [
        line for row, line in zip(live, table, strict=True) if not row.dropped
    ], named


def describe(row, entry, version, phash):
    """Returns a row of the manifest, with an empty group."""
    return {
        "image": entry.image,
        "label": row.label,
        "patient_id": row.patient,
        "source": f"{row.source}/{row.origin}" if row.origin else row.source,
        "split": row.split,
        "group": "",
        "view": row.view or entry.view,
        "age": row.age or entry.age,
        "sex": row.sex or entry.sex,
        "modality": row.modality,
        "finding": row.finding,
        "rule": row.rule,
        "source_version": version,
        "source_file": row.file,
        "license": row.license,
        "url": row.url,
        "width": str(entry.width),
        "height": str(entry.height),
        "mode": entry.mode,
        "bits": str(entry.bits),
        "sha256": entry.sha256,
        "sha256_pixels": entry.sha256_pixels,
        "sha256_source": entry.sha256_source,
        "phash": f"{int(phash):016x}",
        "flags": entry.flags,
    }


def flag_negatives(table, thumbnails):
    """Adds the flag `negative` to films that seem to be photographic negatives."""
    for line, negative in zip(table, pictures.looks_negative(thumbnails), strict=True):
        if negative:
            line["flags"] = f"{line['flags']} negative".strip()


def like_pairs(table, hashes, thumbnails):
    """Finds like pictures; several rows of one file count once.

    Returns:
        Sorted list of `duplicates.Pair`, numbers of rows of the table.
    """
    first, pairs = {}, []
    for number, line in enumerate(table):
        one = first.setdefault(line["sha256_pixels"], number)
        if any(line[name] != table[one][name] for name in ("source", "source_file")):
            pairs.append(duplicates.Pair(one, number, 1.0))
    rows = list(first.values())
    for one, other, correlation in duplicates.find(hashes[rows], thumbnails[rows]):
        pairs.append(duplicates.Pair(rows[one], rows[other], correlation))
    return sorted(pairs)


def keep_one(live, table, pairs):
    """Keeps the first row of every picture; drops all where the labels differ.

    A row with a label is preferred to one without.
    """
    links = [
        (pair.first, pair.second)
        for pair in pairs
        if pair.correlation >= duplicates.SAME
    ]
    first = {}
    for number, line in enumerate(table):
        links.append((first.setdefault(line["sha256_pixels"], number), number))
    members = {}
    for number, picture in enumerate(groups.components(len(table), links)):
        members.setdefault(picture, []).append(live[number])
    for same in members.values():
        labels = {row.label for row in same} - {""}
        stays = next((row for row in same if row.label), same[0])
        for row in same:
            if len(labels) > 1:
                row.drop("conflict", "; ".join(f"{place(o)}: {o.label}" for o in same))
            elif row is not stays:
                row.drop("duplicate", f"of {place(stays)}")


def place(row):
    """Names a row for the ledger."""
    return f"{row.source} line {row.line} ({row.file})"


def write_pairs(path, pairs):
    """Writes `duplicates.csv`.

    Args:
        path: The file.
        pairs: List of `(row, row, correlation)`, rows of a manifest.
    """
    header = ("source", "source_file", "label")
    others = [f"other_{name}" for name in header]
    lines = [(*header, *others, "correlation", "same_picture")]
    for first, second, correlation in pairs:
        cells = [row[name] for row in (first, second) for name in header]
        same = "yes" if correlation >= duplicates.SAME else "no"
        lines.append((*cells, f"{correlation:.5f}", same))
    manifest.write_csv(path, lines)
