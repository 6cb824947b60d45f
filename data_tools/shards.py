"""Pictures packed into TFRecord files, for sets that are too many files to handle.

Each file holds the pictures of one split in random order, as they are on disk. A
record is a `tf.train.Example` with `image/encoded` (a PNG or JPEG file), `label`,
`image` (its name) and `row` (its line in the manifest, the header being line 1), so
that TensorFlow alone can read it:

    example = tf.io.parse_single_example(
        record,
        {
            "image/encoded": tf.io.FixedLenFeature([], tf.string),
            "label": tf.io.FixedLenFeature([], tf.string),
        },
    )

The `manifest.csv` beside them has the rows of the first one in their order, with four
more columns: `shard`, the file, `offset` and `length`, the place of the encoded
picture in it, and `crc32c`, its checksum. With them any picture is one read away.
"""

import contextlib
import hashlib
import json
import os
from collections import Counter, defaultdict
from pathlib import Path

import google_crc32c
from tqdm import tqdm

from data_tools import manifest, tfrecord
from data_tools.shard_checks import (
    COLUMNS,
    NAMES,
    NOTE,
    UNUSABLE,
    check_picture,
    check_rows,
    read_note,
    verify,
)

__all__ = ["verify", "write"]

VERSION = 1  # Raise it when the same set gives other bytes.


def write(source, out, shard_size=128 * 2**20, seed=0):
    """Packs the pictures of a manifest.

    The manifest comes last: a folder without one is unfinished, and the same call
    writes it anew. A finished set is left as it is as long as the manifest is the
    same; a manifest with hashes, as `build` writes, tells of changed pictures too. The
    bytes follow from the manifest, the pictures and the arguments.

    Args:
        source: The manifest, or the folder that holds it.
        out: The folder to write, made if need be.
        shard_size: Bytes of pictures after which a file is full.
        seed: Integer, of the order within a split.

    Returns:
        Path of the new manifest.

    Raises:
        ValueError: If an argument is out of range, or a picture cannot be packed.
        FileExistsError: If the folder holds another set.

    Example:
    >>> shards.write("films", "shards")
    """
    source, out = manifest.locate(source), Path(out)
    rows = manifest.read(source)
    check_rows(source, rows, shard_size)
    digest = manifest.sha256(source)
    settings = dict(version=VERSION, manifest=digest, shard_size=shard_size, seed=seed)
    if claim(out, settings):
        return out / "manifest.csv"
    packed, files = [None] * len(rows), {}
    with tqdm(total=len(rows), unit=" pictures", desc="shards") as bar:
        for name, numbers in plan(source, rows, shard_size, seed):
            pictures = read_pictures(source, rows, numbers, bar)
            files[name], places = write_shard(out / name, rows, pictures)
            for number, place in places.items():
                values = map(str, (name, *place))
                packed[number] = rows[number] | dict(zip(COLUMNS, values, strict=True))
    for stray in set(out.glob("*.tfrecord*")) - {out / name for name in files}:
        stray.unlink()  # Left by an interrupted call, before pictures changed.
    save_note(out, settings | {"counts": count(rows), "files": files})
    manifest.write(out / "manifest.csv", packed)
    return out / "manifest.csv"


def claim(out, settings):
    """Makes the folder and says whether it already holds this very set, finished."""
    finished = (out / "manifest.csv").exists()
    found = read_note(out) if (out / NOTE).exists() else {}
    if not found and (foreign := sorted(out.glob("*.tfrecord*"))):
        raise FileExistsError(
            f"{out} holds {foreign[0].name}, which is of another set. Choose another "
            "folder."
        )
    if (finished or found) and found | settings != found:
        raise FileExistsError(
            f"{out} already holds another set. Choose another folder, or delete this "
            f"one. Expected: {settings}. Found: "
            f"{ {name: found.get(name) for name in settings} }"
        )
    if not finished:
        out.mkdir(parents=True, exist_ok=True)
        save_note(out, settings)
    return finished


def save_note(out, note):
    """Writes `shards.json`."""
    manifest.write_text(out / NOTE, json.dumps(note, indent=1) + "\n")


def count(rows):
    """Counts the pictures of each class in each split."""
    counts = defaultdict(Counter)
    for row in rows:
        counts[NAMES[row.get("split", "")]][row["label"]] += 1
    return counts


def plan(source, rows, shard_size, seed):
    """Lists the files: their names, and the numbers of the rows that go into each."""
    files = []
    for split, name in NAMES.items():
        numbers = [n for n, row in enumerate(rows) if row.get("split", "") == split]
        numbers.sort(
            key=lambda n: hashlib.sha256(f"{seed}:{rows[n]['image']}".encode()).digest()
        )
        parts, size = [], shard_size
        for number in numbers:
            if size >= shard_size:
                parts.append([])
                size = 0
            parts[-1].append(number)
            with contextlib.suppress(OSError):  # Reading it will say what is wrong.
                size += os.stat(source.parent / rows[number]["image"]).st_size
        files += [
            (f"{name}-{i:05d}-of-{len(parts):05d}.tfrecord", part)
            for i, part in enumerate(parts)
        ]
    return files


def read_pictures(source, rows, numbers, bar):
    """Yields `(number, bytes)` of pictures that can be packed, and moves the bar."""
    for number in numbers:
        path = source.parent / rows[number]["image"]
        try:
            encoded = path.read_bytes()
            check_picture(encoded)
        except UNUSABLE as error:
            raise ValueError(
                f"{source}, row {number + 2}: {path} cannot be packed: {error}. "
                "Expected a whole PNG or JPEG file, grey or in color. Run `python -m "
                "data_tools build` first: it makes one of every picture it can read."
            ) from None
        yield number, encoded
        bar.update()


def write_shard(path, rows, pictures):
    """Writes one file.

    Returns:
        Its entry in `shards.json`, and a dict of row number to the offset, length
        and checksum of its picture.
    """
    part, digest = path.with_name(path.name + ".part"), hashlib.sha256()
    position, places = 0, {}
    with open(part, "wb") as stream:
        for number, encoded in pictures:
            data, offset = tfrecord.picture(rows[number], number + 2, encoded)
            crc = google_crc32c.value(encoded)
            places[number] = (position + offset, len(encoded), crc)
            stream.write(data)
            digest.update(data)
            position += len(data)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, path)
    entry = dict(records=len(places), bytes=position, sha256=digest.hexdigest())
    return entry, places
