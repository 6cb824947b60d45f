"""From the bytes of a picture to uint8 pixels of the right size.

`decode` and `resize` are the only preprocessing there is: training, prediction and
the exported model all call them and so see the same numbers. `decode_all` gives these
numbers for many pictures in less time, once it has started.
"""

import contextlib

import tensorflow as tf

MAX_PIXELS = 100_000_000
MAX_RATIO = 100  # of the sides; resizing one of them first, a thread becomes a field
MAX_SCANS = 100  # of a progressive JPEG, each of which goes over all pixels
MAX_TOGETHER = 20_000_000  # bytes of decoded pictures that are resized as one
PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
START_OF_SCAN = b"\xff\xda"  # Never part of the pixels of a JPEG.
HEADER = 24  # bytes with which both begin, which _png_shape relies on


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
            truncated, are CMYK, or announce more than 100 million pixels, or have
            more than 100 scans.
    """
    encoded = tf.convert_to_tensor(encoded)
    is_png = _is(PNG, encoded)
    known = (is_png | _is(JPEG, encoded)) & (tf.strings.length(encoded) >= HEADER)
    with _require(known, "not a PNG or JPEG file, or only its beginning"):
        height, width, colors, scans = tf.unstack(
            tf.cond(is_png, lambda: _png_shape(encoded), lambda: _jpeg_shape(encoded))
        )
    # Refused before decoding: the header of a small file can ask for gigabytes.
    fits = (height > 0) & (width > 0) & (height * width <= MAX_PIXELS)
    with (
        _require(fits, f"no pixels or more than {MAX_PIXELS} according to its header"),
        _require(colors <= 3, "a CMYK JPEG, convert it to grey or RGB"),
        _require(scans <= MAX_SCANS, f"a JPEG of more than {MAX_SCANS} scans"),
    ):
        return tf.cond(
            is_png,
            lambda: _decode_png(encoded, channels),
            lambda: _decode_jpeg(encoded, channels),
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

    Raises:
        tf.errors.InvalidArgumentError: If one side is more than 100 times the other.
    """
    height, width = tf.unstack(tf.shape(picture)[-3:-1])
    long, short = tf.maximum(height, width), tf.minimum(height, width)
    with _require(long <= MAX_RATIO * short, f"sides of over 1:{MAX_RATIO}"):
        picture = tf.identity(picture)
    resized = tf.image.resize(picture, size, method="bilinear", antialias=True)
    return tf.cast(tf.round(resized), tf.uint8)


def decode_all(encoded, shape):
    """Decode and resize PNG or JPEG files, in a graph.

    The same bits as `resize(decode(...))` of one after the other. Files of one kind and
    size, as a set of films has them, share their checks and are resized together. Its
    graph takes a second or two to build, so that it pays where epoch follows epoch.

    Args:
        encoded: String tensor `(k,)`, the bytes of the files.
        shape: `(height, width, channels)` of the result.

    Returns:
        uint8 tensor `(k, height, width, channels)`, 0–255.

    Raises:
        tf.errors.InvalidArgumentError: As `decode`.
    """
    size, channels = shape[:2], shape[2]

    def each(function, spec):
        return tf.map_fn(function, encoded, fn_output_signature=spec)

    def whole(one):
        return each(one, tf.TensorSpec((None, None, channels), tf.uint8))

    def one(e):
        return tf.ensure_shape(resize(decode(e, channels), size), shape)

    # One step after the other, not branches in branches: these take long to start.
    long = tf.reduce_all(tf.strings.length(encoded) >= HEADER)
    jpeg, png = (long & tf.reduce_all(_is(kind, encoded)) for kind in (JPEG, PNG))
    shapes = tf.switch_case(
        tf.where(jpeg, 2, tf.where(png, 1, 0)),
        [
            lambda: tf.zeros((1, 4), tf.int64),
            lambda: _png_shape(encoded),
            lambda: each(_jpeg_shape, tf.TensorSpec((4,), tf.int64)),
        ],
    )
    alike = _are_alike(shapes, channels)
    pictures = tf.switch_case(
        tf.where(alike & jpeg, 2, tf.where(alike & png, 1, 0)),
        [
            lambda: each(one, tf.TensorSpec(shape, tf.uint8)),
            lambda: whole(lambda e: _decode_png(e, channels)),
            lambda: whole(lambda e: _decode_jpeg(e, channels)),
        ],
    )
    right = tf.reduce_all(tf.shape(pictures)[1:3] == size)
    pictures = tf.cond(right, lambda: pictures, lambda: _resize_all(pictures, shape))
    return tf.ensure_shape(pictures, (None, *shape))


def decode_each(encoded, shape):
    """Decode and resize files of which some may be no pictures, in a graph.

    A graph cannot catch an error, but a stream can pass over it.

    Args:
        encoded: String tensor `(k,)`, the bytes of the files.
        shape: `(height, width, channels)` of the result.

    Returns:
        uint8 tensor `(k, height, width, channels)`, zeros where the bytes are no
        picture that `decode` takes; boolean tensor `(k,)`, whether they are one.
    """
    count = tf.size(encoded)

    def one(number, e):
        picture = resize(decode(e, shape[2]), shape[:2])
        return number, tf.ensure_shape(picture, shape)

    numbered = tf.data.Dataset.from_tensor_slices((tf.range(count), encoded))
    found = numbered.map(one, num_parallel_calls=8).ignore_errors()
    last = tf.data.Dataset.from_tensors((count, tf.zeros(shape, tf.uint8)))
    together = found.concatenate(last).batch(tf.cast(count, tf.int64) + 1)
    numbers, pictures = together.get_single_element()
    sound = tf.scatter_nd(numbers[:, None], tf.ones_like(numbers), [count + 1]) > 0
    pictures = tf.scatter_nd(numbers[:, None], pictures, (count + 1, *shape))
    return pictures[:count], sound[:count]


def _are_alike(shapes, channels):
    """Whether pictures `(k, 4)` have one size, no fault, and room in memory."""
    sides, area = shapes[:, :2], shapes[:, 0] * shapes[:, 1]
    return (
        (tf.size(shapes) > 0)
        & tf.reduce_all(shapes[:, :3] == shapes[:1, :3])
        & tf.reduce_all(shapes[:, 2:] <= (3, MAX_SCANS))
        & tf.reduce_all(sides > 0)
        & tf.reduce_all(sides[:, ::-1] <= MAX_RATIO * sides)
        & (tf.reduce_sum(area) * channels <= MAX_TOGETHER)
    )


def _resize_all(pictures, shape):
    """Do what `resize` does with pictures `(k, h, w, c)` of one size."""
    height, width, channels = shape
    k, h, w, _ = tf.unstack(tf.shape(pictures))

    lines = _swap(tf.reshape(pictures, (k * h, -1)), k, h)
    lines = _scale(tf.reshape(lines, (h, -1)), height)  # (height, k · w · c)
    lines = tf.transpose(tf.reshape(lines, (-1, w, channels)), (1, 0, 2))
    lines = _scale(tf.reshape(lines, (w, -1)), width)  # (width, height · k · c)
    lines = tf.transpose(tf.reshape(lines, (width, -1, channels)), (1, 0, 2))
    lines = tf.reshape(tf.cast(tf.round(lines), tf.uint8), (height * k, -1))
    return tf.reshape(_swap(lines, height, k), (k, height, width, channels))


def _swap(lines, outer, inner):
    """Reorder uint8 `(outer · inner, m)` to `(inner · outer, m)`.

    `tf.transpose` would do, but where oneDNN has no AVX-512 it calls whole numbers an
    error, in the log.
    """
    order = tf.range(inner)[:, None] + tf.range(outer) * inner
    return tf.gather(lines, tf.reshape(order, [-1]))


def _scale(lines, length):
    """Resize one axis of `(n, m)` to `(length, m)`, float32.

    The operation under `tf.image.resize` wakes its threads anew for each picture of a
    batch, and adds number by number along a row of grey pixels. As channels of a single
    picture, the numbers m are added side by side, by the same weights in that order.
    """
    factor = tf.constant(length, tf.float32) / tf.cast(tf.shape(lines)[0], tf.float32)
    scaled = tf.raw_ops.ScaleAndTranslate(
        images=tf.reshape(lines, (1, tf.shape(lines)[0], 1, -1)),
        size=[length, 1],
        scale=tf.stack([factor, 1.0]),
        translation=[0.0, 0.0],
        kernel_type="triangle",
        antialias=True,
    )
    return tf.reshape(scaled, (length, -1))


@contextlib.contextmanager
def _require(condition, message):
    """Fail with `message` before the body's operations unless `condition` holds."""
    check = tf.debugging.Assert(condition, [message])
    with tf.control_dependencies([] if check is None else [check]):
        yield


def _is(kind, encoded):
    return tf.equal(tf.strings.substr(encoded, 0, len(kind)), kind)


def _decode_png(encoded, channels):
    return tf.io.decode_png(encoded, channels)


def _decode_jpeg(encoded, channels):
    # As libjpeg and Pillow do by default; the fast one is up to 4 levels off.
    return tf.io.decode_jpeg(encoded, channels, dct_method="INTEGER_ACCURATE")


def _png_shape(encoded):
    """Read height, width, 1, 1 from the first block (IHDR) of one or more PNG files."""
    size = tf.io.decode_raw(
        tf.strings.substr(encoded, 16, 8), tf.int32, little_endian=False
    )
    width, height = tf.unstack(tf.cast(size, tf.int64), 2, axis=-1)
    one = tf.ones_like(height)
    return tf.stack([height, width, one, one], axis=-1)


def _jpeg_shape(encoded):
    """Read height, width, colors, and the number of scans up to one too many."""
    shape = tf.ensure_shape(tf.io.extract_jpeg_shape(encoded, tf.int64), (3,))
    parts = tf.raw_ops.StringSplitV2(
        input=tf.reshape(encoded, [1]), sep=START_OF_SCAN, maxsplit=MAX_SCANS + 1
    )
    return tf.concat([shape, parts.shape[1:] - 1], axis=0)
