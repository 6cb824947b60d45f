"""Any picture file to one film."""

import contextlib
import hashlib
import io
import os
import stat
import warnings
from dataclasses import replace

import numpy as np
from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError

from data_tools.pictures import archive, depth
from data_tools.pictures.base import (
    Film,
    PictureError,
    check_scans,
    check_size,
    decoding,
)

MAX_BYTES = 512 * 2**20
# Those in which films come. Pillow knows more; for some it starts other programs.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "JPEG2000")
BEGINNINGS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")
DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
BITS = {"1": 1, "I": 32, "F": 32} | dict.fromkeys(DEEP[2:], 16)


def read(path):
    """Reads one film: PNG, JPEG, TIFF, GIF, BMP, WebP, JPEG 2000, PNM or DICOM.

    The content decides, not the suffix. Color becomes luminance, transparency is
    ignored (the color stored beneath it counts), more than 8 bits are stretched from
    their least to their most, a rotation noted in EXIF is carried out. A file is
    read once, and refused before decoding if its header asks for too much.

    Args:
        path: The file; `x.npz::train/12` is picture 12 of the array `train_images`
            of an archive, uint8 `(n, height, width)` or `(n, height, width, 3)`.

    Returns:
        A `Film`.

    Raises:
        PictureError: If this gives no film; its `reason` says why.

    Example:
    >>> film = pictures.read("film.dcm")
    >>> film.pixels.shape
    (1024, 1024)
    """
    name = os.fspath(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow and pydicom on odd files
        if ".npz::" in name:
            array = archive.picture(name)
            content, film = array.tobytes(), convert(Image.fromarray(array))
        else:
            content = read_file(name)
            film = decode(name, content)
    flags = (*film.flags, "flat") if is_flat(film.pixels) else film.flags
    digest = hashlib.sha256(content).hexdigest()
    return replace(film, flags=flags, sha256_source=digest)


def read_file(path):
    """Returns the bytes of a regular file that is neither empty nor huge."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # Opening a pipe would wait for ever.
            raise PictureError("unreadable", "a folder, a pipe or a device")
        if status.st_size > MAX_BYTES:
            raise PictureError("too-large", f"{status.st_size} bytes")
        with open(path, "rb") as file:
            content = file.read()
    except (FileNotFoundError, NotADirectoryError):
        raise PictureError("not-on-disk", "there is no such file") from None
    except OSError as error:
        raise PictureError("unreadable", error.strerror or str(error)) from error
    if not content:
        raise PictureError("empty", "0 bytes")
    return content


def probe(path):
    """Checks all that a file's header tells, without decoding the picture.

    Args:
        path: As for `read`.

    Raises:
        PictureError: As `read`, but for damage that only decoding finds.
    """
    name = os.fspath(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if ".npz::" in name:
            archive.picture(name)
        else:
            content = read_file(name)
            (dicom_header if is_dicom(name, content) else open_image)(content)


def decode(name, content):
    """Decodes the bytes of a file.

    Args:
        name: Name of the file; DICOM without its preamble is known by the suffix.
        content: Its bytes.

    Returns:
        A `Film`, without `sha256_source`.

    Raises:
        PictureError: If this gives no film.
    """
    if is_dicom(name, content):
        from data_tools.pictures import dicom

        return dicom.decode(dicom_header(content))
    image = open_image(content)
    with decoding():
        image.load()
        film = convert(image)
        # Pillow inverts such a TIFF of 8 bits itself.
        if image.format == "TIFF" and image.tag_v2.get(262) == 0 and film.bits > 8:
            film = replace(film, pixels=255 - film.pixels)
        return film


def is_dicom(name, content):
    """Says whether a file is DICOM; one without the preamble needs the suffix."""
    bare = name.lower().endswith(".dcm") and not content.startswith(BEGINNINGS)
    return bare or content[128:132] == b"DICM"


def dicom_header(content):
    """Reads and checks the header of a DICOM file."""
    from data_tools.pictures import dicom  # pydicom takes 0.2 s to import

    return dicom.read_header(content)


def open_image(content):
    """Reads and checks the header of any other file."""
    with decoding():
        try:
            image = Image.open(io.BytesIO(content), formats=FORMATS)
        except UnidentifiedImageError:
            if content.startswith(BEGINNINGS):
                raise PictureError("truncated", "damaged in its header") from None
            raise PictureError("not-a-picture", "no known format") from None
        except Image.DecompressionBombError:  # Pillow's own limit is the wider one.
            raise PictureError("too-large", "according to its header") from None
        check_size(*image.size)
        if image.format in ("JPEG", "MPO"):
            check_scans(content)
        # An MPO is a camera's JPEG with a preview behind it.
        if image.format != "MPO" and getattr(image, "is_animated", False):
            raise PictureError("several-frames", f"{image.n_frames} frames")
        return image


def convert(image):
    """Makes a film of a decoded image."""
    check_size(*image.size)
    mode, flags = image.mode, ()
    with contextlib.suppress(Exception):  # A damaged EXIF block turns nothing.
        ImageOps.exif_transpose(image, in_place=True)
    if mode in ("I", "F"):
        return Film(depth.scale(np.asarray(image)), mode, BITS[mode])
    if mode in DEEP:
        levels, index = depth.tabulate(np.asarray(image))
        grey = depth.stretch(levels, index, ~np.isfinite(levels))
        return Film(grey.take(index), mode, BITS[mode])
    if is_transparent(image):
        flags = ("alpha",)
    if mode not in ("1", "L", "LA"):
        image = image if mode in ("RGB", "RGBA") else image.convert("RGB")
        flags = ("color", *flags) if is_colored(image) else flags
    return Film(np.asarray(image.convert("L")), mode, BITS.get(mode, 8), flags)


def is_transparent(image):
    """Says whether any pixel is not opaque."""
    if not image.has_transparency_data:
        return False
    if "A" not in image.getbands():
        image = image.convert("RGBA")
    return image.getchannel("A").getextrema()[0] < 255


def is_colored(image):
    """Says whether 1 of 10,000 pixels, 20 at least, has channels over 60 levels apart.

    Letters on grey films stored as JPEG have fringes: up to 0.3 of 10,000 pixels on
    real films. The rulers and letters of a colored overlay have 15.
    """
    red, green, blue = image.split()[:3]
    apart = ImageChops.difference(red, green), ImageChops.difference(green, blue)
    if not apart[0].getbbox() and not apart[1].getbbox():  # most films: all equal
        return False
    spread = ImageChops.lighter(
        ImageChops.lighter(*apart), ImageChops.difference(red, blue)
    )
    colored = np.count_nonzero(np.asarray(spread) > 60)
    return colored >= max(20, image.width * image.height / 10_000)


def is_flat(pixels):
    """Says whether the standard deviation is below 5 levels, from a grid of pixels.

    The flattest real film known has 14.
    """
    step = max(1, min(pixels.shape) // 128)
    return bool(pixels[::step, ::step].std() < 5)
