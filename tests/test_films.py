"""Any picture file becomes one grey film, or a reason why not; what is measured."""

import hashlib
import io
import os
import pickle
import subprocess
import sys

import numpy as np
import PIL
import pydicom
import pytest
from odd_pictures import dicom, drawn, encoded, fine_pictures, write_corpus
from PIL import Image
from pydicom.uid import JPEGLSLossless

from data_tools import ledger, phantom, pictures

GREY = drawn()
DEEP = GREY.astype("uint16") * 13


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    return folder, write_corpus(folder)


def read(tmp_path, content, name="film"):
    """Writes the bytes of a file, or a Pillow image as TIFF, and reads it."""
    if isinstance(content, Image.Image):
        content = encoded(content, "TIFF")
    (tmp_path / name).write_bytes(content)
    return pictures.read(tmp_path / name)


def reason(path):
    try:
        pictures.read(path)
    except pictures.PictureError as error:
        return error.reason
    return ""


def scaled(values):
    """Least to most becomes 0 to 255, the naive way."""
    values = values.astype("float64")
    return np.rint(255 * (values - values.min()) / np.ptp(values)).astype("uint8")


def test_every_odd_picture_is_a_film_or_has_its_reason(corpus, recwarn):
    folder, expected = corpus
    assert {name: reason(folder / name) for name in expected} == expected
    assert set(expected.values()) - {""} <= set(ledger.REASONS)
    assert not recwarn.list


def test_what_loses_nothing_gives_the_very_pixels(corpus):
    lossy = {"grey.jpg", "jpeg_named.png", "jpeg.dcm", "cmyk.jpg", "bits.png"}
    other = {"turned.jpg", "mono1.dcm", "16_bits_window.dcm"}
    deep = {"16_bits.png", "16_bits.tif", "12_bits.dcm", "signed_rescale.dcm"}
    for name in fine_pictures(GREY):
        if name not in lossy | other:
            film = pictures.read(corpus[0] / name)
            assert film.pixels.dtype == np.uint8, name
            right = scaled(DEEP) if name in deep else GREY
            np.testing.assert_array_equal(film.pixels, right, name)


def test_lossy_turned_and_inverted_pictures_are_right_too(corpus):
    films = {name: pictures.read(corpus[0] / name) for name in fine_pictures(GREY)}
    jpeg = np.asarray(Image.open(corpus[0] / "grey.jpg"))
    for name in ("grey.jpg", "jpeg_named.png", "jpeg.dcm"):
        np.testing.assert_array_equal(films[name].pixels, jpeg)
    np.testing.assert_allclose(films["cmyk.jpg"].pixels, GREY + 0.0, atol=4)
    np.testing.assert_array_equal(films["turned.jpg"].pixels, np.rot90(jpeg, -1))
    np.testing.assert_array_equal(films["mono1.dcm"].pixels, 255 - GREY)
    assert set(np.unique(films["bits.png"].pixels)) == {0, 255}


def test_mode_and_depth_of_the_original_are_kept(corpus):
    expected = {
        "bits.png": ("1", 1),
        "grey_alpha.png": ("LA", 8),
        "palette.png": ("P", 8),
        "cmyk.jpg": ("CMYK", 8),
        "16_bits.png": ("I;16", 16),
        "12_bits.dcm": ("MONOCHROME2", 12),
        "mono1.dcm": ("MONOCHROME1", 8),
    }
    films = {name: pictures.read(corpus[0] / name) for name in expected}
    assert {name: (film.mode, film.bits) for name, film in films.items()} == expected


@pytest.mark.parametrize("mode", ["RGB", "YCbCr", "LAB", "CMYK", "P"])
def test_colors_become_the_luminance_of_pillow(tmp_path, mode):
    rgb = Image.fromarray(np.stack([GREY, GREY[::-1], 255 - GREY], axis=2))
    if mode == "LAB":
        image = Image.frombytes("LAB", rgb.size, rgb.tobytes())
    else:
        image = rgb.convert(mode)
    if mode == "YCbCr" and int(PIL.__version__.split(".")[0]) < 13:
        pytest.skip("Pillow before 13 cannot read the YCbCr that it writes")
    film = read(tmp_path, image)
    right = image.convert("RGB").convert("L")
    np.testing.assert_allclose(film.pixels, np.asarray(right) + 0.0, atol=1)
    assert "color" in film.flags


@pytest.mark.parametrize("kind", ["<u2", ">u2", "int32", "float32"])
def test_deep_pictures_go_from_least_to_most(tmp_path, kind):
    values = DEEP.astype(kind)
    if kind == ">u2":
        image = Image.frombytes("I;16B", GREY.T.shape, values.tobytes())
    else:
        image = Image.fromarray(values)
    np.testing.assert_array_equal(read(tmp_path, image).pixels, scaled(DEEP))
    flat = Image.fromarray(np.full((20, 20), 700, "<u2"))
    assert not read(tmp_path, flat).pixels.any()


def test_what_is_no_number_is_black_and_does_not_count(tmp_path):
    values = DEEP.astype("float32")
    values[3, 4], values[5, 6] = np.nan, np.inf
    right = scaled(DEEP)
    right[3, 4] = right[5, 6] = 0
    pixels = read(tmp_path, Image.fromarray(values)).pixels
    np.testing.assert_array_equal(pixels, right)


@pytest.mark.parametrize("deep", [False, True])
def test_a_tiff_whose_white_is_zero_is_inverted_once(tmp_path, deep):
    image = Image.fromarray(DEEP if deep else GREY)
    content = encoded(image, "TIFF", tiffinfo={262: 0})
    # Pillow inverts 8 bits when it writes and when it reads, 16 bits never.
    right = 255 - scaled(DEEP) if deep else GREY
    np.testing.assert_array_equal(read(tmp_path, content).pixels, right)


def test_of_a_camera_picture_with_preview_the_picture_counts(tmp_path):
    image, preview = Image.fromarray(GREY), Image.fromarray(GREY[::2, ::2])
    content = encoded(image, "MPO", save_all=True, append_images=[preview])
    assert read(tmp_path, content).pixels.shape == GREY.shape


def test_flags_name_color_alpha_and_flat_films(tmp_path):
    def flags(array):
        return read(tmp_path, Image.fromarray(array)).flags

    rgba = np.stack([GREY, GREY, GREY, np.full_like(GREY, 255)], axis=2)
    assert flags(rgba) == ()
    rgba[2, 2, 3] = 254
    assert flags(rgba) == ("alpha",)
    rgba[10, 5:24, :3] = 200, 10, 10  # 19 pixels
    assert flags(rgba) == ("alpha",)
    rgba[10, 24, :3] = 10, 200, 10
    assert flags(rgba) == ("color", "alpha")
    assert flags(GREY // 64 + 100) == ("flat",)


def test_a_palette_may_have_holes(corpus):
    assert pictures.read(corpus[0] / "palette_hole.png").flags == ("alpha",)
    assert pictures.read(corpus[0] / "palette.png").flags == ()


def test_windows_and_rescaling_follow_the_standard(tmp_path):
    stored = DEEP.astype("int16") - 1024
    x = stored * 0.5 + 100
    content = dicom(
        stored,
        RescaleSlope=0.5,
        RescaleIntercept=100,
        WindowCenter=[300, 1],
        WindowWidth=[600, 2],
        PhotometricInterpretation="MONOCHROME1",
    )
    shown = np.clip((x - 299.5) / 599 + 0.5, 0, 1)  # PS3.3, C.11.2.1.2.1
    assert (shown == 0).any() and (shown == 1).any()
    right = 255 - scaled(shown).astype(int)
    np.testing.assert_allclose(read(tmp_path, content).pixels, right, atol=1)


@pytest.mark.parametrize("bits", [8, 12, 16, 32])
@pytest.mark.parametrize("colors", ["MONOCHROME1", "MONOCHROME2"])
def test_every_depth_of_dicom_is_scaled_and_inverted(tmp_path, bits, colors):
    kind = {8: "uint8", 12: "uint16", 16: "uint16", 32: "uint32"}[bits]
    stored = GREY.astype(kind) * (2 ** (bits - 8))
    content = dicom(stored, bits, PhotometricInterpretation=colors)
    right = GREY if bits == 8 else scaled(stored)
    right = 255 - right if colors == "MONOCHROME1" else right
    film = read(tmp_path, content)
    np.testing.assert_array_equal(film.pixels, right)
    assert (film.mode, film.bits) == (colors, bits)


def test_a_lut_in_the_file_is_applied(tmp_path):
    table = pydicom.Dataset()
    table.LUTDescriptor = [256, 0, 16]
    table.add_new("LUTData", "US", [(255 - i) ** 2 for i in range(256)])
    film = read(tmp_path, dicom(GREY, VOILUTSequence=[table]))
    np.testing.assert_array_equal(film.pixels, scaled((255 - GREY.astype(int)) ** 2))


@pytest.mark.parametrize("colors", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_count(tmp_path, colors):
    stored = DEEP.copy()
    stored[:5], stored[5:7] = 60_000, 60_007
    content = dicom(
        stored,
        PixelPaddingValue=60_007,
        PixelPaddingRangeLimit=60_000,
        PhotometricInterpretation=colors,
    )
    pixels = read(tmp_path, content).pixels
    right = scaled(DEEP[7:])
    right = 255 - right if colors == "MONOCHROME1" else right
    np.testing.assert_array_equal(pixels[7:], right)
    assert not pixels[:7].any()


def test_a_bare_data_set_is_read_if_it_is_called_dcm(tmp_path):
    data = pydicom.dcmread(io.BytesIO(dicom(DEEP, ViewPosition="PA", PatientSex="F")))
    data.PatientAge = "059Y"
    file = io.BytesIO()
    bare = pydicom.Dataset(data)
    bare.save_as(file, implicit_vr=True, little_endian=True)
    film = read(tmp_path, file.getvalue(), "film.dcm")
    np.testing.assert_array_equal(film.pixels, scaled(DEEP))
    assert (film.view, film.sex, film.age) == ("PA", "F", "059Y")
    (tmp_path / "film.png").write_bytes(file.getvalue())
    assert reason(tmp_path / "film.png") == "not-a-picture"


def test_a_missing_decoder_says_what_to_install(tmp_path):
    content = dicom(GREY, syntax=JPEGLSLossless, frame=b"any")
    (tmp_path / "film.dcm").write_bytes(content)
    code = """
import sys
sys.modules.update(dict.fromkeys(["gdcm", "pylibjpeg", "jpeg_ls"]))
from data_tools import pictures
try:
    pictures.read(sys.argv[1])
except pictures.PictureError as error:
    print(error.reason, error)
"""
    said = run(code, tmp_path / "film.dcm")
    assert said.startswith("no-decoder") and 'pip install "sskeras[dicom]"' in said


def run(code, *arguments):
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_header_that_asks_for_gigabytes_gets_no_memory(corpus):
    code = """
import resource, sys
from data_tools import pictures
from data_tools.pictures import dicom
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        pictures.read(path)
    except pictures.PictureError as error:
        print(error.reason)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    pytest.importorskip("resource")
    names = ("bomb.png", "over_limit.png", "bomb.dcm")
    *reasons, grown = run(code, *(corpus[0] / name for name in names)).split()
    assert reasons == ["too-large"] * 3
    assert int(grown) < 20_000  # KiB


def test_damage_anywhere_ends_in_a_film_or_a_reason(tmp_path):
    rng = np.random.default_rng(0)
    for name, content in fine_pictures(GREY).items():
        for _ in range(8):
            damaged = bytearray(content)
            for place in rng.integers(len(damaged), size=4):
                damaged[place] = rng.integers(256)
            (tmp_path / name).write_bytes(damaged[: rng.integers(1, 2 * len(damaged))])
            reason(tmp_path / name)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything"
)
def test_a_file_that_may_not_be_read_is_unreadable(tmp_path):
    (tmp_path / "film.png").write_bytes(encoded(Image.fromarray(GREY), "PNG"))
    (tmp_path / "film.png").chmod(0)
    assert reason(tmp_path / "film.png") == "unreadable"


def test_pictures_in_an_archive_have_numbers(tmp_path):
    path = tmp_path / "set.npz"
    train = np.stack([GREY, 255 - GREY])
    color = np.repeat(train[..., None], 3, axis=3)
    objects = np.array([None, 1], dtype=object)
    deep = train.astype("uint16")
    arrays = {"train": train, "val": color, "test": objects, "deep": deep}
    np.savez(path, **{f"{name}_images": value for name, value in arrays.items()})
    film = pictures.read(f"{path}::train/1")
    np.testing.assert_array_equal(film.pixels, 255 - GREY)
    assert film.sha256_source == hashlib.sha256(train[1].tobytes()).hexdigest()
    film = pictures.read(f"{path}::val/0")
    assert film.mode == "RGB" and (film.pixels == GREY).all()
    for name in ("train/2", "train/-1", "train", "other/0"):
        assert reason(f"{path}::{name}") == "not-on-disk", name
    assert reason(f"{tmp_path}/missing.npz::train/0") == "not-on-disk"
    for name in ("test/0", "deep/0"):  # never unpickled
        assert reason(f"{path}::{name}") == "not-a-picture", name
    (tmp_path / "text.npz").write_text("text")
    assert reason(f"{tmp_path}/text.npz::train/0") == "not-a-picture"
    assert (pictures.read(f"{path}::train/1").pixels == 255 - GREY).all()
    np.savez(path, train_images=train[::-1])
    os.utime(path, (1, 1))
    np.testing.assert_array_equal(pictures.read(f"{path}::train/1").pixels, GREY)


def test_the_source_is_hashed_and_errors_cross_processes(corpus):
    path = corpus[0] / "grey.png"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert pictures.read(path).sha256_source == digest
    error = pickle.loads(pickle.dumps(pictures.PictureError("empty", "0 bytes")))
    assert (error.reason, str(error)) == ("empty", "0 bytes")


def test_the_real_dicom_keeps_its_very_pixels(shared):
    real, tagged = sorted((shared / "sources/rsna").glob("*.dcm"))
    pixels = pydicom.dcmread(real).pixel_array
    film = pictures.read(real)
    np.testing.assert_array_equal(film.pixels, pixels)
    assert film.view in ("AP", "PA") and film.sex in ("F", "M") and film.age
    np.testing.assert_array_equal(pictures.read(tagged).pixels, 255 - pixels)


def test_real_sources_are_readable_and_only_overlays_are_colored(shared):
    colored, unreadable = [], []
    for path in sorted((shared / "sources").rglob("*")):
        if path.is_file() and path.suffix not in (".csv", ".md"):
            try:
                film = pictures.read(path)
            except pictures.PictureError:
                unreadable.append(path.name)
                continue
            if "color" in film.flags:
                colored.append(path.name[:8])
            assert not {"flat", "alpha"} & set(film.flags), path
    assert not unreadable
    films = ["4C4DEFD8", "7D2CF6CE", "80446565", "D7AF463C", "FE9F9A5D", "radiol.2"]
    assert sorted(colored) == sorted([*films, "MASKEqua"])


def test_resizing_agrees_with_training(shared):
    from sskeras.data import pictures as training

    for size in (32, 64, 96):
        right = training.resize(GREY[..., None], (size, size))[..., 0].numpy()
        resized = pictures.resize(GREY, size)
        assert resized.shape == (size, size) and resized.dtype == np.uint8
        np.testing.assert_allclose(resized, right + 0.0, atol=1)
    square = GREY[:40]
    assert pictures.resize(square, 40) is square


def test_a_thumbnail_is_the_mean_of_boxes():
    large = np.kron(GREY[:32, :32], np.ones((40, 24), "uint8"))
    np.testing.assert_allclose(pictures.thumbnail(large), GREY[:32, :32], atol=1)
    shown = drawn(320, 640)
    right = shown.reshape(32, 10, 32, 20).mean(axis=(1, 3))
    np.testing.assert_allclose(pictures.thumbnail(shown), right, atol=3)
    assert pictures.thumbnail(GREY[:16, :20]).shape == (32, 32)


def test_phash_bits_are_those_of_the_plain_transform():
    films = np.stack([drawn(32, 32), 255 - drawn(32, 32), np.full((32, 32), 77, "u1")])
    hashes = pictures.phash(films)
    assert hashes.dtype == np.uint64 and hashes.shape == (3,)
    for film, found in zip(films, hashes, strict=True):
        low = [
            sum(
                int(film[y, x])
                * np.cos(np.pi * v * (2 * y + 1) / 64)
                * np.cos(np.pi * u * (2 * x + 1) / 64)
                for y in range(32)
                for x in range(32)
            ).round(3)
            for v in range(8)
            for u in range(8)
        ]
        bits = "".join("1" if value > np.median(low) else "0" for value in low)
        assert f"{int(found):064b}" == bits
    assert int(hashes[2]) == 1 << 63  # nothing but the mean
    assert pictures.phash(films[:0]).shape == (0,)


def test_encoding_loses_nothing_and_hashes_know_the_shape():
    content = pictures.encode(GREY)
    assert content == pictures.encode(GREY.copy())
    np.testing.assert_array_equal(Image.open(io.BytesIO(content)), GREY)
    digests = {pictures.sha256_pixels(GREY.reshape(s)) for s in [(48, 40), (40, 48)]}
    assert len(digests) == 2
    assert pictures.sha256_pixels(GREY.T) == pictures.sha256_pixels(GREY.T.copy())


def test_negatives_are_found_among_drawn_films():
    drawings = [phantom.draw("normal", "", seed, 64)[0] for seed in range(100, 130)]
    films = np.stack([pictures.thumbnail(film) for film in drawings])
    assert not pictures.looks_negative(films).any()
    assert pictures.looks_negative(255 - films).all()
    assert not pictures.looks_negative(np.zeros((2, 32, 32), "uint8")).any()


def test_negatives_are_found_among_real_films(shared):
    """One in eleven, the three negatives of the set, and the most alike of others."""
    negatives = {"8e5ddd55fe5f.jpg", "eca571271b72.jpg", "31c7d463620e.jpg"}
    paths = sorted((shared / "cxr/images").iterdir())
    some = negatives | {"88030e43efe2.jpg"}  # a correlation of -0.13
    paths = paths[::11] + [path for path in paths if path.name in some]
    films = np.stack([pictures.thumbnail(pictures.read(path).pixels) for path in paths])
    found = pictures.looks_negative(films)
    assert {path.name for path, is_one in zip(paths, found, strict=True) if is_one} == (
        negatives
    )
    assert pictures.looks_negative(255 - films).mean() > 0.95


def test_the_header_alone_tells_all_but_damage_of_the_pixels(tmp_path):
    """A dry run probes; what it lets pass, decoding may still refuse as truncated."""
    later = 0
    for name, reason in write_corpus(tmp_path).items():
        try:
            pictures.probe(tmp_path / name)
        except pictures.PictureError as error:
            assert error.reason == reason, name
        else:
            assert reason in ("", "truncated"), name
            later += reason == "truncated"
    assert later
