"""Writes the pictures that break other tools: damaged, disguised, deep, animated.

All are drawn here: none shows a person.
"""

import io
import os
import struct
import zlib

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    generate_uid,
)

MPEG2 = "1.2.840.10008.1.2.4.100"
CT = "1.2.840.10008.5.1.4.1.1.2"


def drawn(height=48, width=40):
    """A grey picture, uint8, no two rows or columns alike, from 6 to 241."""
    y, x = np.mgrid[:height, :width]
    wave = np.sin(x / 5) * np.cos(y / 7 + x / 20) + x / width - y / (2 * height)
    wave = (wave - wave.min()) / np.ptp(wave)
    return (6 + 235 * wave).astype("uint8")


def encoded(image, *arguments, **options):
    """The bytes of the file that Pillow would save."""
    file = io.BytesIO()
    image.save(file, *arguments, **options)
    return file.getvalue()


def png_header(width, height):
    """A PNG that announces a size and holds next to nothing."""

    def block(name, data):
        crc = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + crc

    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + block(b"IHDR", size)
        + block(b"IDAT", zlib.compress(bytes(1000)))
        + block(b"IEND", b"")
    )


def dicom(stored, bits=None, *, syntax=ExplicitVRLittleEndian, frame=None, **elements):
    """The bytes of a DICOM file.

    Args:
        stored: Integer array `(height, width)`, `(height, width, 3)` for RGB.
        bits: Bits stored of each sample, by default all.
        syntax: Transfer syntax.
        frame: The compressed picture, for a syntax that compresses.
        **elements: Elements of the data set by keyword; `None` leaves one out.
    """
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = CT, generate_uid()
    data.Modality = "CR"
    data.Rows, data.Columns = stored.shape[:2]
    data.SamplesPerPixel = stored.shape[2] if stored.ndim == 3 else 1
    data.PhotometricInterpretation = "RGB" if stored.ndim == 3 else "MONOCHROME2"
    if stored.ndim == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated = 8 * stored.dtype.itemsize
    data.BitsStored = bits or data.BitsAllocated
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(stored.dtype.kind == "i")
    data.PixelData = encapsulate([frame]) if frame else stored.tobytes()
    for name, value in elements.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


def fine_pictures(grey):
    """File name to the bytes of pictures that are odd, and films nonetheless."""
    image = Image.fromarray(grey)
    rgb = Image.merge("RGB", [image] * 3)
    deep = grey.astype("uint16") * 13
    jpeg = encoded(image, "JPEG")
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera lay on its side
    half = Image.fromarray(np.full_like(grey, 128))
    return {
        "grey.png": encoded(image, "PNG"),
        "grey.jpg": jpeg,
        "bits.png": encoded(image.convert("1"), "PNG"),
        "grey_alpha.png": encoded(Image.merge("LA", [image, half]), "PNG"),
        "palette.png": encoded(image.convert("P"), "PNG"),
        "palette_hole.png": encoded(image.convert("P"), "PNG", transparency=100),
        "color.png": encoded(rgb, "PNG"),
        "color_alpha.png": encoded(Image.merge("RGBA", [image] * 3 + [half]), "PNG"),
        "opaque.png": encoded(rgb.convert("RGBA"), "PNG"),
        "cmyk.jpg": encoded(rgb.convert("CMYK"), "JPEG", quality=95),
        "turned.jpg": encoded(image, "JPEG", exif=turned),
        "16_bits.png": encoded(Image.fromarray(deep), "PNG"),
        "16_bits.tif": encoded(Image.fromarray(deep), "TIFF"),
        "still.gif": encoded(image, "GIF"),
        "grey.bmp": encoded(image, "BMP"),
        "grey.webp": encoded(rgb, "WEBP", lossless=True),
        "jpeg_named.png": jpeg,
        "Röntgen 胸部.png": encoded(image, "PNG"),
        "blank at its end.png ": encoded(image, "PNG"),
        "mono2.dcm": dicom(grey),
        "mono1.dcm": dicom(grey, PhotometricInterpretation="MONOCHROME1"),
        "no_suffix": dicom(grey),
        "no_preamble.dcm": dicom(grey)[132:],
        "12_bits.dcm": dicom(deep, 12),
        "16_bits_window.dcm": dicom(deep, WindowCenter=1500, WindowWidth=800),
        "signed_rescale.dcm": dicom(
            deep.astype("int16") - 1024, RescaleSlope=2, RescaleIntercept=-5
        ),
        "jpeg.dcm": dicom(grey, syntax=JPEGBaseline8Bit, frame=jpeg),
        "jpeg2000.dcm": dicom(
            grey, syntax=JPEG2000Lossless, frame=encoded(image, "JPEG2000", no_jp2=True)
        ),
    }


def broken_pictures(grey):
    """File name to `(bytes, reason)` of those that give no film."""
    image = Image.fromarray(grey)
    png, jpeg = encoded(image, "PNG"), encoded(image, "JPEG")
    other = Image.fromarray(255 - grey)
    several = {"save_all": True, "append_images": [other]}
    rgb = np.stack([grey, grey, grey // 2], axis=2)
    return {
        "empty.png": (b"", "empty"),
        "truncated.png": (png[: len(png) // 2], "truncated"),
        "header_only.png": (png[:20], "truncated"),
        "bad_header.png": (png[:17] + b"?" + png[18:], "truncated"),
        "flipped.png": (png[:60] + bytes([png[60] ^ 255]) + png[61:], "truncated"),
        "truncated.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "text.png": (b"<html>404 Not Found</html>\n" * 20, "not-a-picture"),
        "text.dcm": (b"<html>404 Not Found</html>\n" * 20, "not-a-picture"),
        "line.png": (encoded(Image.new("L", (300, 1)), "PNG"), "too-small"),
        "bomb.png": (png_header(50_000, 50_000), "too-large"),
        "over_limit.png": (png_header(10_001, 10_000), "too-large"),
        "animated.gif": (encoded(image, "GIF", **several), "several-frames"),
        "animated.png": (encoded(image, "PNG", **several), "several-frames"),
        "animated.webp": (encoded(image, "WEBP", **several), "several-frames"),
        "pages.tif": (encoded(image, "TIFF", **several), "several-frames"),
        "color.dcm": (dicom(rgb), "color-dicom"),
        "loop.dcm": (
            dicom(grey, NumberOfFrames=2, PixelData=grey.tobytes() * 2),
            "several-frames",
        ),
        "truncated.dcm": (dicom(grey)[:-700], "truncated"),
        "truncated_jpeg.dcm": (
            dicom(grey, syntax=JPEGBaseline8Bit, frame=jpeg[: len(jpeg) // 2]),
            "truncated",
        ),
        "bomb.dcm": (dicom(grey, Rows=50_000, Columns=50_000), "too-large"),
        "film.dcm": (dicom(grey, syntax=MPEG2, frame=b"movie"), "no-decoder"),
        "report.dcm": (dicom(grey, Rows=None, PixelData=None), "not-a-picture"),
    }


def write_corpus(folder):
    """Writes every odd picture into a folder.

    Fine films show the same drawing; bits, palette, JPEG and windows change it.

    Args:
        folder: An existing folder.

    Returns:
        Dict of file name to the reason (a code of `ledger.REASONS`) for which it
        gives no film, `""` for those that give one. `missing.png` is not written,
        `folder.png` is a folder, and `pipe.png` a pipe where there are such.
    """
    grey = drawn()
    expected = {"missing.png": "not-on-disk", "folder.png": "unreadable"}
    (folder / "folder.png").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.png")
        expected["pipe.png"] = "unreadable"
    for name, content in fine_pictures(grey).items():
        (folder / name).write_bytes(content)
        expected[name] = ""
    for name, (content, reason) in broken_pictures(grey).items():
        (folder / name).write_bytes(content)
        expected[name] = reason
    return expected


def many_scans(picture):
    """A JPEG file that draws the last part of its picture a hundred times more."""
    content = encoded(picture, "JPEG", progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * 100 + content[-2:]
