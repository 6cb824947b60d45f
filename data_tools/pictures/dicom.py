"""A DICOM file to one film, by the rules of the standard for display.

Reference:
    DICOM PS3.3 (2024), C.7.6.3.1.2 (photometric interpretation), C.11.1 (modality
    LUT) and C.11.2 (VOI LUT).
"""

import io
import zlib

import numpy as np
from pydicom import dcmread, uid
from pydicom.pixels import (
    apply_modality_lut,
    apply_voi_lut,
    get_decoder,
    pixel_array,
)

from data_tools.pictures import depth
from data_tools.pictures.base import (
    Film,
    PictureError,
    check_scans,
    check_size,
    decoding,
)

MAX_INFLATED = 256 * 2**20


def read_header(content):
    """Reads a file, with or without the preamble, and checks what its header says.

    Args:
        content: The bytes of the file.

    Returns:
        A pydicom data set, whose pixels are not decoded yet.

    Raises:
        PictureError: If it holds no single grey film, or one without a decoder.
    """
    check_deflated(content)
    try:
        with decoding():
            header = dcmread(io.BytesIO(content), force=True)
            if "Rows" not in header or "Columns" not in header:
                raise PictureError("not-a-picture", "a DICOM file without a picture")
    except PictureError:
        if content[128:132] == b"DICM":
            raise
        raise PictureError("not-a-picture", "no DICOM file") from None
    with decoding():
        check(header)
    return header


def decode(header):
    """Decodes a film: modality LUT, VOI LUT, scaling to 0-255, inversion.

    Of several windows the first counts. 8 bits that no LUT changes are not scaled,
    so that a film of the RSNA challenge keeps its very pixels. Padding becomes black.

    Args:
        header: What `read_header` returns.

    Returns:
        A `Film`, without its hash.

    Raises:
        PictureError: If the pixels are damaged.
    """
    with decoding():
        # Of the decoders for it, Pillow's is 7 times as fast as gdcm and stricter.
        baseline = header.file_meta.TransferSyntaxUID == uid.JPEGBaseline8Bit
        stored = pixel_array(header, decoding_plugin="pillow" if baseline else "")
        return Film(
            to_grey(stored, header),
            header.PhotometricInterpretation,
            int(header.BitsStored),
            view=say(header, "ViewPosition"),
            sex=say(header, "PatientSex"),
            age=say(header, "PatientAge"),
        )


def say(header, name):
    """Returns an element as text without control characters."""
    text = str(header.get(name) or "")
    return "".join(c for c in text if c.isprintable()).strip()


def check_deflated(content):
    """Raises PictureError if a deflated file would take too much memory."""
    if uid.DeflatedExplicitVRLittleEndian.encode() not in content[:1024]:
        return
    start = 144 + int.from_bytes(content[140:144], "little")  # behind the meta header
    inflater = zlib.decompressobj(wbits=-15)
    with decoding():
        inflater.decompress(content[start:], MAX_INFLATED)
    if inflater.unconsumed_tail:
        raise PictureError("too-large", f"more than {MAX_INFLATED} bytes when inflated")


def check(header):
    """Raises PictureError unless the header promises one grey film we can decode."""
    check_size(header.Columns, header.Rows)
    samples = header.get("SamplesPerPixel", 1)
    colors = header.get("PhotometricInterpretation", "")
    if samples != 1 or colors not in ("MONOCHROME1", "MONOCHROME2"):
        raise PictureError("color-dicom", f"{samples} samples, {colors or 'unknown'}")
    frames = int(header.get("NumberOfFrames") or 1)
    if frames > 1:
        raise PictureError("several-frames", f"{frames} frames")
    if "TransferSyntaxUID" not in header.file_meta:  # a data set without its file
        header.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian
    check_decoder(header.file_meta.TransferSyntaxUID)
    if header.file_meta.TransferSyntaxUID in uid.JPEGTransferSyntaxes:
        check_scans(header.get("PixelData", b""))


def check_decoder(syntax):
    """Raises PictureError unless the compression can be undone on this machine."""
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise PictureError("no-decoder", f"{syntax.name}: pydicom has none") from None
    if not decoder.is_available:
        missing = decoder.missing_dependencies
        ours = any("gdcm" in name for name in missing)
        advice = 'pip install "sskeras[dicom]"' if ours else "; ".join(missing)
        raise PictureError("no-decoder", f"{syntax.name}: {advice}")


def to_grey(stored, header):
    """Turns stored samples into what a viewer shows, uint8."""
    levels, index = depth.tabulate(stored)
    shown = apply_voi_lut(apply_modality_lut(levels, header), header)
    padding = find_padding(levels, header)
    unchanged = stored.dtype == np.uint8 and np.array_equal(shown, levels)
    if unchanged and header.BitsStored == 8:
        grey = levels
    else:
        grey = depth.stretch(shown, index, padding)
    if header.PhotometricInterpretation == "MONOCHROME1":  # white is low
        grey = 255 - grey
    grey = np.where(padding, np.uint8(0), grey)
    if unchanged and np.array_equal(grey, levels):
        return stored
    return grey.take(index)


def find_padding(levels, header):
    """Says which levels mark the surroundings of the film, bool `(levels,)`."""
    value = header.get("PixelPaddingValue")
    if not isinstance(value, int):
        return np.zeros(len(levels), bool)
    limit = header.get("PixelPaddingRangeLimit")
    ends = sorted((value, limit if isinstance(limit, int) else value))
    return (levels >= ends[0]) & (levels <= ends[1])
