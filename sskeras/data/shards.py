"""Pictures that stay on disk, in the files that `python -m data_tools shards` packs.

In memory are only their places, 28 bytes a picture. The files are read, not mapped:
the pages of a mapped file would count as memory of this process.
"""

import contextlib
import os
import re

import google_crc32c
import numpy as np
import pandas as pd
import tensorflow as tf

from sskeras.data.exit import end_streams_at_exit
from sskeras.data.loading import load_pictures, picture_size
from sskeras.data.manifest_checks import examples, is_sharded
from sskeras.data.options import untuned
from sskeras.data.pictures import decode_all


def open_pictures(rows, image_size, channels=1, cache=None):
    """Give the pictures of manifest rows, be they files or in shards.

    Args:
        rows: Rows of a table of `read_manifest`.
        image_size: `(height, width)` in pixels, or one number for a square.
        channels: 1 (grey) or 3 (RGB).
        cache: As in `load_pictures`; shards need none.

    Returns:
        Array of `load_pictures`, or `Shards` where the manifest is that of shards.

    Raises:
        ValueError: As these two.
    """
    if is_sharded(rows):
        return Shards(rows, image_size, channels)
    return load_pictures(rows["path"], image_size, channels, cache, rows["row"])


class Shards:
    """The pictures of manifest rows as an array that is read when it is indexed.

    `Shards(rows, 64)[numbers]` equals `load_pictures` of the same pictures to the bit,
    and `batches` takes both. A checksum guards every picture.

    Args:
        rows: Rows of a table of `read_manifest`, of a folder of shards.
        image_size: `(height, width)` in pixels, or one number for a square.
        channels: 1 (grey) or 3 (RGB).

    Raises:
        ValueError: If a shard is missing or too short, or a place is no number; names
            the file and the row. If a picture has changed, when it is read.

    Example:

    >>> x = Shards(train, image_size=64)
    >>> x.shape
    (200000, 64, 64, 1)
    >>> model.fit(batches(x, y, 256), steps_per_epoch=steps_per_epoch(y, 256))
    """

    dtype, ndim = np.dtype("uint8"), 4

    def __init__(self, rows, image_size, channels=1):
        self.shape = (len(rows), *picture_size(image_size, channels), channels)
        self._file, self._files = pd.factorize(rows["path"])
        self._file = self._file.astype("int32")
        self._row = rows["row"].to_numpy("int32")
        self._offset = _integers(rows, "offset")
        self._length = _integers(rows, "length")
        self._crc32c = _integers(rows, "crc32c").astype("uint32")
        self._decode = _decoder(self.shape[1:])
        for number in range(len(self._files)):
            self._check_file(number)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, index):
        numbers = np.arange(len(self))[index]
        pictures = self.decode(self.read(np.atleast_1d(numbers))).numpy()
        return pictures if numbers.ndim else pictures[0]

    def read(self, numbers):
        """Read encoded pictures.

        Args:
            numbers: Integer array `(k,)`, which pictures.

        Returns:
            Object array `(k,)` of bytes.
        """
        encoded = np.empty(len(numbers), object)
        for file in np.unique(self._file[numbers]):
            with open(self._files[file], "rb", buffering=0) as stream:
                for place in np.flatnonzero(self._file[numbers] == file):
                    encoded[place] = self._read_one(stream, numbers[place])
        return encoded

    def decode(self, encoded):
        """Decode and resize what `read` returns to uint8 `(k, height, width, c)`."""
        return self._decode(tf.ensure_shape(encoded, (None,)))

    def in_order(self, batch_size):
        """Stream all pictures once, in order, such as for `model.predict`.

        Args:
            batch_size: Pictures in a batch; the last one may have fewer.

        Returns:
            tf.data.Dataset of uint8 `(batch, height, width, channels)`.
        """

        def read(start):
            return self.read(np.arange(start, min(start + batch_size, len(self))))

        def batch(start):
            return self.decode(tf.numpy_function(read, [start], tf.string))

        end_streams_at_exit()
        starts = tf.data.Dataset.range(0, len(self), batch_size)
        found = starts.map(batch, tf.data.AUTOTUNE, deterministic=True)
        return untuned(found.prefetch(2))

    def _check_file(self, number):
        """Raise an error if a shard is missing or ends before its last picture."""
        here = np.flatnonzero(self._file == number)
        file = self._files[number]
        size = os.path.getsize(file) if os.path.isfile(file) else -1
        beyond = here[(self._offset + self._length)[here] > size]
        if len(beyond):
            found = (
                f"it has only {size} bytes" if size >= 0 else "there is no such file"
            )
            raise ValueError(
                f"Cannot read {len(beyond)} of {len(here)} pictures in shard {file}, "
                f"the first is row {self._row[beyond[0]]} of the manifest: {found}. "
                "Copy the shards and their manifest anew, or pack them again."
            )

    def _read_one(self, stream, number):
        offset, length = int(self._offset[number]), int(self._length[number])
        encoded = os.pread(stream.fileno(), length, offset)
        if google_crc32c.value(encoded) != self._crc32c[number]:
            raise ValueError(
                f"Cannot read the picture of row {self._row[number]} of the manifest: "
                f"the {length} bytes from byte {offset} of shard {stream.name} are not "
                "those that were packed, by their checksum. Copy the shards and their "
                "manifest anew, or pack them again."
            )
        return encoded


@contextlib.contextmanager
def plain_errors():
    """Raises anew, as it was, the error of `Shards` that TensorFlow has wrapped."""
    try:
        yield
    except tf.errors.OpError as error:
        found = re.search("ValueError: (Cannot read the picture .*)", error.message)
        if not found:
            raise
        raise ValueError(found[1]) from None


def _decoder(shape):
    """Return a function from encoded pictures `(k,)` to uint8 `(k, *shape)`."""

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def all_of_them(encoded):
        return decode_all(encoded, shape)

    return all_of_them


def _integers(rows, column):
    """Convert a column of text to int64 `(n,)`."""
    wrong = rows[~rows[column].str.fullmatch("[0-9]{1,18}")]
    if len(wrong):
        raise ValueError(
            f"The column {column} of a manifest of shards holds numbers from 0. "
            f"Received: {examples(wrong['row'], wrong[column])}. Pack the shards again."
        )
    return rows[column].astype("int64").to_numpy()
