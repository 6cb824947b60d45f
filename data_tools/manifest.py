"""Writes `manifest.csv`, the one file that describes a folder of films."""

import csv
import io
import os
from pathlib import Path


def write(path, rows):
    """Writes a manifest, whole or not at all.

    Args:
        path: The file to write, usually `FOLDER/manifest.csv`. One that is
            already there is replaced.
        rows: List of dicts with the same keys in the same order: the columns.
            `image` (relative to the manifest) and `label` (a class name, or
            `""` where unknown) are required.

    Raises:
        ValueError: If there are no rows, a required column is missing, or a row
            has other columns than the first.

    Example:
    >>> manifest.write("films/manifest.csv", [{"image": "a.png", "label": "normal"}])
    """
    if not rows:
        raise ValueError(
            f"{path}: a manifest needs at least one row. Expected a list of dicts. "
            f"Received: {rows!r}"
        )
    columns = list(rows[0])
    missing = {"image", "label"} - set(columns)
    if missing:
        raise ValueError(
            f"{path}: required columns are missing: {sorted(missing)}. Give every "
            f"row an `image` and a `label`. Received: {columns}"
        )
    for number, row in enumerate(rows, start=2):  # line 1 is the header
        if list(row) != columns:
            raise ValueError(
                f"{path}, line {number}: every row must have the columns of the "
                f"first, {columns}. Received: {list(row)}"
            )
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_text(path, text):
    """Writes a UTF-8 text file under a temporary name and then renames it."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8", newline="")
    os.replace(part, path)
