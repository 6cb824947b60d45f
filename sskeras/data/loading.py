"""From picture files to one uint8 array, in memory or in a cache file."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from sskeras.data.options import one_thread_each, untuned
from sskeras.data.pictures import decode, decode_all, resize

CACHE_VERSION = 1  # of what decode, resize and the cache file do
CHUNK = 64  # pictures decoded between two writes
MOST_BYTES = 500_000_000  # of a file; it is read whole before its header tells more
MANY = 3000  # pictures for which `decode_all` has won back its start


def load_pictures(paths, image_size, channels=1, cache=None, rows=None, progress=True):
    """Decode and resize picture files, in their order, into one array.

    Args:
        paths: Paths of PNG or JPEG files.
        image_size: `(height, width)` in pixels, or one number for a square.
        channels: 1 (grey) or 3 (RGB).
        cache: Folder for a cache file, for arrays that do not fit into memory or are
            wanted again. Its name is a hash over the path, size and time of change of
            every file and over the arguments, so it is reused only while right.
        rows: Row of each path in the manifest, for error messages.
        progress: Whether to show a progress bar when it takes more than a second.

    Returns:
        uint8 array `(n, height, width, channels)`; with `cache` a read-only memmap.

    Raises:
        ValueError: If a picture is missing, empty, truncated or cannot be decoded;
            names the file and its row. No cache file is left then.

    Example:

    >>> x = load_pictures(train["path"], image_size=64, rows=train["row"])
    """
    paths = [os.path.abspath(path) for path in paths]
    rows = [None] * len(paths) if rows is None else list(rows)
    _check_rows(paths, rows)
    shape = (len(paths), *picture_size(image_size, channels), channels)
    stats = _stats(paths, rows)
    chunks = _chunks(paths, rows, shape[1:], progress)
    if cache is None:
        x = np.empty(shape, "uint8")
        for start, chunk in chunks:
            x[start : start + len(chunk)] = chunk
        return x
    key = json.dumps([CACHE_VERSION, shape, paths, stats]).encode()
    file = Path(cache) / f"pictures-{hashlib.sha256(key).hexdigest()[:24]}.npy"
    x = _open_cache(file)
    if x is None:
        _write_cache(file, shape, chunks)
        x = _open_cache(file)
    return x


def picture_size(image_size, channels):
    """Return `(height, width)` once size and channels are what they may be."""
    size = (image_size,) * 2 if np.ndim(image_size) == 0 else tuple(image_size)
    if len(size) != 2 or min(size) < 1 or channels not in (1, 3):
        raise ValueError(
            "Expected image_size as one positive number or (height, width), and 1 or "
            f"3 channels. Received: image_size={size}, channels={channels}"
        )
    return int(size[0]), int(size[1])


def _check_rows(paths, rows):
    if not paths:
        raise ValueError("There are no pictures to load: paths is empty.")
    if len(rows) != len(paths):
        raise ValueError(
            f"Expected one row per path. Received: {len(rows)} rows, {len(paths)} paths"
        )


def _stats(paths, rows):
    """Return size in bytes and time of change in ns of every file."""
    stats = []
    for path, row in zip(paths, rows, strict=True):
        try:
            stat = os.stat(path)
        except OSError as error:
            raise _unreadable(path, row, error.strerror) from None
        if stat.st_size == 0:
            raise _unreadable(path, row, "the file is empty")
        if stat.st_size > MOST_BYTES:
            raise _unreadable(path, row, f"it has more than {MOST_BYTES:,} bytes")
        stats.append((stat.st_size, stat.st_mtime_ns))
    return stats


def _unreadable(path, row, reason):
    where = "" if row is None else f" (row {row} of the manifest)"
    return ValueError(
        f"Cannot read picture {path}{where}: {reason}. Expected a whole PNG or JPEG "
        "file. Replace it, or take its row out of the manifest."
    )


def _chunks(paths, rows, shape, progress):
    """Yield `(start, uint8 pictures)` in order, decoded in parallel."""

    def read(path):
        return resize(decode(tf.io.read_file(path), shape[-1]), shape[:2])

    def read_all(paths):
        return decode_all(tf.map_fn(tf.io.read_file, paths), shape)

    dataset = tf.data.Dataset.from_tensor_slices(paths)
    if len(paths) < MANY:
        dataset = dataset.map(read, tf.data.AUTOTUNE, deterministic=True).batch(CHUNK)
    else:  # The same bits.
        dataset = dataset.batch(CHUNK).map(
            read_all, tf.data.AUTOTUNE, deterministic=True
        )
        dataset = one_thread_each(dataset)
    start = 0
    with tqdm(total=len(paths), unit=" pictures", delay=1, disable=not progress) as bar:
        try:
            for chunk in untuned(dataset.prefetch(2)).as_numpy_iterator():
                yield start, chunk
                start += len(chunk)
                bar.update(len(chunk))
        except tf.errors.OpError:
            # TensorFlow does not say which file it was: try those of this chunk.
            for path, row in list(zip(paths, rows, strict=True))[start : start + CHUNK]:
                try:
                    read(path)
                except tf.errors.OpError as error:
                    raise _unreadable(path, row, _reason(error)) from None
            raise


def _reason(error):
    """Strip TensorFlow's own references from an error message."""
    noise = r"\{\{.*?\}\}|\[Op:.*|.*Summarized data:( b')?"
    return re.sub(noise, "", error.message, flags=re.DOTALL).strip(" .'\n")


def _open_cache(file):
    """Map a cache file into memory; None if it is absent or not whole."""
    try:
        return np.load(file, mmap_mode="r")
    except (FileNotFoundError, ValueError, EOFError):
        return None


def _write_cache(file, shape, chunks):
    """Write an .npy file piece by piece, under another name until it is whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    for left in file.parent.glob(f"{file.stem}.*.part"):  # by a process that was killed
        with contextlib.suppress(FileNotFoundError):  # Another one removes it, too.
            if time.time() - left.stat().st_mtime > 3600:
                left.unlink()
    part = file.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}.part")
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    try:
        with open(part, "wb") as stream:
            np.lib.format.write_array_header_1_0(stream, header)
            for _, chunk in chunks:
                stream.write(chunk)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)
