"""From the bytes of a picture to uint8 pixels of the right size.

`decode` and `resize` are the only preprocessing there is: training, prediction and
the exported model all call them and so see the same numbers.
"""

import contextlib

import tensorflow as tf

MAX_PIXELS = 100_000_000
PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"


def decode(encoded, channels):
    """Decode a PNG or JPEG file of any mode, in a graph or eagerly.

    Color becomes grey by luminance where `channels` is 1, grey is repeated where it
    is 3. Transparency is ignored: the color stored beneath it counts. Of 16 bits the
    high byte is kept, so 0–65535 becomes 0–255 (a film that uses only 12 of its 16
    bits turns nearly black: stretch it before). A rotation noted in EXIF is ignored.

    Args:
        encoded: Scalar string tensor, the bytes of the file.
        channels: 1 (grey) or 3 (RGB).

    Returns:
        uint8 tensor `(height, width, channels)`, 0–255.

    Raises:
        tf.errors.InvalidArgumentError: If the bytes are no PNG or JPEG, are
            truncated, are CMYK, or announce more than 100 million pixels.
    """
    encoded = tf.convert_to_tensor(encoded)
    is_png = tf.equal(tf.strings.substr(encoded, 0, len(PNG)), PNG)
    is_jpeg = tf.equal(tf.strings.substr(encoded, 0, len(JPEG)), JPEG)
    # Both begin with more than 24 bytes of header, which _png_shape relies on.
    known = (is_png | is_jpeg) & (tf.strings.length(encoded) >= 24)
    with _require(known, "not a PNG or JPEG file, or only its beginning"):
        height, width, colors = tf.unstack(
            tf.cond(is_png, lambda: _png_shape(encoded), lambda: _jpeg_shape(encoded))
        )
    # Refused before decoding: the header of a small file can ask for gigabytes.
    fits = (height > 0) & (width > 0) & (height * width <= MAX_PIXELS)
    with (
        _require(fits, f"no pixels or more than {MAX_PIXELS} according to its header"),
        _require(colors <= 3, "a CMYK JPEG, convert it to grey or RGB"),
    ):
        return tf.cond(
            is_png,
            lambda: tf.io.decode_png(encoded, channels),
            # As libjpeg and Pillow do by default; the fast one is up to 4 levels off.
            lambda: tf.io.decode_jpeg(encoded, channels, dct_method="INTEGER_ACCURATE"),
        )


def resize(picture, size):
    """Resize with an antialiased bilinear filter; the identity at the right size.

    Height and width are scaled separately: a picture of another aspect ratio is
    squeezed, not cropped.

    Args:
        picture: uint8 tensor `(height, width, channels)`, or a batch of such.
        size: `(height, width)` in pixels.

    Returns:
        uint8 tensor of the new size, rounded, 0–255.
    """
    resized = tf.image.resize(picture, size, method="bilinear", antialias=True)
    return tf.cast(tf.round(resized), tf.uint8)


@contextlib.contextmanager
def _require(condition, message):
    """Fail with `message` before the body's operations unless `condition` holds."""
    check = tf.debugging.Assert(condition, [message])
    with tf.control_dependencies([] if check is None else [check]):
        yield


def _png_shape(encoded):
    """Read height, width and 1 from the first block (IHDR) of a PNG file."""
    size = tf.io.decode_raw(
        tf.strings.substr(encoded, 16, 8), tf.int32, little_endian=False
    )
    return tf.stack([*tf.unstack(tf.cast(size, tf.int64), 2)[::-1], 1])


def _jpeg_shape(encoded):
    return tf.ensure_shape(tf.io.extract_jpeg_shape(encoded, tf.int64), (3,))
