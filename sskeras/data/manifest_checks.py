"""The steps of `read_manifest`; each refuses what is wrong and names the rows.

Always `manifest` is the path of the file, for the message, and `table` its content.
"""

import csv
import io
import math
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

SPLITS = ("train", "val", "test")
OPTIONAL = {"patient_id": "", "source": "", "split": "", "weight": "1"}
IN_SHARDS = {"shard", "offset", "length", "crc32c"}  # of `data_tools shards`


def text_table(manifest):
    """Read the file into a table of text, once all its rows fit the header."""
    header, records, rows = _split_rows(manifest, _open(manifest))
    _check_header(manifest, header)
    short_or_long = [
        (row, f"{len(record)} fields: {','.join(record)[:80]}")
        for row, record in zip(rows, records, strict=True)
        if len(record) != len(header)
    ]
    if short_or_long:
        raise ValueError(
            f"{manifest}: {len(short_or_long)} row(s) do not have the "
            f"{len(header)} fields of the header: "
            f"{examples(*zip(*short_or_long, strict=True))}. "
            "Put a field that holds a comma in quotation marks."
        )
    table = pd.DataFrame(records, columns=header, dtype=str)
    for column, value in OPTIONAL.items():
        if column not in header:
            table[column] = value
    table["row"] = rows
    return table


def check_splits_and_labels(manifest, table):
    """Refuse unknown splits and labels with blanks around them."""
    wrong = ~table["split"].isin([*SPLITS, ""])
    problem = f"have an unknown split; expected one of {SPLITS} or nothing"
    _refuse(manifest, table, wrong, "split", problem)
    wrong = table["label"] != table["label"].str.strip()
    _refuse(manifest, table, wrong, "label", "have blanks around the label; cut them")


def evaluation_weights(manifest, table):
    """Convert the column `weight` to float `(n,)`."""
    weights = np.array([_number(cell) for cell in table["weight"]])
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    problem = "have a weight that is not a finite number ≥ 0; write 1 for no weight"
    _refuse(manifest, table, wrong, "weight", problem)
    return weights


def is_sharded(table):
    """Say whether the pictures of a table are in shards rather than files."""
    return set(table.columns) >= IN_SHARDS


def picture_paths(manifest, table):
    """Resolve pictures, or their shards, to absolute paths inside the folder."""
    column = "shard" if is_sharded(table) else "image"
    problem = f"name no picture; fill in the column {column}"
    _refuse(manifest, table, table[column] == "", column, problem)
    folder = os.path.realpath(manifest.parent)
    names = table[column].unique()
    paths = {name: os.path.realpath(os.path.join(folder, name)) for name in names}
    inside = {
        name: not os.path.isabs(name)
        and ".." not in Path(name).parts
        and path.startswith(os.path.join(folder, ""))
        for name, path in paths.items()
    }
    problem = (
        "lead out of the manifest's folder (absolute, `..` or a link); "
        "keep the pictures beside the manifest and write relative paths"
    )
    _refuse(manifest, table, ~table[column].map(inside), column, problem)
    return table[column].map(paths)


def warn_of_repeats(manifest, table):
    """Warn if rows name the same picture, and if it is in both train and test."""
    pictures = table["image" if is_sharded(table) else "path"]
    repeated = table[pictures.duplicated()]
    if repeated.empty:
        return
    problem = (
        f"{manifest}: {len(repeated)} row(s) name a picture that an earlier row names "
        f"already: {examples(repeated['row'], repeated['image'])}."
    )
    shown = pictures[table["split"] == "train"]
    leaks = sum(pictures.isin(shown) & (table["split"] == "test"))
    if leaks:
        problem += f" {leaks} row(s) of test repeat a picture of train: scores will be"
        problem += " too good."
    remedy = "Unless this is meant, keep one row of each picture."
    warnings.warn(f"{problem} {remedy}", UserWarning, stacklevel=3)


def warn_of_leaks(manifest, table):
    """Warn if images of one patient are in several splits."""
    known = table[(table["patient_id"] != "") & (table["split"] != "")]
    places = known[["patient_id", "split"]].drop_duplicates()
    leaks = places[places["patient_id"].duplicated(keep=False)]
    if len(leaks):
        patient = leaks["patient_id"].iloc[0]
        splits = leaks["split"][leaks["patient_id"] == patient]
        warnings.warn(
            f"{manifest}: {leaks['patient_id'].nunique()} patient(s) are in more than "
            f"one split, the first is {patient!r} in {' and '.join(splits)}. Scores "
            "will be too good; move all images of a patient into one split.",
            UserWarning,
            stacklevel=3,
        )


def examples(rows, values):
    """Write the first five bad rows: `row 2: 'a', row 7: 'b', …`."""
    pairs = list(zip(rows, values, strict=True))
    shown = ", ".join(f"row {row}: {str(value)!r}" for row, value in pairs[:5])
    return shown + (f", … ({len(pairs)} in all)" if len(pairs) > 5 else "")


def _open(manifest):
    """Open the file as text; the byte order mark that Excel writes is no content."""
    raw = manifest.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = raw[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{manifest}, row {row}: not UTF-8 (byte 0x{raw[error.start]:02x}). "
            'Save the file as "CSV UTF-8".'
        ) from None
    if "\0" in text:
        row = text[: text.index("\0")].count("\n") + 1
        raise ValueError(
            f"{manifest}, row {row}: holds a NUL byte, so the file is damaged or no "
            "csv file. Write it anew."
        )
    return io.TextIOWrapper(io.BytesIO(raw), "utf-8-sig", newline="")


def _split_rows(manifest, stream):
    """Split the file into header, records and the line on which each begins."""
    reader = csv.reader(stream, strict=True)
    records, rows, begin = [], [], 1
    try:
        for record in reader:
            if record:  # an empty line is no row
                records.append(record)
                rows.append(begin)
            begin = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(
            f"{manifest}: the row that begins on line {begin} is no csv ({error}). "
            "Look for an unclosed or stray quotation mark there."
        ) from None
    if len(records) < 2:
        raise ValueError(
            f"{manifest} has no rows. Expected a header with the columns image and "
            "label, and one row per picture."
        )
    return records[0], records[1:], rows[1:]


def _check_header(manifest, header):
    missing = [column for column in ("image", "label") if column not in header]
    if missing:
        raise ValueError(
            f"{manifest}: no column {' and no column '.join(missing)}. Found: "
            f"{header}. Columns are separated by commas and named in the first row."
        )
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated:
        raise ValueError(f"{manifest}: columns {repeated} occur twice. Rename one.")
    taken = [column for column in ("path", "row") if column in header]
    if taken:
        raise ValueError(
            f"{manifest}: read_manifest itself adds the columns path and row. "
            f"Rename {taken} in the file."
        )


def _refuse(manifest, table, bad, column, problem):
    """Raise a ValueError if any row is bad. `bad` is a boolean per row."""
    rows = table[np.asarray(bad, bool)]
    if len(rows):
        raise ValueError(
            f"{manifest}: {len(rows)} row(s) {problem}. Received in column {column}: "
            f"{examples(rows['row'], rows[column])}"
        )


def _number(cell):
    try:
        return float(cell)
    except ValueError:
        return math.nan
