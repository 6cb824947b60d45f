"""Reads and writes `manifest.csv`, the one file that describes a folder of films."""

import csv
import errno
import hashlib
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


def check_file(path):
    """Raises an error for a pipe or a device, which one could wait for for ever."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "a folder, a pipe or a device", str(path))


def locate(path):
    """Returns the path of a manifest that is given by its folder or itself."""
    path = Path(path)
    return path / "manifest.csv" if path.is_dir() else path


def read_csv(path, encoding="utf-8-sig", repair='Save the file anew as "CSV UTF-8".'):
    """Splits a csv file into cells.

    Args:
        path: The file.
        encoding: Its encoding.
        repair: What to do about a damaged one, for the error.

    Returns:
        The header, and list of `(line, cells)`, line being that of an editor.

    Raises:
        ValueError: If it is not in this encoding, holds NUL bytes, or a quotation
            mark is not closed.
    """
    check_file(path)
    raw = Path(path).read_bytes()
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}, line {line}: not {encoding} (byte 0x{raw[error.start]:02x}). "
            f"{repair}"
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise ValueError(f"{path}, line {line}: a NUL byte. {repair}")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line, records = 1, []
    try:
        for cells in reader:
            records.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(
            f"{path}, the row that begins in line {line}: {error}. A quotation mark "
            f"may be missing or stray. {repair}"
        ) from None
    header = records.pop(0)[1] if records else []
    return header, [(line, cells) for line, cells in records if cells]


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
    write_csv(path, [columns, *(row.values() for row in rows)])


def write_csv(path, rows):
    """Writes rows of cells as a csv file, whole or not at all."""
    rows = [[str(cell) for cell in row] for row in rows]
    # Python 3.11 does not quote a cell for a carriage return, and then cannot read it.
    odd = any("\r" in cell for row in rows for cell in row)
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if odd else csv.QUOTE_MINIMAL
    csv.writer(text, lineterminator="\n", quoting=quoting).writerows(rows)
    write_text(path, text.getvalue())


def write_text(path, text):
    """Writes a UTF-8 text file under a temporary name and then renames it."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8", newline="")
    os.replace(part, path)


def sha256(path):
    """Returns the hash of a file, hexadecimal."""
    check_file(path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
