"""Reads the tables of publishers."""

from data_tools import manifest


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
    names, records = manifest.read_csv(path, encoding, "Download the file again.")
    header = [name.strip().lower().replace(" ", "_") for name in names]
    if missing := [name for name in needs if name not in header]:
        raise ValueError(
            f"{path}: the columns {', '.join(missing)} are missing. Download the file "
            f"again. Received: {', '.join(header)}"
        )
    width = len(header)
    return [
        (line, dict(zip(header, cells, strict=True)) if len(cells) == width else None)
        for line, cells in records
    ]
