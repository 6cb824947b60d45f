"""Reads every picture of a manifest once, and keeps what the audit needs of it."""

import contextlib
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from data_tools import duplicates, groups, manifest, parallel, pictures


class Measure(NamedTuple):
    """What is known of one picture; `reason` (of `ledger.REASONS`) if nothing is.

    `border` is the share of the film beyond the outermost lines that show something,
    `brightness` the mean level.
    """

    reason: str = ""
    detail: str = ""
    thumbnail: bytes = bytes(32 * 32)
    width: int = 0
    height: int = 0
    mode: str = ""
    bits: int = 0
    flags: tuple = ()
    border: float = 0.0
    brightness: float = 0.0
    pixels: str = ""


@dataclass(frozen=True, eq=False)
class Films:
    """A set of films. A picture is a file; several rows may name the same one.

    Attributes:
        path: The manifest.
        rows: List of dicts, its rows.
        images: List of the distinct values of the column `image`.
        of_row: int `(rows,)`, the number of each row's picture.
        measures: List of `Measure`, one for each picture.
        thumbnails: uint8 `(pictures, 32, 32)`, 0 where a picture cannot be read.
        readable: Numbers of the pictures that can be read.
        pairs: List of `duplicates.Pair`, by the numbers of pictures.
        same, near: int `(pictures,)`: equal for the same picture; for near
            duplicates, be it through others.
        groups: List of names, one for each row: films of one patient or near
            duplicates, see `groups.of`.
    """

    path: Path
    rows: list
    images: list
    of_row: np.ndarray
    measures: list
    thumbnails: np.ndarray
    readable: np.ndarray
    pairs: list
    same: np.ndarray
    near: np.ndarray
    groups: list

    @cached_property
    def first_row(self):
        """Number of the first row of each picture, int `(pictures,)`."""
        return np.unique(self.of_row, return_index=True)[1]

    def column(self, name):
        """Returns a column, one text for each row; `""` where there is none."""
        return [row.get(name, "") for row in self.rows]

    @property
    def labels(self):
        """The class of each row, `""` where it is not known."""
        return self.column("label")


def load(path, workers):
    """Reads the pictures of a manifest in parallel, and compares them.

    Args:
        path: The manifest.
        workers: Number of processes.

    Returns:
        `Films`.

    Raises:
        ValueError: If there is no row, or the pictures are packed in shards.
    """
    rows = manifest.read(path)
    if not rows or "shard" in rows[0]:
        raise ValueError(
            f"{path}: expected rows that name picture files. Received: {len(rows)} "
            "rows"
            + (" of shards. Audit the folder they were made from." if rows else ".")
        )
    numbers = {}
    of_row = [numbers.setdefault(row["image"], len(numbers)) for row in rows]
    measures, thumbnails = measure_all([path.parent / i for i in numbers], workers)
    readable = np.flatnonzero([not m.reason for m in measures])
    pairs = find_pairs(measures, thumbnails, readable)
    alike = [p for p in pairs if p.correlation >= duplicates.SAME]
    first = np.unique(of_row, return_index=True)[1]
    return Films(
        path=path,
        rows=rows,
        images=list(numbers),
        of_row=np.array(of_row),
        measures=measures,
        thumbnails=thumbnails,
        readable=readable,
        pairs=pairs,
        same=groups.components(len(numbers), [p[:2] for p in alike]),
        near=groups.components(len(numbers), [p[:2] for p in pairs]),
        groups=groups.of(rows, [(first[p.first], first[p.second]) for p in pairs]),
    )


def measure_all(paths, workers):
    """Measures pictures: list of `Measure`, and their thumbnails as an array."""
    thumbnails, measures = np.zeros((len(paths), 32, 32), "uint8"), []
    workers = min(workers, 1 + len(paths) // 256)
    done = parallel.run(measure, paths, workers)
    bar = tqdm(done, total=len(paths), unit="film", desc="audit")
    for number, result in enumerate(bar):
        thumbnails[number] = np.frombuffer(result.thumbnail, "uint8").reshape(32, 32)
        measures.append(result._replace(thumbnail=b""))
    return measures, thumbnails


def measure(path):
    """Measures one picture."""
    try:
        film = pictures.read(path)
    except pictures.PictureError as error:
        return Measure(error.reason, str(error))
    height, width = film.pixels.shape
    return Measure(
        thumbnail=pictures.thumbnail(film.pixels).tobytes(),
        width=width,
        height=height,
        mode=film.mode,
        bits=film.bits,
        flags=film.flags,
        border=blank_border(film.pixels),
        brightness=float(film.pixels.mean()),
        pixels=pictures.sha256_pixels(film.pixels),
    )


def blank_border(pixels):
    """Returns the share beyond the outermost lines that show something.

    A line shows nothing if 99 % of its pixels are black (below 16) or white (240 and
    more). A film that shows nothing at all is all border.
    """
    blank = (pixels < 16) | (pixels >= 240)
    inside = 1
    for axis in (0, 1):
        shown = np.flatnonzero(blank.mean(axis) < 0.99)
        inside *= int(shown[-1] + 1 - shown[0]) if len(shown) else 0
    return 1 - inside / pixels.size


def find_pairs(measures, thumbnails, readable):
    """Finds near duplicates, and the same pixels however flat they are."""
    shown = thumbnails[readable]
    found = {
        (int(readable[first]), int(readable[second])): correlation
        for first, second, correlation in duplicates.find(pictures.phash(shown), shown)
    }
    first = {}
    for number in readable.tolist():
        origin = first.setdefault(measures[number].pixels, number)
        if origin != number:
            found[origin, number] = 1.0
    return sorted(duplicates.Pair(*both, value) for both, value in found.items())


def chosen(films, numbers, count):
    """Chooses pictures at random: those whose names have the smallest hashes."""
    names = {n: hashlib.sha256(films.images[n].encode()).digest() for n in numbers}
    return sorted(names, key=names.get)[:count]


def show(films, number):
    """Returns the pixels of a picture, `None` if it has vanished meanwhile."""
    with contextlib.suppress(pictures.PictureError):
        return pictures.read(films.path.parent / films.images[number]).pixels
