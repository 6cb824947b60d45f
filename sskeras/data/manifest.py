"""Read a manifest: the csv file that says which picture is what."""

import os
from pathlib import Path

import numpy as np

from sskeras.data import manifest_checks as checks

PAPER_ORDER = ("normal", "pneumonia", "covid-19")


def read_manifest(path):
    """Read a manifest and check every row of it.

    A manifest is a UTF-8 csv file with a header. `image` (path relative to the
    manifest, inside its folder) and `label` (class name, empty = unknown) are
    required; `patient_id` (unique over all sources), `source`, `split` (`train`,
    `val`, `test` or empty) and `weight` (evaluation weight) are optional; further
    columns are kept. Every column is text, `NA` too, but for `weight`. A manifest that
    `python -m data_tools shards` wrote also names the place of each picture.

    Args:
        path: The csv file, or the folder that holds `manifest.csv`.

    Returns:
        pandas.DataFrame with all columns of the file, the optional ones filled in
        (`weight` float, 1.0 where the column is absent), and two new ones: `path`,
        the absolute path of the picture or of the shard that holds it, and `row`,
        its line in the file as an editor shows it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If anything in it is wrong; names the file and the rows.

    Warns:
        UserWarning: If rows name a picture that an earlier row names, or images of
            one patient are in several splits.

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
    table = checks.text_table(manifest)
    checks.check_splits_and_labels(manifest, table)
    table["weight"] = checks.evaluation_weights(manifest, table)
    table["path"] = checks.picture_paths(manifest, table)
    checks.warn_of_repeats(manifest, table)
    checks.warn_of_leaks(manifest, table)
    return table


def check_pictures(table):
    """Check that every picture file of a table exists, or every shard.

    Args:
        table: DataFrame of `read_manifest`.

    Raises:
        FileNotFoundError: Names how many rows lack their file and the first five.
    """
    there = {path: os.path.isfile(path) for path in table["path"].unique()}
    missing = table[~table["path"].map(there).astype(bool)]
    if len(missing):
        raise FileNotFoundError(
            f"The files of {len(missing)} of {len(table)} pictures are missing: "
            f"{checks.examples(missing['row'], missing['path'])}. "
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
            f"{checks.examples(unknown['row'], unknown['label'])}; the first belongs "
            f"to {unknown['path'].iloc[0]}. Correct the label or add the class."
        )
    return np.array([number[label] for label in table["label"]], "int32")
