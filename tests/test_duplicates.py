"""Near duplicates are found among many pictures, and groups follow from them."""

import io
import itertools
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from data_tools import duplicates, groups, manifest, pictures


def film(seed, size=96):
    """A smooth random picture with the low frequencies of a film."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (9, 9)).astype("uint8")
    image = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
    noise = rng.integers(-6, 7, (size, size))
    return np.clip(np.asarray(image) + noise, 0, 255).astype("uint8")


def as_jpeg(pixels, quality):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "jpeg", quality=quality)
    return np.asarray(Image.open(stream))


def find(films):
    thumbnails = np.stack([pictures.thumbnail(pixels) for pixels in films])
    return duplicates.find(pictures.phash(thumbnails), thumbnails, progress=False)


def test_a_film_is_found_again_after_compression_and_resizing():
    films = [film(seed) for seed in range(40)]
    films += [as_jpeg(films[3], 60), pictures.resize(films[7], 64)]
    pairs = find(films)
    assert [pair[:2] for pair in pairs] == [(3, 40), (7, 41)]
    assert all(pair.correlation >= duplicates.SAME for pair in pairs)


def test_a_remark_on_a_film_makes_a_near_duplicate_and_not_the_same():
    films = [film(seed, 128) for seed in range(10)]
    marked = films[2].copy()
    marked[4:10, 4:20] = 255
    (pair,) = find([*films, marked])
    assert pair[:2] == (2, 10)
    assert duplicates.NEAR < pair.correlation < duplicates.SAME


def test_tiles_miss_no_pair_and_repeat_none(monkeypatch):
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 12, 300)
    flips = 1 << rng.integers(0, 63, (3, 300))
    hashes = np.bitwise_xor.reduce([rng.integers(0, 2**63, 6)[kind // 2], *flips])
    hashes = hashes.astype("uint64")
    noise = rng.normal(size=(300, 32, 32)) * rng.uniform(0, 20, (300, 1, 1))
    shown = rng.integers(40, 216, (12, 32, 32))[kind] + noise
    thumbnails = np.clip(shown, 0, 255).astype("uint8")
    flat = thumbnails.reshape(300, -1).astype(float)
    expected = [
        (i, j)
        for i, j in itertools.combinations(range(300), 2)
        if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= 8
        and np.corrcoef(flat[i], flat[j])[0, 1] > 0.98
    ]
    assert len(expected) > 50
    for tile in ((64, 4096), (7, 13), (300, 1), (1, 299)):
        monkeypatch.setattr(duplicates, "TILE", tile)
        monkeypatch.setattr(duplicates, "CHUNK", 10)
        found = duplicates.find(hashes, thumbnails, progress=False)
        assert [pair[:2] for pair in found] == expected
    for pair in found:
        exact = np.corrcoef(flat[pair.first], flat[pair.second])[0, 1]
        assert pair.correlation == pytest.approx(exact, abs=1e-12)
    suspect = duplicates.suspects(hashes, progress=False)
    assert suspect[sorted({n for pair in expected for n in pair})].all()


def test_a_hash_far_from_all_others_is_no_suspect():
    hashes = np.array([0, 0x1FF, 0xFF << 40, 2**64 - 1, 7 << 60], "uint64")
    assert duplicates.suspects(hashes, progress=False).tolist() == [
        True,  # 8 bits from the third and 3 from the last
        False,
        True,
        False,
        True,
    ]
    assert duplicates.suspects(hashes[[3, 3]], progress=False).all()


def test_thousands_of_copies_are_linked_to_the_first_alone():
    thumbnails = np.tile(pictures.thumbnail(film(0)), (20_000, 1, 1))
    thumbnails[5] = pictures.thumbnail(as_jpeg(film(0), 50))
    hashes = pictures.phash(thumbnails)
    tracemalloc.start()
    pairs = duplicates.find(hashes, thumbnails, progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [pair.first for pair in pairs] == [0] * 19_999
    assert peak < 50e6  # All pairs of all copies would take gigabytes.


def test_a_picture_of_one_grey_is_like_its_copies_only():
    grey = [np.full((32, 32), level, "uint8") for level in (0, 9, 9, 255)]
    thumbnails = np.stack([*grey, pictures.thumbnail(film(1))])
    pairs = duplicates.find(np.zeros(5, "uint64"), thumbnails, progress=False)
    assert pairs == [(1, 2, 1.0)]


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare_gives_no_pair(count):
    thumbnails = np.zeros((count, 32, 32), "uint8")
    assert duplicates.find(np.zeros(count, "uint64"), thumbnails) == []
    assert duplicates.suspects(np.zeros(count, "uint64")).tolist() == [False] * count


def test_real_films_of_different_patients_are_no_pair(shared):
    """`patient_id` of these films already joins near duplicates."""
    rows = manifest.read(shared / "cxr")
    rows = [row for row in rows if row["label"] == "covid-19"]
    films = [pictures.read(shared / "cxr" / row["image"]).pixels for row in rows]
    pairs = find(films)
    assert len(pairs) > 30
    for first, second, _ in pairs:
        assert rows[first]["patient_id"] == rows[second]["patient_id"]


# Groups.


def test_components_are_numbered_by_their_first_element():
    links = [(5, 3), (1, 4), (3, 1), (6, 6)]
    assert groups.components(7, links).tolist() == [0, 1, 2, 1, 1, 1, 3]
    assert groups.components(0, []).tolist() == []


def test_a_long_chain_is_one_component():
    chain = [(i + 1, i) for i in range(200_000)]
    assert not groups.components(200_001, chain).any()


def test_a_group_joins_patients_pixels_images_groups_and_pairs():
    rows = [
        {"image": "a", "patient_id": "p2", "sha256_pixels": "1", "group": ""},
        {"image": "b", "patient_id": "p1", "sha256_pixels": "1", "group": ""},
        {"image": "c", "patient_id": "p1", "sha256_pixels": "", "group": "g"},
        {"image": "d", "patient_id": "", "sha256_pixels": "", "group": "g"},
        {"image": "f", "patient_id": "", "sha256_pixels": "", "group": ""},
        {"image": "e", "patient_id": "", "sha256_pixels": "", "group": ""},
        {"image": "e", "patient_id": "", "sha256_pixels": "", "group": ""},
        {"image": "h", "patient_id": "p3", "sha256_pixels": "2", "group": ""},
    ]
    names = groups.of(rows, [(4, 5)])
    assert names == ["p1"] * 4 + ["e"] * 3 + ["p3"]
    named = [row | {"group": name} for row, name in zip(rows, names, strict=True)]
    assert groups.of(named) == names


def test_names_of_groups_do_not_depend_on_the_order_of_the_rows():
    rng = np.random.default_rng(0)
    rows = [
        {"image": f"{i}.png", "patient_id": str(p) if p < 60 else "", "group": str(g)}
        for i, (p, g) in enumerate(rng.integers(0, 100, (150, 2)))
    ]
    names = groups.of(rows)
    for _ in range(5):
        order = rng.permutation(150)
        assert groups.of([rows[i] for i in order]) == [names[i] for i in order]


def test_bare_manifests_have_a_group_for_each_image():
    rows = [{"image": name, "label": ""} for name in "aba"]
    assert groups.of(rows) == ["a", "b", "a"]
