"""Every way to see a picture must give the same numbers, or a clear error."""

import io
import os
import struct
import zlib

import numpy as np
import odd_pictures
import pytest
import tensorflow as tf
from PIL import Image

from sskeras.data import load_pictures, loading, pictures

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (20, 30, 4), dtype="uint8")
DEEP = RNG.integers(0, 65536, (20, 30)).astype("uint16")
MODES = {
    "1": Image.fromarray(NOISE[..., 0]).convert("1"),
    "L": Image.fromarray(NOISE[..., 0]),
    "LA": Image.fromarray(NOISE[..., :2].copy(), "LA"),
    "P": Image.fromarray(NOISE[..., :3].copy()).convert("P"),
    "RGB": Image.fromarray(NOISE[..., :3].copy()),
    "RGBA": Image.fromarray(NOISE),
}


def encode(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def smooth(height, width):
    """Draw a picture without noise, which JPEG keeps nearly as it is."""
    rows, columns = np.mgrid[:height, :width]
    grey = 127 + 100 * np.sin(rows / 9) * np.cos(columns / 7)
    return Image.fromarray(grey.astype("uint8"))


def eagerly(encoded, channels):
    return pictures.decode(encoded, channels).numpy()


def in_dataset(encoded, channels):
    dataset = tf.data.Dataset.from_tensors(encoded)
    (picture,) = dataset.map(lambda e: pictures.decode(e, channels))
    return picture.numpy()


def in_map_fn(encoded, channels):
    """Decode as an exported model does."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(batch):
        spec = tf.TensorSpec([None, None, channels], tf.uint8)
        decode = lambda e: pictures.decode(e, channels)  # noqa: E731
        return tf.map_fn(decode, batch, fn_output_signature=spec)

    return serve(tf.constant([encoded]))[0].numpy()


WAYS = pytest.mark.parametrize("way", [eagerly, in_dataset, in_map_fn])


@WAYS
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", MODES)
def test_png_of_every_mode(mode, channels, way):
    picture = way(encode(MODES[mode]), channels)
    opaque = MODES[mode].convert("RGBA").convert("RGB")  # drops alpha, does not blend
    expected = np.asarray(opaque if channels == 3 else opaque.convert("L"))
    assert picture.dtype == np.uint8 and picture.shape == (20, 30, channels)
    difference = picture.squeeze().astype(int) - expected
    assert abs(difference).max() <= (1 if channels == 1 else 0)  # rounding of luminance


@WAYS
@pytest.mark.parametrize("channels", [1, 3])
def test_of_16_bits_the_high_byte_is_kept(channels, way):
    picture = way(encode(Image.fromarray(DEEP)), channels)
    for channel in range(channels):
        np.testing.assert_array_equal(picture[..., channel], DEEP >> 8)


@WAYS
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_equals_pillow(mode, options, way):
    encoded = encode(MODES[mode], "JPEG", **options)
    expected = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
    np.testing.assert_array_equal(way(encoded, 3), expected)


def test_decode_knows_its_channels():
    dataset = tf.data.Dataset.from_tensors(encode(MODES["L"]))
    spec = dataset.map(lambda e: pictures.decode(e, 3)).element_spec
    assert spec.shape.as_list() == [None, None, 3]


def png_that_claims(width, height):
    def block(name, content):
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = (
        block(b"IHDR", header)
        + block(b"IDAT", zlib.compress(b""))
        + block(b"IEND", b"")
    )
    return pictures.PNG + body


def jpeg_that_claims(width, height):
    encoded = encode(smooth(20, 30), "JPEG")
    place = encoded.index(b"\xff\xc0") + 5
    return encoded[:place] + struct.pack(">HH", height, width) + encoded[place + 4 :]


BAD = {
    "empty": (b"", "empty"),
    "text": (b"no picture, but long enough for a header", "not a PNG or JPEG"),
    "png beginning": (encode(MODES["L"])[:10], "only its beginning"),
    "jpeg beginning": (encode(MODES["L"], "JPEG")[:10], "only its beginning"),
    "half png": (encode(MODES["L"])[:300], "Invalid PNG"),
    "png end": (encode(MODES["L"])[:-20], "Invalid PNG"),
    "half jpeg": (encode(MODES["L"], "JPEG")[:500], "Invalid JPEG"),
    "jpeg end": (encode(MODES["RGB"], "JPEG")[:-20], "Invalid JPEG"),
    "progressive": (encode(MODES["L"], "JPEG", progressive=True)[:500], "Invalid JPEG"),
    "large png": (png_that_claims(50_000, 50_000), "100000000"),
    "large jpeg": (jpeg_that_claims(50_000, 50_000), "100000000"),
    "endless png": (png_that_claims(2**32 - 1, 2**32 - 1), "100000000"),
    "scans": (odd_pictures.many_scans(smooth(20, 30)), "more than 100 scans"),
    "thread": (encode(smooth(1, 101)), "sides of over 1:100"),
    "CMYK": (encode(MODES["RGB"].convert("CMYK"), "JPEG"), "CMYK"),
    "GIF": (encode(MODES["L"], "GIF"), "not a PNG or JPEG"),
    "BMP": (encode(MODES["L"], "BMP"), "not a PNG or JPEG"),
    "WEBP": (encode(MODES["L"], "WEBP"), "not a PNG or JPEG"),
    "TIFF": (encode(MODES["L"], "TIFF"), "not a PNG or JPEG"),
}


@WAYS
@pytest.mark.parametrize("kind", [kind for kind in BAD if kind != "thread"])
def test_what_cannot_be_decoded_is_an_error(kind, way):
    with pytest.raises(tf.errors.InvalidArgumentError):
        way(BAD[kind][0], 3)  # GIF, BMP and CMYK would pass TensorFlow here


def many(kind, sizes):
    """Encode noise of several sizes, as one kind of file or as both in turn."""
    kinds = ["PNG", "JPEG"] if kind == "both" else [kind]
    return [
        encode(Image.fromarray(RNG.integers(0, 256, size).astype("uint8")), one)
        for size, one in zip(sizes, kinds * len(sizes), strict=False)
    ]


def all_at_once(shape):
    signature = [tf.TensorSpec((None,), tf.string)]
    return tf.function(lambda e: pictures.decode_all(e, shape), signature)


@pytest.mark.parametrize("shape", [(16, 16, 3), (40, 25, 1), (7, 90, 1)])
def test_all_at_once_equal_one_after_the_other(shape):
    together = all_at_once(shape)
    for kind in ("PNG", "JPEG", "both"):
        for sizes in ([(40, 25)] * 5, [(40, 25), (33, 9), (16, 16)], []):
            encoded = many(kind, sizes)
            found = together(tf.constant(encoded, tf.string, (len(encoded),)))
            assert found.shape == (len(encoded), *shape)
            for one, picture in zip(encoded, found, strict=True):
                expected = pictures.resize(pictures.decode(one, shape[2]), shape[:2])
                np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize("shape", [(1, 101), (101, 1)])
def test_a_thread_is_not_made_a_field(shape):
    with pytest.raises(tf.errors.InvalidArgumentError, match="over 1:100"):
        pictures.resize(np.zeros((3, *shape, 1), "uint8"), (8, 8))
    assert pictures.resize(np.zeros((1, 100, 1), "uint8"), (8, 8)).shape == (8, 8, 1)


def test_what_cannot_be_decoded_is_an_error_all_at_once():
    together = all_at_once((8, 8, 1))
    good = [encode(MODES["L"]), encode(MODES["L"], "JPEG")]
    for content, _ in BAD.values():
        for encoded in ([content], [good[1], content], [good[0], content]):
            with pytest.raises(tf.errors.InvalidArgumentError):
                together(tf.constant(encoded))


def test_resize_is_the_identity_at_the_right_size():
    picture = NOISE[..., :3]
    np.testing.assert_array_equal(pictures.resize(picture, (20, 30)), picture)
    dataset = tf.data.Dataset.from_tensors(encode(MODES["RGB"]))
    (inside,) = dataset.map(lambda e: pictures.resize(pictures.decode(e, 3), (20, 30)))
    np.testing.assert_array_equal(inside, picture)


def test_resize_antialiases():
    stripes = np.tile(np.array([0, 0, 0, 255], "uint8"), (64, 16))[..., None]
    small = pictures.resize(stripes, (16, 16)).numpy()[2:-2, 2:-2]
    assert abs(small.astype(int) - 64).max() <= 1  # the mean, not the nearest pixels


def test_resize_rounds():
    picture = np.array([[0, 1], [1, 1]], "uint8")[..., None]
    assert pictures.resize(picture, (1, 1)).numpy().item() == 1  # 0.75


@pytest.fixture
def films(tmp_path):
    """Write five films of different sizes and kinds."""
    folder = tmp_path / "films"
    folder.mkdir()
    paths = []
    for number in range(5):
        kind = "PNG" if number % 2 else "JPEG"
        path = folder / f"{number}.{kind.lower()}"
        path.write_bytes(encode(smooth(40 + number, 50 - number), kind))
        paths.append(path)
    return paths


@pytest.mark.parametrize("many", [2, 6])
def test_load_keeps_the_order_and_sees_what_the_model_sees(films, many, monkeypatch):
    monkeypatch.setattr(loading, "CHUNK", 2)
    monkeypatch.setattr(loading, "MANY", many)
    slow = RNG.integers(0, 256, (2000, 2000), dtype="uint8")  # others overtake it
    films[0].write_bytes(encode(Image.fromarray(slow)))
    x = load_pictures(films, (16, 24))
    assert x.shape == (5, 16, 24, 1) and x.dtype == np.uint8
    for picture, path in zip(x, films, strict=True):
        alone = pictures.resize(pictures.decode(path.read_bytes(), 1), (16, 24))
        np.testing.assert_array_equal(picture, alone)


def test_load_accepts_one_number_and_three_channels(films):
    assert load_pictures(films, 16, channels=3).shape == (5, 16, 16, 3)


@pytest.mark.parametrize("many", [2, 6])
@pytest.mark.parametrize(
    ("kind", "cached"), [*((kind, True) for kind in [*BAD, "missing"]), ("GIF", False)]
)
def test_load_names_the_bad_file_and_its_row(
    films, kind, cached, many, tmp_path, monkeypatch
):
    monkeypatch.setattr(loading, "CHUNK", 2)
    monkeypatch.setattr(loading, "MANY", many)
    content, reason = BAD.get(kind, (None, "No such file"))
    if content is None:
        films[3].unlink()
    else:
        films[3].write_bytes(content)
    cache = tmp_path / "cache" if cached else None
    with pytest.raises(ValueError, match=rf"3\.png \(row 17 .*: .*{reason}") as caught:
        load_pictures(films, 16, rows=[11, 12, 15, 17, 18], cache=cache)
    assert "Summarized" not in str(caught.value) and "{{" not in str(caught.value)
    assert not cached or not cache.exists() or not os.listdir(cache)


def test_a_file_of_gigabytes_is_not_read(films):
    with open(films[3], "wb") as file:
        file.truncate(10**12)
    with pytest.raises(ValueError, match=r"3\.png: it has more than 500,000,000 bytes"):
        load_pictures(films, 16)


@pytest.mark.parametrize(
    "arguments",
    [
        {"paths": [], "image_size": 8},
        {"paths": ["a"], "image_size": 0},
        {"paths": ["a"], "image_size": (8, 8, 1)},
        {"paths": ["a"], "image_size": 8, "channels": 4},
        {"paths": ["a"], "image_size": 8, "rows": [1, 2]},
    ],
)
def test_load_refuses_wrong_arguments(arguments):
    with pytest.raises(ValueError, match="(?i)expected|empty"):
        load_pictures(**arguments)


def test_cache_is_equal_read_only_and_reused(films, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    x = load_pictures(films, 16, cache=cache)
    assert isinstance(x, np.memmap) and not x.flags.writeable
    np.testing.assert_array_equal(x, load_pictures(films, 16))
    (file,) = cache.iterdir()
    monkeypatch.setattr(loading, "_write_cache", None)  # must not be called
    np.testing.assert_array_equal(load_pictures(films, 16, cache=cache), x)
    assert [*cache.iterdir()] == [file]


def test_cache_follows_files_and_arguments(films, tmp_path):
    cache = tmp_path / "cache"
    load_pictures(films, 16, cache=cache)
    load_pictures(films, 17, cache=cache)
    load_pictures(films, 16, channels=3, cache=cache)
    load_pictures(films[::-1], 16, cache=cache)
    assert len([*cache.iterdir()]) == 4
    status = os.stat(films[1])
    films[1].write_bytes(encode(Image.new("L", (40, 40), 7)))
    os.utime(films[1], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert (load_pictures(films, 16, cache=cache)[1] == 7).all()


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_truncated_cache_is_built_anew(films, tmp_path, length):
    cache = tmp_path / "cache"
    expected = np.array(load_pictures(films, 16, cache=cache))
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:length])
    np.testing.assert_array_equal(load_pictures(films, 16, cache=cache), expected)
    assert len([*cache.iterdir()]) == 1


def test_interrupted_writing_leaves_nothing(films, tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "CHUNK", 2)

    def interrupted(*arguments):
        yield next(whole(*arguments))
        raise KeyboardInterrupt

    whole = loading._chunks
    monkeypatch.setattr(loading, "_chunks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_pictures(films, 16, cache=tmp_path / "cache")
    assert not os.listdir(tmp_path / "cache")
