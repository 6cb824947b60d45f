"""Pictures in .npz files with the layout of MedMNIST."""

import functools
import os
import zipfile
import zlib

import numpy as np

from data_tools.pictures.base import PictureError


def picture(name):
    """Returns the picture that `x.npz::train/12` names.

    Args:
        name: Path of the file, `::`, split, `/`, and number from 0.

    Returns:
        uint8 `(height, width)` or `(height, width, 3)`.

    Raises:
        PictureError: If there is no such picture.
    """
    path, _, member = name.rpartition("::")
    split, _, number = member.rpartition("/")
    try:
        array = load(path, split, os.stat(path).st_mtime_ns)
    except (FileNotFoundError, NotADirectoryError, KeyError):
        raise PictureError("not-on-disk", f"there is no {split}_images") from None
    except OSError as error:
        raise PictureError("unreadable", error.strerror or str(error)) from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise PictureError("not-a-picture", f"no .npz of arrays: {error}") from error
    if array.dtype != np.uint8 or array.shape[3:] not in ((), (3,)) or array.ndim < 3:
        message = f"an array of {array.dtype} {array.shape}"
        raise PictureError("not-a-picture", message)
    if not number.isdecimal() or int(number) >= len(array):
        raise PictureError("not-on-disk", f"one of {len(array)} pictures")
    return array[int(number)]


@functools.lru_cache(maxsize=1)  # Splits come one after the other.
def load(path, split, _changed):
    """Reads the array of one split whole."""
    with np.load(path, allow_pickle=False) as arrays:
        return arrays[f"{split}_images"]
