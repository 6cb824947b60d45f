"""What must hold before pictures are packed into shards, and what holds after."""

import hashlib
import io
import os
from collections import defaultdict
from pathlib import Path

import google_crc32c
from PIL import Image
from tqdm import tqdm

from data_tools import manifest, note, tfrecord
from data_tools.pictures.base import MAX_PIXELS, check_scans

NOTE = "shards.json"
MAX_RATIO = 100  # of the sides, as training allows
ENTRY = {"records": int, "bytes": int, "sha256": str}
REPAIR = "Choose another folder, or delete this one and pack the pictures anew."
COLUMNS = ("shard", "offset", "length", "crc32c")
NAMES = {"train": "train", "val": "val", "test": "test", "": "all"}
BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")  # of PNG and JPEG files
UNUSABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def check_rows(source, rows, shard_size):
    """Raises an error about what can be told without opening a picture."""
    taken = [column for column in COLUMNS if column in rows[0]] if rows else []
    if taken or not rows:
        raise ValueError(
            f"{source}: expected rows without the columns {', '.join(COLUMNS)}, which "
            f"are to be added. Received: {len(rows)} rows with {taken}. Give the "
            "manifest of the picture files, not that of shards."
        )
    if shard_size < 1:
        raise ValueError(f"shard_size must be positive. Received: {shard_size}")
    for line, row in enumerate(rows, start=2):
        if row.get("split", "") not in NAMES:
            raise ValueError(
                f"{source}, row {line}: the split must be train, val, test or empty. "
                f"Received: {row['split']!r}"
            )


def check_picture(encoded):
    """Raises an error unless this is a whole PNG or JPEG file that training reads."""
    if not encoded.startswith(BEGINNINGS):
        raise ValueError("it is no PNG or JPEG file")
    picture = Image.open(io.BytesIO(encoded), formats=["PNG", "JPEG"])
    long, short = max(picture.size), min(picture.size)
    if picture.mode == "CMYK" or long * short > MAX_PIXELS or long > MAX_RATIO * short:
        raise ValueError(f"mode {picture.mode}, {picture.width} x {picture.height}")
    # The blocks of a PNG file have checksums, and decoding it takes longer.
    if picture.format == "PNG":
        picture.verify()
    else:
        check_scans(encoded)
        picture.load()


def read_note(folder):
    """Reads `shards.json`: settings, counts, and the size and sha256 of each file."""
    return note.read(Path(folder, NOTE), REPAIR)


def read_files(folder):
    """Returns what `shards.json` of a finished set says of each file."""
    files = read_note(folder).get("files")
    if not isinstance(files, dict) or not all(map(is_entry, files.values())):
        raise ValueError(
            f"{Path(folder, NOTE)}: expected an object files with records, bytes and "
            f"sha256 of each. {REPAIR}"
        )
    return files


def is_entry(entry):
    """Says whether this is what `shards.json` says of a file."""
    return isinstance(entry, dict) and all(
        type(entry.get(name)) is kind for name, kind in ENTRY.items()
    )


def read_rows(folder):
    """Reads the manifest of a folder of shards; places and checksums are integers."""
    path, rows = folder / "manifest.csv", manifest.read(folder)
    if rows and not set(COLUMNS) <= rows[0].keys():
        raise ValueError(
            f"{path}: expected the columns {', '.join(COLUMNS)}, as {NOTE} stands "
            f"beside it. {REPAIR}"
        )
    for line, row in enumerate(rows, start=2):
        try:
            row |= {column: int(row[column]) for column in COLUMNS[1:]}
        except ValueError as error:
            raise ValueError(f"{path}, row {line}: {error}. {REPAIR}") from None
    return rows


def verify(folder):
    """Reads everything in a folder of shards again.

    Checks size and sha256 of every file, both checksums of every record, and that
    the manifest's rows are what the records say, each at its place.

    Args:
        folder: The folder that `write` has made.

    Returns:
        List of problems, each a sentence that names the file, and the row where
        there is one; empty if all is well.
    """
    folder, problems = Path(folder), []
    files, rows = read_files(folder), read_rows(folder)
    rows_of = defaultdict(list)
    for number, row in enumerate(rows):
        rows_of[row["shard"]].append(number)
    for name in sorted(rows_of.keys() - files.keys()):
        problems.append(f"{name}: row {rows_of[name][0] + 2} names it, {NOTE} does not")
    with tqdm(total=len(rows), unit=" pictures", desc="verify") as bar:
        for name, entry in files.items():
            numbers = sorted(rows_of[name], key=lambda n: rows[n]["offset"])
            try:
                path = locate(folder, name)
                problems += verify_shard(path, entry, rows, numbers, bar)
            except (OSError, ValueError) as error:
                problems.append(f"{name}: {error}")
    return problems


def locate(folder, name):
    """Returns the path of a file that `shards.json` names."""
    if Path(name).name != name:
        raise ValueError(f"{NOTE} names it, and it is no file of the folder")
    manifest.check_file(folder / name)
    return folder / name


def verify_shard(path, entry, rows, numbers, bar):
    """Yields the problems of one file whose rows are given in its order."""
    with open(path, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = os.fstat(stream.fileno()).st_size
        if (size, digest) != (entry["bytes"], entry["sha256"]):
            yield (
                f"{path.name}: {size} bytes with sha256 {digest}, where {NOTE} has "
                f"{entry['bytes']} with {entry['sha256']}"
            )
        end = 0
        for number in numbers:
            bar.update()
            row = rows[number]
            offset, length = row["offset"], row["length"]
            if not 0 <= offset <= offset + length <= size:
                yield (
                    f"{path.name}: row {number + 2} ({row['image']}) is at byte "
                    f"{offset}, of length {length}, in a file of {size}"
                )
                continue
            stream.seek(offset)
            encoded = stream.read(length)
            expected, place = tfrecord.picture(row, number + 2, encoded)
            stream.seek(max(offset - place, 0))
            whole = stream.read(len(expected)) == expected
            whole &= google_crc32c.value(encoded) == row["crc32c"]
            if not whole:
                yield (
                    f"{path.name}: row {number + 2} ({row['image']}) is not the record "
                    f"at its place, byte {offset}"
                )
            end = offset - place + len(expected)
    if end != entry["bytes"] or len(numbers) != entry["records"]:
        yield (
            f"{path.name}: the rows describe {len(numbers)} records in {end} bytes, "
            f"{NOTE} {entry['records']} in {entry['bytes']}"
        )
