"""What every format ends in: a film, or the reason why it is none."""

import contextlib
from dataclasses import dataclass

import numpy as np

MAX_PIXELS = 100_000_000
MAX_SIDE = 65_535  # of a JPEG file
MAX_SCANS = 100  # as libtiff allows within a TIFF file
MIN_SIDE = 16


class PictureError(ValueError):
    """A file that gives no film.

    Args:
        reason: A code of `ledger.REASONS`.
        message: What was found, without the path of the file.
    """

    def __init__(self, reason, message):
        super().__init__(reason, message)  # both, or it cannot cross processes
        self.reason = reason
        self.message = message

    def __str__(self):
        return self.message


@dataclass(frozen=True, eq=False)
class Film:
    """One film.

    Attributes:
        pixels: uint8 `(height, width)`, white is dense; may be read-only.
        mode: The mode of the original as Pillow calls it (`RGB`, `I;16`), or the
            photometric interpretation of a DICOM file.
        bits: Of each of its samples. Pillow decodes colors to 8 bits, however many
            the file has.
        flags: Some of `color` (colored marks or drawings), `alpha` (parts are
            transparent), `flat` (nearly nothing to see).
        view, sex, age: As the header of a DICOM file says, `""` elsewhere.
        sha256_source: Hash of the file's bytes, or of the picture's in an array.
    """

    pixels: np.ndarray
    mode: str
    bits: int
    flags: tuple = ()
    view: str = ""
    sex: str = ""
    age: str = ""
    sha256_source: str = ""


def check_size(width, height):
    """Raises PictureError unless a film may be this large; call before decoding."""
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise PictureError("too-large", f"{width}x{height} pixels")
    if min(width, height) < MIN_SIDE:
        raise PictureError("too-small", f"{width}x{height} pixels")


def check_scans(content):
    """Raises PictureError if a JPEG file draws its picture very many times."""
    scans = content.count(b"\xff\xda")
    if scans > MAX_SCANS:
        raise PictureError("too-large", f"{scans} scans; save the picture anew")


@contextlib.contextmanager
def decoding():
    """Turns whatever a decoder raises on damaged data into a PictureError."""
    try:
        yield
    except (PictureError, MemoryError):
        raise
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        raise PictureError("truncated", message) from error
