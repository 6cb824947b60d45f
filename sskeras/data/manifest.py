"""Read and check a manifest: the csv file that says which picture is what."""

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
PAPER_ORDER = ("normal", "pneumonia", "covid-19")


def read_manifest(path):
    """Read a manifest and check every row of it.

    A manifest is a UTF-8 csv file with a header. `image` (path relative to the
    manifest, inside its folder) and `label` (class name, empty = unknown) are
    required; `patient_id` (unique over all sources), `source`, `split` (`train`,
    `val`, `test` or empty) and `weight` (evaluation weight) are optional; further
    columns are kept. Every column is text, `NA` too, but for `weight`.

    Args:
        path: The csv file, or the folder that holds `manifest.csv`.

    Returns:
        pandas.DataFrame with all columns of the file, the optional ones filled in
        (`weight` float, 1.0 where the column is absent), and two new ones: `path`,
        the absolute path of the picture, and `row`, its line in the file as an
        editor shows it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If anything in it is wrong; names the file and the rows.

    Warns:
        UserWarning: If images of one patient are in several splits.

    Example:

    >>> table = read_manifest("cxr/manifest.csv")
    >>> train = select(table, "train")
    """
    manifest = Path(path)
    if manifest.is_dir():
        manifest = manifest / "manifest.csv"
    if not manifest.is_file():
        raise FileNotFoundError(
            f"There is no manifest {manifest}. Expected a csv file with the columns "
            "image and label, or a folder that holds such a manifest.csv."
        )
    table = _table(manifest, *_records(manifest, _text(manifest)))
    _check_splits_and_labels(manifest, table)
    table["weight"] = _weights(manifest, table)
    table["path"] = _picture_paths(manifest, table)
    _warn_of_leaks(manifest, table)
    return table


def check_pictures(table):
    """Check that every picture file of a table exists.

    Args:
        table: DataFrame of `read_manifest`.

    Raises:
        FileNotFoundError: Names the number of missing files and the first five.
    """
    missing = table[[not os.path.isfile(path) for path in table["path"]]]
    if len(missing):
        raise FileNotFoundError(
            f"{len(missing)} of {len(table)} picture files are missing: "
            f"{_examples(missing['row'], missing['path'])}. "
            "Copy them there, or take their rows out of the manifest."
        )


def class_names(table):
    """Name the classes of a table, in the order of their integers.

    This order decides what `class_weight=(1, 1, 2)` means and which column of the
    probabilities is which. It is the paper's: normal, pneumonia, covid-19, in
    whatever case they are written and as far as they occur; all other names follow
    in alphabetical order. It depends on the set of names alone, not on the rows.

    Args:
        table: DataFrame of `read_manifest`. Give the whole table rather than one
            split, in which a rare class may be absent.

    Returns:
        Tuple of class names.

    Raises:
        ValueError: If no row has a label.

    Example:

    >>> class_names(table)
    ('normal', 'pneumonia', 'covid-19')
    """
    names = set(table["label"]) - {""}
    if not names:
        raise ValueError(
            "No row of the manifest has a label, so the classes are unknown. Fill in "
            "the column label for some rows."
        )
    rank = {name: position for position, name in enumerate(PAPER_ORDER)}
    return tuple(sorted(names, key=lambda n: (rank.get(n.lower(), len(rank)), n)))


def select(table, split):
    """Take the rows of one split, numbered afresh from 0.

    Args:
        table: DataFrame of `read_manifest`.
        split: `"train"`, `"val"` or `"test"`.

    Raises:
        ValueError: If the split has no rows; names the splits that have some.
    """
    rows = table[table["split"] == split]
    if rows.empty:
        counts = table["split"].value_counts().to_dict()
        raise ValueError(
            f"No row of the manifest belongs to split {split!r}. Rows per split: "
            f"{counts}. Choose one of these or fill in the column split."
        )
    return rows.reset_index(drop=True)


def encode_labels(table, classes):
    """Turn class names into integers.

    Args:
        table: DataFrame of `read_manifest`.
        classes: Class names in the order of their integers, see `class_names`.

    Returns:
        int32 array `(n,)`, −1 where the label is empty.

    Raises:
        ValueError: If a label is none of the classes; names file, row and label.
    """
    number = {name: position for position, name in enumerate(classes)} | {"": -1}
    unknown = table[~table["label"].isin(list(number))]
    if len(unknown):
        raise ValueError(
            f"{len(unknown)} label(s) are none of the classes {tuple(classes)}: "
            f"{_examples(unknown['row'], unknown['label'])}; the first belongs to "
            f"{unknown['path'].iloc[0]}. Correct the label or add the class."
        )
    return np.array([number[label] for label in table["label"]], "int32")


def _examples(rows, values):
    """Write the first five bad rows: `row 2: 'a', row 7: 'b', …`."""
    pairs = list(zip(rows, values, strict=True))
    shown = ", ".join(f"row {row}: {str(value)!r}" for row, value in pairs[:5])
    return shown + (f", … ({len(pairs)} in all)" if len(pairs) > 5 else "")


def _refuse(manifest, table, bad, column, problem):
    """Raise a ValueError if any row is bad. `bad` is a boolean per row."""
    rows = table[np.asarray(bad, bool)]
    if len(rows):
        raise ValueError(
            f"{manifest}: {len(rows)} row(s) {problem}. Received in column {column}: "
            f"{_examples(rows['row'], rows[column])}"
        )


def _text(manifest):
    """Decode the file; the byte order mark that Excel writes is no content."""
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
    return text


def _records(manifest, text):
    """Split the text into header, records and the line on which each begins."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
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


def _table(manifest, header, records, rows):
    """Build the text table, after checking that all rows fit the header."""
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
            f"{_examples(*zip(*short_or_long, strict=True))}. "
            "Put a field that holds a comma in quotation marks."
        )
    table = pd.DataFrame(records, columns=header, dtype=str)
    for column, value in OPTIONAL.items():
        if column not in header:
            table[column] = value
    table["row"] = rows
    return table


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


def _check_splits_and_labels(manifest, table):
    wrong = ~table["split"].isin([*SPLITS, ""])
    problem = f"have an unknown split; expected one of {SPLITS} or nothing"
    _refuse(manifest, table, wrong, "split", problem)
    wrong = table["label"] != table["label"].str.strip()
    _refuse(manifest, table, wrong, "label", "have blanks around the label; cut them")


def _weights(manifest, table):
    """Convert the column `weight` to float `(n,)`."""
    weights = np.array([_number(cell) for cell in table["weight"]])
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    problem = "have a weight that is not a finite number ≥ 0; write 1 for no weight"
    _refuse(manifest, table, wrong, "weight", problem)
    return weights


def _number(cell):
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _picture_paths(manifest, table):
    """Resolve the column `image` to absolute paths inside the manifest's folder."""
    images = table["image"]
    _refuse(manifest, table, images == "", "image", "name no picture; fill in its path")
    folder = os.path.realpath(manifest.parent)
    paths = [os.path.realpath(os.path.join(folder, image)) for image in images]
    outside = [
        os.path.isabs(image)
        or ".." in Path(image).parts
        or not path.startswith(os.path.join(folder, ""))
        for image, path in zip(images, paths, strict=True)
    ]
    problem = (
        "lead out of the manifest's folder (absolute, `..` or a link); "
        "keep the pictures beside the manifest and write relative paths"
    )
    _refuse(manifest, table, outside, "image", problem)
    repeated = pd.Series(paths).duplicated()
    problem = "name a picture that an earlier row names already; keep one of them"
    _refuse(manifest, table, repeated, "image", problem)
    return paths


def _warn_of_leaks(manifest, table):
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
