"""Pictures under the name of their content, and a journal of those already made.

Both survive a kill at any moment: a picture gets its name when it is whole, and a
line of the journal counts once it is.
"""

import base64
import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_tools import manifest, pictures

JOURNAL = ".journal.jsonl"
LOCK = ".lock"


class Entry(NamedTuple):
    """What is known of one picture.

    Attributes:
        reason, detail: Why it cannot be used, `""` if it can.
        image: Path of the stored picture within the set.
        sha256, sha256_pixels, sha256_source: Of the stored file, of the grey pixels
            in their original size, of the original file.
        thumbnail: The 32×32 picture in base64.
        width, height, mode, bits: Of the original.
        flags: Remarks, separated by blanks.
        view, sex, age: As the header of a DICOM file says.
    """

    reason: str = ""
    detail: str = ""
    image: str = ""
    sha256: str = ""
    sha256_pixels: str = ""
    sha256_source: str = ""
    thumbnail: str = ""
    width: int = 0
    height: int = 0
    mode: str = ""
    bits: int = 0
    flags: str = ""
    view: str = ""
    sex: str = ""
    age: str = ""


def make(job):
    """Reads one picture, stores it and says what it is.

    Args:
        job: `(path, out, size)`: the original, the folder of the set, and the side
            in pixels, `None` for the original size.

    Returns:
        What identifies the state of the original, and an `Entry`.
    """
    path, out, size = job
    stamp = fingerprint(path)  # first, so that a change while it is read is noticed
    try:
        return stamp, describe(pictures.read(path), out, size)
    except pictures.PictureError as error:
        return stamp, Entry(error.reason, str(error))
    except MemoryError:
        raise OSError(
            f"{path}: too little memory to read this picture. Close other programs, "
            "use fewer --workers, or take the file out."
        ) from None


def describe(film, out, size):
    """Stores a film and returns its `Entry`."""
    stored = film.pixels if size is None else pictures.resize(film.pixels, size)
    data = pictures.encode(stored)
    digest = hashlib.sha256(data).hexdigest()
    image = f"images/{digest[:2]}/{digest[:32]}.png"
    put(Path(out, image), data)
    height, width = film.pixels.shape
    return Entry(
        image=image,
        sha256=digest,
        sha256_pixels=pictures.sha256_pixels(film.pixels),
        sha256_source=film.sha256_source,
        thumbnail=base64.b64encode(pictures.thumbnail(film.pixels)).decode(),
        width=width,
        height=height,
        mode=film.mode,
        bits=film.bits,
        flags=" ".join(film.flags),
        view=film.view,
        sex=film.sex,
        age=film.age,
    )


def put(path, data):
    """Writes a file unless it is there; several processes may write the same."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def thumbnails(entries):
    """Returns the 32×32 pictures of entries, uint8 `(n, 32, 32)`."""
    data = b"".join(base64.b64decode(entry.thumbnail) for entry in entries)
    return np.frombuffer(data, "uint8").reshape(-1, 32, 32)


def is_whole(out, entry):
    """Says whether the stored picture of an entry is there and unchanged."""
    try:
        return manifest.sha256(Path(out, entry.image)) == entry.sha256
    except FileNotFoundError:
        return False


def check_folder(out):
    """Raises an error if a folder holds what no build has made."""
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"--out {out} is a file. Choose a folder.")
    taken = [name for name in ("manifest.csv", "images") if (out / name).exists()]
    if taken and not (out / JOURNAL).exists():
        raise FileExistsError(
            f"{out} already holds {taken[0]}, which no build has made. Choose another "
            "folder."
        )


@contextlib.contextmanager
def alone(out):
    """Keeps a second process out of a folder until this one ends, however it ends."""
    with open(Path(out, LOCK), "ab") as stream:
        try:
            lock(stream)
        except OSError:
            raise FileExistsError(
                f"Another process is writing to {out}. Wait until it ends, or choose "
                "another folder."
            ) from None
        yield


def lock(stream):
    """Locks a file, or raises OSError."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Journal:
    """The pictures of a set that have been made, by original.

    An original that changes in size or time of change is made again.

    Args:
        out: Folder of the set.
        settings: Dict of what all pictures depend on. A set made with others is
            not touched.

    Raises:
        FileExistsError: If the folder holds another set.
        ValueError: If the journal is damaged.
    """

    def __init__(self, out, settings):
        self.path = Path(out, JOURNAL)
        self.settings = json.loads(json.dumps(settings))
        self.entries = {}
        if self.path.exists():
            self._read()

    def find(self, key, path):
        """Returns the entry of an original, `None` if it has to be made.

        What could not be read once is tried again: a decoder may have been installed.
        """
        stamp, entry = self.entries.get(key, (None, None))
        usable = entry and not entry.reason
        return entry if usable and stamp == fingerprint(path) else None

    def entry(self, key):
        """Returns the entry of an original that has been made."""
        return self.entries[key][1]

    def write(self, made):
        """Adds entries while they are made, and yields `(key, entry)`.

        Args:
            made: Iterable of `(key, (stamp, entry))`, see `make`; a key is
                `(source, file)`.
        """
        with open(self.path, "a", encoding="utf-8") as stream:
            for key, (stamp, entry) in made:
                self.entries[key] = (stamp, entry)
                stream.write(self._line(key))
                stream.flush()
                yield key, entry

    def save(self):
        """Writes the journal anew, in order."""
        lines = [json.dumps(self.settings) + "\n"]
        lines += [self._line(key) for key in sorted(self.entries)]
        manifest.write_text(self.path, "".join(lines))

    def _line(self, key):
        return json.dumps([*key, *self.entries[key]]) + "\n"

    def _read(self):
        try:
            first, *lines = self.path.read_text("utf-8").split("\n")[:-1]
            found = json.loads(first)
            for source, file, stamp, values in map(json.loads, lines):
                self.entries[source, file] = (stamp, Entry._make(values))
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{self.path} is damaged ({error}). Delete {self.path.parent}, and "
                "build the set anew."
            ) from None
        if found != self.settings:
            raise FileExistsError(
                f"{self.path.parent} holds a set with other settings. Choose another "
                f"folder, or delete this one. Expected: {self.settings}. "
                f"Found: {found}"
            )


def fingerprint(path):
    """Returns size in bytes and time of change of a file, or of its archive."""
    name, inside, _ = str(path).partition(".npz::")
    try:
        stat = os.stat(f"{name}.npz" if inside else name)
    except OSError:
        return [0, 0]
    return [stat.st_size, stat.st_mtime_ns]


def sweep(out, images):
    """Deletes stored pictures that no row names, and half-written ones.

    Args:
        out: Folder of the set.
        images: Set of the paths of pictures that stay, within the set.
    """
    for path in Path(out, "images").rglob("*.png*"):
        if path.relative_to(out).as_posix() not in images:
            path.unlink()
