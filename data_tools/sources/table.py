"""Reads the tables of publishers."""

import csv
import io
from pathlib import Path


def read_table(path, encoding="utf-8-sig", needs=()):
    """Reads a csv file of any publisher.

    Headers drift: they are lower-cased, stripped, and blanks become underscores.

    Args:
        path: The file.
        encoding: Its encoding.
        needs: Columns that must be there, as they are called here.

    Returns:
        List of `(line, dict)`, the dict of text; `(line, None)` where a row has
        another number of fields than the header.

    Raises:
        ValueError: If the file is not in this encoding, holds NUL bytes or lacks a
            column.
    """
    reader = csv.reader(io.StringIO(_decode(path, encoding), newline=""))
    header = [name.strip().lower().replace(" ", "_") for name in next(reader, [])]
    if missing := [name for name in needs if name not in header]:
        raise ValueError(
            f"{path}: the columns {', '.join(missing)} are missing. Download the file "
            f"again. Received: {', '.join(header)}"
        )
    table, line = [], reader.line_num + 1
    for cells in reader:
        if cells:
            fits = len(cells) == len(header)
            record = dict(zip(header, cells, strict=True)) if fits else None
            table.append((line, record))
        line = reader.line_num + 1
    return table


def _decode(path, encoding):
    """Reads a text file, or says in which line it is damaged."""
    raw = Path(path).read_bytes()
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}, line {line}: not {encoding} (byte 0x{raw[error.start]:02x}). "
            "Download the file again."
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise ValueError(f"{path}, line {line}: a NUL byte. Download the file again.")
    return text
