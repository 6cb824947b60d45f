"""Splits a manifest into train and test and writes it, with the labeled subsets.

No patient and no film is on both sides, unless rows are split one by one, as the
paper may have done: then the leaks are counted.
"""

import json
import os
from collections import Counter
from pathlib import Path

from data_tools import groups, manifest, text
from data_tools.assignment import assign, labeled, number_copies

__all__ = ["assign", "describe", "labeled", "write"]

VERSION = 1  # Raise it when the same seed gives another split.
SPLITS = ("train", "val", "test")
SHARES = (0.05, 0.07, 0.09)  # labeled, in the paper


def write(
    path,
    rows,
    *,
    seed=0,
    train=0.7,
    validation=0.0,
    labeled=SHARES,
    by_row=False,
    given=False,
    provenance=None,
):
    """Splits the rows of a manifest and writes it, with what belongs to it.

    Beside the manifest: `labeled-5.csv` and so on, the same rows with those labels
    only that training may see (all labels stay in the manifest), and `split.json`,
    settings, counts and hashes. Beside `NAME.csv`: `NAME.labeled-5.csv` and
    `NAME.split.json`. The manifest is renamed into place last.

    Args:
        path: The manifest to write.
        rows: List of dicts, see `manifest.write`. The columns `split` and `group`
            are added or overwritten; near duplicates must share a `group`.
        seed, train, validation: See `assign`.
        labeled: Shares of the labels of train, see the function `labeled`.
        by_row: Split row by row: patients and even pictures get into both train and
            test, and are only counted.
        given: Keep the column `split` of the rows, as that of a released list;
            leaks are only counted.
        provenance: Dict of name to SHA-256 of other files of the set, which
            `verify` checks too.

    Returns:
        Dict, the content of `split.json`.

    Raises:
        ValueError: If an argument is out of range, or a split would cut a group.
    """
    path, rows = Path(path), complete(rows, given)
    # Sorted, so that the order of the rows in the file decides nothing.
    table = sorted(rows, key=lambda row: (row["image"], *row.values()))
    labels, images, names = (
        [row[column] for row in table] for column in ("label", "image", "group")
    )
    if by_row:
        names = number_copies(images)
    misses = []
    if not given:
        splits, misses = assign(labels, names, seed, train, validation)
        for row, split in zip(table, splits, strict=True):
            row["split"] = split
    if not (given or by_row):
        groups.check(path, rows)
    tables = {
        f"{prefix(path)}labeled-{share * 100:g}.csv": hide(
            rows, table, names, share, seed
        )
        for share in labeled
    }
    report = {
        "version": VERSION,
        "rule": "as given" if given else "row by row" if by_row else "whole groups",
        "seed": seed,
        "train": train,
        "validation": validation,
        "rows": len(rows),
        "groups": len({row["group"] for row in rows}),
        "counts": count(rows),
        "labeled": {name: count_labels(hidden) for name, hidden in tables.items()},
        "misses": misses,
        "leaks": groups.leaks(rows),
        "provenance": provenance or {},
    }
    return publish(path, tables | {path.name: rows}, report)


def complete(rows, given):
    """Copies rows; `split` (empty unless given) and `group` follow the patient."""
    columns = list(rows[0]) if rows else []
    alike = all(list(row) == columns for row in rows)
    if not alike or not {"image", "label"} <= {*columns}:
        raise ValueError(
            "Expected rows with the same columns, image and label among them. "
            f"Received {len(rows)} rows, the first with {columns}"
        )
    columns = [column for column in columns if column not in ("split", "group")]
    last = next(c for c in ("source", "patient_id", "label") if c in columns)
    place = columns.index(last) + 1
    columns[place:place] = ["split", "group"]
    copies = []
    for row, group in zip(rows, groups.of(rows), strict=True):
        split = row.get("split", "") if given else ""
        cells = row | {"split": split, "group": group}
        copies.append({column: cells[column] for column in columns})
    return copies


def hide(rows, table, names, share, seed):
    """Copies rows and empties the labels of train, but for a share of each class.

    `table` are the same rows in the order that counts, `names` their groups.
    """
    labels, splits = ([row[column] for row in table] for column in ("label", "split"))
    kept = {id(table[i]) for i in labeled(labels, names, splits, share, seed)}
    return [
        row | {"label": ""} if row["split"] == "train" and id(row) not in kept else row
        for row in rows
    ]


def count(rows):
    """Counts rows: dict of split to `{class: rows}`."""
    counts = Counter((row["split"], row["label"]) for row in rows)
    labels = text.class_order(label for _, label in counts)
    return {
        split: {label: counts[split, label] for label in labels}
        for split in (*SPLITS, "")
        if any(counts[split, label] for label in labels)
    }


def count_labels(rows):
    """Counts what training may see: dict of class to labels of train."""
    found = count(rows).get("train", {})
    return {label: number for label, number in found.items() if label}


def prefix(path):
    """Returns how the names of the files beside a manifest begin."""
    return "" if path.name == "manifest.csv" else f"{path.stem}."


def publish(path, tables, report):
    """Writes all files under temporary names, then renames them in this order.

    Args:
        path: The manifest.
        tables: Dict of name to rows; the manifest is the last.
        report: Dict; `sha256` of every table is added to it.

    Returns:
        The report.
    """
    note = f"{prefix(path)}split.json"
    parts = {name: path.with_name(f".{name}.new") for name in (note, *tables)}
    try:
        for name, rows in tables.items():
            manifest.write(parts[name], rows)
        report["sha256"] = {name: manifest.sha256(parts[name]) for name in tables}
        content = json.dumps(report, indent=1, sort_keys=True, ensure_ascii=False)
        manifest.write_text(parts[note], content + "\n")
        for name, part in parts.items():
            os.replace(part, path.with_name(name))
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    return report


def describe(report):
    """Writes the counts of a split, and what is wrong with it, for people.

    Args:
        report: What `write` returns.

    Returns:
        Text of some lines.
    """
    lines = [text.by_class(report["counts"])]
    for name, counts in report["labeled"].items():
        numbers = ", ".join(f"{label} {n:,}" for label, n in counts.items())
        lines.append(f"  {name}: {numbers}")
    for miss in report["misses"]:
        lines.append(
            f"  MISSED: {miss['received']:,} instead of {miss['expected']:,} "
            f"{miss['label'] or 'unknown'} in {miss['split']}, as groups stay whole"
        )
    for kind, counts in report["leaks"].items():
        for label, number in counts.items():
            rows, name = report["counts"]["test"][label], label or "unknown"
            lines.append(
                f"  LEAK: of the {rows:,} {name} rows of test, {number:,} "
                f"({number / rows:.1%}) have their {kind} in train too"
            )
    return "\n".join(lines)
