"""Any picture file to the 8-bit grey pixels of one film, and what is measured on it."""

from data_tools.pictures.base import MAX_PIXELS, MIN_SIDE, Film, PictureError
from data_tools.pictures.film import decode, probe, read
from data_tools.pictures.measure import (
    encode,
    looks_negative,
    phash,
    resize,
    sha256_pixels,
    thumbnail,
)

__all__ = [
    "MAX_PIXELS",
    "MIN_SIDE",
    "Film",
    "PictureError",
    "decode",
    "encode",
    "looks_negative",
    "phash",
    "probe",
    "read",
    "resize",
    "sha256_pixels",
    "thumbnail",
]
