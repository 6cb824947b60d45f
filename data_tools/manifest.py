"""Reads and writes `manifest.csv`, the one file that describes a folder of films."""

import csv
import io
import os
from pathlib import Path, PurePosixPath


def read(path):
    """Reads a manifest; every cell is text.

    Args:
        path: The file, or the folder that holds `manifest.csv`.

    Returns:
        List of dicts with the same keys, the columns, in the order of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If something is wrong in it; names the file and the line.

    Example:
    >>> rows = manifest.read("films")
    >>> rows[0]["label"]
    'normal'
    """
    path = locate(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no manifest {path}. Expected a csv file with the columns image "
            "and label, or a folder that holds such a manifest.csv."
        )
    header, records = read_csv(path)
    if not {"image", "label"} <= set(header) or len(set(header)) < len(header):
        raise ValueError(
            f"{path}: the header needs the columns image and label, and none twice. "
            f"Received: {header}"
        )
    rows = []
    for line, cells in records:
        if len(cells) != len(header):
            raise ValueError(
                f"{path}, line {line}: {len(cells)} fields, where the header has "
                f"{len(header)}. Put a field that holds a comma in quotation marks."
            )
        row = dict(zip(header, cells, strict=True))
        check_image(path, line, row["image"])
        rows.append(row)
    return rows


def locate(path):
    """Returns the path of a manifest that is given by its folder or itself."""
    path = Path(path)
    return path / "manifest.csv" if path.is_dir() else path


def read_csv(path):
    """Splits a UTF-8 csv file into its header and `(line, cells)`."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}, line {line}: not UTF-8 (byte 0x{raw[error.start]:02x}). Save the "
            'file as "CSV UTF-8".'
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise ValueError(f"{path}, line {line}: a NUL byte. Write the file anew.")
    reader = csv.reader(io.StringIO(text, newline=""))
    header = next(reader, [])
    line, records = reader.line_num + 1, []
    for cells in reader:
        if cells:
            records.append((line, cells))
        line = reader.line_num + 1
    return header, records


def check_image(path, line, image):
    """Raises an error if a picture's path is empty or leaves the folder."""
    parts = PurePosixPath(image.replace("\\", "/")).parts
    if not image or ".." in parts or image.startswith("/") or ":" in image[1:2]:
        raise ValueError(
            f"{path}, line {line}: {image!r} is no path inside the manifest's folder. "
            "Keep the pictures beside the manifest and write relative paths."
        )


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
