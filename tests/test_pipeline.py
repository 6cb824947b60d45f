"""The stream of batches: complete, fair, repeatable, resumable."""

import gc
import itertools
import weakref
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sskeras.data import (
    batches,
    check_pictures,
    load_pictures,
    read_manifest,
    select,
    steps_per_epoch,
)

CXR = Path(__file__).parents[2] / "shared" / "cxr"
N = 23


def numbered(n=N):
    """Make images that hold their own number."""
    return np.arange(n, dtype="uint16").reshape(n, 1, 1, 1) * np.ones(
        (1, 2, 3, 1), "uint16"
    )


def some_labels(n=N):
    """Label every fifth image with its number."""
    return np.where(np.arange(n) % 5 == 0, np.arange(n), -1)


def drawn(dataset, steps):
    """Collect image numbers `(steps, batch)` and labels of the first steps."""
    pairs = list(itertools.islice(dataset.as_numpy_iterator(), steps))
    numbers = np.stack([x[:, 0, 0, 0] for x, _ in pairs]).astype(int)
    return numbers, np.stack([y for _, y in pairs])


def test_shapes_and_types_are_static():
    x = np.zeros((N, 4, 5, 3), "uint8")
    images, labels = batches(x, some_labels(), 6).element_spec
    assert images == tf.TensorSpec((6, 4, 5, 3), tf.uint8)
    assert labels == tf.TensorSpec((6,), tf.int32)
    assert batches(x, some_labels(), 6).cardinality() == tf.data.INFINITE_CARDINALITY


@pytest.mark.parametrize("labeled", [None, 2])
def test_images_keep_their_labels(labeled):
    stream = batches(numbered(), some_labels(), 6, labeled_per_batch=labeled)
    numbers, labels = drawn(stream, 30)
    np.testing.assert_array_equal(labels, some_labels()[numbers])


@pytest.mark.parametrize("batch_size", [1, 6, N, 2 * N + 3])
def test_every_image_once_in_n_positions(batch_size):
    numbers, _ = drawn(batches(numbered(), some_labels(), batch_size), 5 * N)
    for epoch in numbers.ravel()[: 5 * N].reshape(5, N):
        assert sorted(epoch) == list(range(N))


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = [
        numbers
        for seed in range(3)
        for numbers in drawn(batches(numbered(), some_labels(), N, seed), 4)[0].tolist()
    ]
    assert len({*map(tuple, [*orders, range(N)])}) == 13


@pytest.mark.parametrize("labeled", [None, 2])
@pytest.mark.parametrize("start", [7, 1000])
def test_resumed_stream_is_the_rest_of_the_whole(start, labeled):
    arguments = (numbered(), some_labels(), 6, 5, labeled)
    whole = batches(*arguments).skip(start)
    resumed = batches(*arguments, start=start)
    for expected, received in zip(drawn(whole, 9), drawn(resumed, 9), strict=True):
        np.testing.assert_array_equal(received, expected)


def test_order_does_not_depend_on_labels():
    first, _ = drawn(batches(numbered(), some_labels(), 6), 20)
    second, _ = drawn(batches(numbered(), np.zeros(N, int), 6), 20)
    np.testing.assert_array_equal(first, second)


def test_order_does_not_depend_on_the_number_of_threads():
    orders = []
    for threads in (1, 16):
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        stream = batches(numbered(), some_labels(), 6).with_options(options)
        orders.append(drawn(stream, 200)[0])
    np.testing.assert_array_equal(*orders)


def test_order_does_not_depend_on_the_global_seed():
    orders = []
    for seed in (1, 2):
        tf.keras.utils.set_random_seed(seed)
        orders.append(drawn(batches(numbered(), some_labels(), 6), 20)[0])
    np.testing.assert_array_equal(*orders)


def test_the_end_of_a_stream_waits_for_no_tuner():
    stream = batches(numbered(), some_labels(), 4)
    assert stream.options().autotune.enabled is False


@pytest.mark.parametrize("n", [8, 40])
def test_shuffle_is_fair(n):
    """Each image stands in each place equally often (χ², 5 standard deviations)."""
    epochs = 400
    numbers, _ = drawn(batches(numbered(n), np.zeros(n, int), n * epochs), 1)
    orders = numbers.reshape(epochs, n)
    counts = np.stack([np.bincount(place, minlength=n) for place in orders.T])
    chi2 = ((counts - epochs / n) ** 2 / (epochs / n)).sum() * (n - 1) / n
    freedom = (n - 1) ** 2
    assert abs(chi2 - freedom) < 5 * np.sqrt(2 * freedom)


def test_labeled_images_spread_as_in_a_fair_shuffle():
    """Count of labeled images per batch: the variance is the hypergeometric one."""
    n, labeled, size = 2000, 100, 100
    y = np.where(np.arange(n) < labeled, 0, -1)  # a manifest is often sorted
    _, labels = drawn(batches(numbered(n), y, size), 1500)
    p = labeled / n
    expected = size * p * (1 - p) * (n - size) / (n - 1)
    assert (labels >= 0).sum(axis=1).var() == pytest.approx(expected, rel=0.15)


def test_labeled_come_first_and_both_kinds_are_complete():
    y = some_labels()  # 5 labeled, 18 unlabeled
    numbers, labels = drawn(batches(numbered(), y, 8, labeled_per_batch=2), 45)
    assert (labels[:, :2] >= 0).all() and (labels[:, 2:] == -1).all()
    for rows, kind in ((numbers[:, :2], y >= 0), (numbers[:, 2:], y < 0)):
        expected = np.flatnonzero(kind).tolist()
        rounds = rows.ravel()[: 15 * len(expected)].reshape(-1, len(expected))
        assert all(sorted(one) == expected for one in rounds)
        assert len({*map(tuple, rounds.tolist())}) > 1


def test_steps_per_epoch():
    y = some_labels()
    assert steps_per_epoch(y, 6) == 4
    assert steps_per_epoch(y, N) == 1
    assert steps_per_epoch(y, 100) == 1
    assert steps_per_epoch(y, 8, labeled_per_batch=2) == 3  # 18 / 6
    assert steps_per_epoch(y, 9, labeled_per_batch=2) == 3  # 18 / 7


@pytest.mark.parametrize(
    ("y", "arguments", "message"),
    [
        (some_labels(), {"batch_size": 0}, "batch_size"),
        (some_labels(), {"batch_size": 4, "labeled_per_batch": 4}, "below batch_size"),
        (some_labels(), {"batch_size": 4, "labeled_per_batch": 0}, "at least 1"),
        (np.zeros(N, int), {"batch_size": 4, "labeled_per_batch": 1}, "Drop"),
        (np.full(N, -1), {"batch_size": 4, "labeled_per_batch": 1}, "Drop"),
        (np.zeros(N), {"batch_size": 4}, "integers"),
    ],
)
def test_errors_of_both_functions(y, arguments, message):
    with pytest.raises(ValueError, match=message):
        batches(numbered(), y, **arguments)
    with pytest.raises(ValueError, match=message):
        steps_per_epoch(y, **arguments)


def test_errors_of_batches():
    with pytest.raises(ValueError, match=r"\(23, 2, 3, 1\), y \(22,\)"):
        batches(numbered(), some_labels(N - 1), 4)
    with pytest.raises(ValueError, match=r"\(n, height"):
        batches(numbered()[..., 0], some_labels(), 4)
    with pytest.raises(ValueError, match="start"):
        batches(numbered(), some_labels(), 4, start=-1)


def classes_of_unlike_size():
    """Label 5, 2 and 9 images of classes 0, 1 and 3; 14 are unknown."""
    y = np.repeat([0, 1, 3, -1], [5, 2, 9, 14])
    return np.random.RandomState(0).permutation(y)


COMPOSED = [
    {},
    {"labeled_per_batch": 4},
    {"labeled_per_batch": 4, "class_balanced": True},
    {"class_share": {3: 0.3}},
]


def complete_rounds(numbers, rows):
    """Whether every round of a part holds each of its images exactly once."""
    rows = np.flatnonzero(rows)
    whole = numbers.size // len(rows) * len(rows)
    rounds = np.sort(numbers.ravel()[:whole].reshape(-1, len(rows)))
    return len(rounds) > 1 and (rounds == rows).all()


def test_the_order_of_earlier_versions_is_kept():
    """Compare with numbers stored before the options below existed."""
    numbers, _ = drawn(batches(numbered(), some_labels(), 8, 3), 3)
    assert numbers.tolist() == [
        [8, 21, 7, 19, 22, 6, 10, 2],
        [16, 20, 9, 5, 17, 11, 18, 15],
        [12, 4, 14, 1, 0, 3, 13, 18],
    ]
    numbers, _ = drawn(batches(numbered(), some_labels(), 8, 3, 3), 3)
    assert numbers.tolist() == [
        [5, 0, 15, 17, 6, 11, 7, 1],
        [20, 10, 10, 14, 2, 16, 3, 13],
        [20, 15, 5, 19, 4, 18, 8, 22],
    ]


@pytest.mark.parametrize("options", COMPOSED)
@pytest.mark.parametrize("start", [0, 11])
def test_index_names_the_picture(options, start):
    x, y = numbered(30), classes_of_unlike_size()
    indexed = batches(x, y, 8, 1, start=start, with_index=True, **options)
    plain = batches(x, y, 8, 1, start=start, **options)
    pairs = zip(indexed.as_numpy_iterator(), plain.as_numpy_iterator(), strict=True)
    for ((images, index), labels), (same_images, same_labels) in itertools.islice(
        pairs, 9
    ):
        np.testing.assert_array_equal(x[index], images)
        np.testing.assert_array_equal(y[index], labels)
        np.testing.assert_array_equal(same_images, images)
        np.testing.assert_array_equal(same_labels, labels)


def test_index_has_a_static_shape_and_type():
    stream = batches(numbered(), some_labels(), 6, with_index=True)
    assert stream.element_spec == (
        (tf.TensorSpec((6, 2, 3, 1), tf.uint16), tf.TensorSpec((6,), tf.int32)),
        tf.TensorSpec((6,), tf.int32),
    )


@pytest.mark.parametrize(
    ("k", "composition"),
    [  # What cannot be divided goes to class 1 (2 images), then to class 0 (5).
        (3, [0, 1, 3]),
        (4, [0, 1, 1, 3]),
        (5, [0, 0, 1, 1, 3]),
        (6, [0, 0, 1, 1, 3, 3]),
    ],
)
def test_classes_share_the_labeled_places(k, composition):
    y = classes_of_unlike_size()
    stream = batches(numbered(30), y, 8, labeled_per_batch=k, class_balanced=True)
    numbers, labels = drawn(stream, 40)
    assert (labels == composition + [-1] * (8 - k)).all()
    for label in (0, 1, 3, -1):
        places = labels[0] == label
        assert complete_rounds(numbers[:, places], y == label)


def test_equally_rare_classes_are_served_in_their_order():
    y = np.repeat([0, 1, 2, -1], [4, 4, 5, 4])
    stream = batches(numbered(17), y, 6, labeled_per_batch=4, class_balanced=True)
    assert (drawn(stream, 9)[1] == [0, 0, 1, 2, -1, -1]).all()


@pytest.mark.parametrize(
    ("batch_size", "class_share", "places"),
    [
        (8, {3: 0.3}, {3: 2}),  # COVID-Net: ⌊8 · 0.3⌋
        (8, {3: 0.01}, {3: 1}),  # its first script: exactly one
        (8, {3: 0.5, 0: 0.25}, {0: 2, 3: 4}),
        (100, {1: 0.29}, {1: 29}),  # 0.29 · 100 = 28.999999999999996
    ],
)
def test_named_classes_have_their_share_of_every_batch(batch_size, class_share, places):
    y = classes_of_unlike_size()
    stream = batches(numbered(30), y, batch_size, class_share=class_share)
    numbers, labels = drawn(stream, 40)
    first = np.repeat([*places], [*places.values()])
    assert (labels[:, : len(first)] == first).all()
    others = numbers[:, len(first) :]
    assert others.shape[1] == batch_size - len(first)
    assert complete_rounds(others, ~np.isin(y, [*places]))
    for label in places:
        assert complete_rounds(numbers[:, : len(first)][:, first == label], y == label)


@pytest.mark.parametrize("options", COMPOSED)
@pytest.mark.parametrize("start", [7, 1000])
def test_composed_stream_resumes_exactly(start, options):
    arguments = (numbered(30), classes_of_unlike_size(), 8, 5)
    whole = batches(*arguments, **options).skip(start)
    resumed = batches(*arguments, start=start, **options)
    for expected, received in zip(drawn(whole, 9), drawn(resumed, 9), strict=True):
        np.testing.assert_array_equal(received, expected)


@pytest.mark.parametrize("options", COMPOSED)
def test_rounds_and_seeds_of_composed_batches_differ(options):
    x, y = numbered(30), classes_of_unlike_size()
    orders = [drawn(batches(x, y, 30, seed, **options), 5)[0] for seed in (0, 1)]
    assert len({tuple(row) for order in orders for row in order}) == 10


def test_an_epoch_of_composed_batches_is_a_pass_over_the_rest():
    y = classes_of_unlike_size()
    balanced = {"labeled_per_batch": 4, "class_balanced": True}
    assert steps_per_epoch(y, 8, **balanced) == 4  # 14 / 4
    assert steps_per_epoch(y, 8, class_share={3: 0.3}) == 4  # 21 / 6
    stream = batches(numbered(30), y, 8, class_share={3: 0.3})
    assert {*np.flatnonzero(y != 3)} <= {*drawn(stream, 4)[0].ravel()}


def test_numbers_of_covidx_at_five_percent():
    """6,195 / 6,708 / 75 images, of which 309 / 335 / 3 keep their label."""
    y = np.repeat([0, 1, 2, -1], [309, 335, 3, 12_331])
    assert steps_per_epoch(y, 256) == 51
    assert steps_per_epoch(y, 48, labeled_per_batch=12) == 343
    assert steps_per_epoch(y, 8, class_share={2: 0.3}) == 2163  # 12,975 / 6
    x = np.zeros((len(y), 1, 1, 1), "uint8")
    balanced = batches(x, y, 256, labeled_per_batch=64, class_balanced=True)
    shared = batches(x, y, 8, class_share={2: 0.3}, with_index=True)
    labels = next(balanced.as_numpy_iterator())[1]
    assert np.bincount(labels + 1).tolist() == [192, 21, 21, 22]
    indices = [i for (_, i), _ in shared.take(2163).as_numpy_iterator()]
    covid, others = np.split(np.stack(indices), [2], axis=1)
    assert np.bincount(covid.ravel() - 644).tolist() == [1442] * 3  # 4,326 / 3
    assert len(np.unique(others)) == 12_975  # every other image, 3 of them twice
    full = np.repeat([0, 1, 2], [6195, 6708, 75])
    assert steps_per_epoch(full, 8, class_share={2: 0.3}) == 2151  # 12,903 / 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_balanced": True}, "Give labeled_per_batch, one or more"),
        ({"class_balanced": True, "labeled_per_batch": 2}, "labeled_per_batch=3 or"),
        ({"class_share": {3: 0.3}, "labeled_per_batch": 4}, "Drop it, or drop"),
        ({"class_share": {3: 0.3}, "class_balanced": True}, "Drop it, or drop"),
        ({"class_share": 0.3}, r"dict .* Received: 0\.3"),
        ({"class_share": {}}, "dict"),
        ({"class_share": {2: 0.3}}, r"class 2.* labels: \[0, 1, 3\]"),
        ({"class_share": {-1: 0.3}}, "class -1"),
        ({"class_share": {"3": 0.3}}, "class '3'.*integers"),
        ({"class_share": {3: 0}}, "below 1 .* 0 for class 3"),
        ({"class_share": {3: 1.0}}, "below 1 .* 1.0 for class 3"),
        ({"class_share": {3: float("nan")}}, "below 1 .* nan for class 3"),
        ({"class_share": {0: 0.5, 3: 0.5}}, "leaves 0 places for 16 other"),
        ({"class_share": {0: 0.8, 3: 0.8}}, "leaves -4 places"),
    ],
)
def test_errors_of_composed_batches(options, message):
    y = classes_of_unlike_size()
    with pytest.raises(ValueError, match=message):
        batches(numbered(30), y, 8, **options)
    with pytest.raises(ValueError, match=message):
        steps_per_epoch(y, 8, **options)


def test_a_share_needs_other_images():
    y = np.repeat([0, 1], [5, 6])
    with pytest.raises(ValueError, match="0 other images. Name fewer"):
        steps_per_epoch(y, 8, class_share={0: 0.3, 1: 0.3})


def test_memmap_is_read_in_place(tmp_path):
    file = tmp_path / "x.npy"
    np.save(file, numbered())
    x = np.load(file, mmap_mode="r+")
    stream = batches(x, some_labels(), 6)
    x[:] += 100  # a copy would not notice
    numbers, labels = drawn(stream, 20)
    np.testing.assert_array_equal(labels, some_labels()[numbers - 100])


def test_images_are_freed_with_the_stream():
    class Watched(np.ndarray):
        pass

    x = numbered().view(Watched)
    gone = weakref.ref(x)
    gc.freeze()  # spare the collector what other tests left
    drawn(batches(x, some_labels(), 6), 2)
    del x
    gc.collect()
    gc.unfreeze()
    assert gone() is None


@pytest.mark.skipif(
    not CXR.is_dir(), reason="the real X-rays (shared/cxr) are not on this machine"
)
def test_real_films_from_manifest_to_batch():
    table = read_manifest(CXR)
    check_pictures(table)
    few = select(table, "train").groupby("label").head(4)
    x = load_pictures(few["path"], 64, rows=few["row"])
    assert x.shape == (12, 64, 64, 1) and x.std() > 20
    images, _ = next(iter(batches(x, np.zeros(12, int), 12)))
    np.testing.assert_array_equal(np.sort(images, axis=0), np.sort(x, axis=0))
