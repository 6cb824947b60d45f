"""The views against naive arithmetic, and what must hold for every draw."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from sskeras import augment
from sskeras.augment import Strong, Weak

BOTH = pytest.mark.parametrize("layer", [Weak, Strong])
STILL = dict(operations=50, rotation=0, translation=0, zoom=0, brightness=0)
STILL.update(contrast=0, cutout=0)


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (6, 12, 10, 1)).astype("uint8")


def same(picture, count):
    """A batch of one picture, as float32."""
    return np.repeat(np.asarray(picture, "float32")[None, ..., None], count, 0)


def views(layer, pictures):
    return keras.ops.convert_to_numpy(layer(pictures, training=True))


def moved(picture, **kwargs):
    return keras.ops.convert_to_numpy(augment._move(same(picture, 1), **kwargs))[
        0, ..., 0
    ]


def naive_move(picture, angle, zoom, down, right, mirrored):
    """Matrices in a plane whose y points up, one pixel after the other."""
    height, width = picture.shape
    t = np.deg2rad(angle)
    turn = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    back = np.linalg.inv(turn @ np.diag([zoom, zoom]) @ np.diag([1 - 2 * mirrored, 1]))
    framed = np.pad(picture, 1)
    out = np.zeros_like(picture)
    for row in range(height):
        for column in range(width):
            x = column - (width - 1) / 2 - right * width
            y = (height - 1) / 2 - row + down * height
            x, y = back @ [x, y]
            r, c = (height - 1) / 2 - y + 1, x + (width - 1) / 2 + 1
            for i in range(height + 2):
                for j in range(width + 2):
                    weight = max(0, 1 - abs(i - r)) * max(0, 1 - abs(j - c))
                    out[row, column] += weight * framed[i, j]
    return out


@pytest.mark.parametrize("shape", [(9, 9), (8, 11)])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("jit", [False, True])
def test_a_move_equals_the_naive_one(shape, mirrored, jit):
    picture = np.random.default_rng(1).uniform(0, 255, shape).astype("float32")
    values = dict(angle=23.0, zoom=1.2, down=0.13, right=-0.21, mirrored=mirrored)
    move = tf.function(augment._move, jit_compile=jit)
    found = move(same(picture, 1), **values)[0, ..., 0]
    np.testing.assert_allclose(found, naive_move(picture, **values), atol=0.01)


def test_quarter_turns_whole_shifts_and_mirrors_are_exact():
    picture = np.random.default_rng(2).uniform(0, 255, (10, 10)).astype("float32")
    exact = dict(atol=0.01)
    np.testing.assert_allclose(moved(picture, angle=90.0), np.rot90(picture), **exact)
    np.testing.assert_allclose(moved(picture, mirrored=True), picture[:, ::-1], **exact)
    shifted = np.zeros_like(picture)
    shifted[2:, :-3] = picture[:-2, 3:]
    np.testing.assert_allclose(moved(picture, down=0.2, right=-0.3), shifted, **exact)


def test_a_batch_moves_each_picture_by_its_own_numbers_and_keeps_channels_apart():
    pictures = np.random.default_rng(3).uniform(0, 255, (3, 7, 8, 2)).astype("float32")
    angles = np.array([-30, 0, 70], "float32")
    found = augment._move(pictures, angle=angles.reshape(-1, 1, 1, 1))
    for picture, view, angle in zip(pictures, found, angles, strict=True):
        for channel in range(2):
            expected = moved(picture[..., channel], angle=angle)
            np.testing.assert_allclose(view[..., channel], expected, atol=1e-3)


@BOTH
def test_views_are_float32_of_the_same_shape_in_0_255(layer, pictures):
    for x in (pictures, pictures.astype("float16"), np.repeat(pictures, 3, -1)):
        found = views(layer(seed=0), x)
        assert found.dtype == "float32" and found.shape == x.shape
        assert found.min() >= 0 and found.max() <= 255


@BOTH
def test_views_stay_float32_under_mixed_precision(layer, pictures):
    x = pictures + np.float32(0.3)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        draw = layer(seed=0)
        symbolic, found = draw(keras.Input((12, 10, 1))), draw(x, training=True)
    finally:
        keras.config.set_dtype_policy(before)
    assert symbolic.dtype == found.dtype == "float32"
    np.testing.assert_array_equal(found, views(layer(seed=0), x))


@BOTH
def test_without_training_the_pictures_are_unchanged(layer, pictures):
    for found in (layer()(pictures), layer()(pictures, training=False)):
        assert found.dtype == "float32"
        np.testing.assert_array_equal(found, pictures)


@pytest.mark.parametrize("layer", [Weak(rotation=0, translation=0), Strong(**STILL)])
def test_views_of_magnitude_zero_are_the_pictures(layer, pictures):
    np.testing.assert_allclose(views(layer, pictures), pictures, atol=1e-3)


def test_one_operation_out_of_six_leaves_some_pictures_unchanged():
    x = same(np.random.default_rng(4).uniform(50, 200, (8, 8)), 600)
    found = views(Strong(operations=1, cutout=0, seed=0), x)
    unchanged = np.mean(np.abs(found - x).max(axis=(1, 2, 3)) < 1e-3)
    assert 1 / 6 - 0.06 < unchanged < 1 / 6 + 0.06


def test_operations_are_drawn_with_replacement_and_applied_once():
    x = same(np.full((4, 4), 100), 3000)
    options = dict(STILL, operations=5, brightness=0.1, seed=1)
    factors = views(Strong(**options), x)[:, 0, 0, 0] / 100
    assert 0.9 <= factors.min() < 0.91 and 1.09 < factors.max() <= 1.1001
    assert np.mean(factors == 1) == pytest.approx((5 / 6) ** 5, abs=0.03)


def test_contrast_changes_the_differences_from_the_mean():
    x = same([[80, 100], [100, 120]], 2000)
    found = views(Strong(**dict(STILL, contrast=0.1, seed=0)), x)[..., 0]
    np.testing.assert_allclose(found.mean(axis=(1, 2)), 100, atol=1e-3)
    spread = (found[:, 1, 1] - found[:, 0, 0]) / 40
    assert 0.9 <= spread.min() < 0.91 and 1.09 < spread.max() <= 1.1001


def test_brightness_and_contrast_stay_in_0_255():
    x = np.random.default_rng(5).choice([0, 255], (50, 6, 6, 1)).astype("uint8")
    found = views(Strong(**dict(STILL, brightness=1, contrast=1, seed=0)), x)
    assert found.min() == 0 and found.max() == 255


def dot(size=41):
    picture = np.zeros((size, size))
    picture[size // 2, size // 2] = 200
    return picture


@pytest.mark.parametrize(
    "layer",
    [
        Weak(rotation=0, translation=0.1, seed=0),
        Strong(**dict(STILL, translation=0.1, seed=0)),
    ],
)
def test_a_dot_moves_by_the_stated_share_at_most(layer):
    found = views(layer, same(dot(), 500))[..., 0]
    total = found.sum(axis=(1, 2))
    for axis in (1, 2):
        profile = found.sum(axis=3 - axis)
        shift = (profile * (np.arange(41) - 20)).sum(axis=1) / total
        assert -4.101 <= shift.min() < -3.9 and 3.9 < shift.max() <= 4.101


@pytest.mark.parametrize(
    "layer",
    [
        Weak(rotation=10, translation=0, seed=0),
        Strong(**dict(STILL, rotation=10, zoom=0.15, seed=0)),
    ],
)
def test_rotation_and_zoom_keep_the_center(layer):
    found = views(layer, same(dot(), 100))[:, 20, 20, 0]
    np.testing.assert_allclose(found, 200, atol=0.1)


def test_angles_reach_the_stated_degrees_but_no_further():
    bar = np.zeros((41, 41))
    bar[20, 35] = 200
    found = views(Weak(rotation=10, translation=0, seed=0), same(bar, 500))[..., 0]
    rows = (found * np.arange(41)[:, None]).sum(axis=(1, 2)) / found.sum(axis=(1, 2))
    angles = np.rad2deg(np.arcsin((20 - rows) / 15))
    assert -10.5 < angles.min() < -9.5 and 9.5 < angles.max() < 10.5


def test_zoom_stays_within_its_bounds():
    square = np.pad(np.full((20, 20), 100), 10)
    found = views(Strong(**dict(STILL, zoom=0.15, seed=0)), same(square, 400))
    side = np.sqrt(found.sum(axis=(1, 2, 3)) / 100) / 20
    assert 0.84 < side.min() < 0.87 and 1.13 < side.max() < 1.16


def test_the_largest_zoom_stays_above_zero():
    ends = np.array([0, 1 - 2**-23], "float32")  # Of a uniform float32 in [0, 1).
    assert (1 + augment._spread(ends, 1.0) > 0).all()
    found = views(Strong(**dict(STILL, zoom=1, seed=0)), same(dot(9), 100))
    assert np.isfinite(found).all()


@BOTH
@pytest.mark.parametrize("flip", [False, True])
def test_no_view_is_upside_down_and_half_are_mirrored_if_asked(layer, flip):
    picture = np.zeros((40, 40))
    picture[6:14, 6:14] = 200  # A marker in the upper left.
    options = {} if layer is Weak else {"cutout": 0}
    found = views(layer(flip=flip, seed=0, **options), same(picture, 500))[..., 0]
    weight = found.sum(axis=(1, 2))
    row = (found * np.arange(40)[:, None]).sum(axis=(1, 2)) / weight
    column = (found * np.arange(40)).sum(axis=(1, 2)) / weight
    assert row.max() < 19.5
    mirrored = np.mean(column > 19.5)
    assert 0.4 < mirrored < 0.6 if flip else mirrored == 0


def test_cutout_is_one_square_of_the_mean_within_the_stated_side():
    picture = np.random.default_rng(6).integers(0, 255, (20, 30)) + 0.25
    found = views(Strong(**dict(STILL, cutout=0.5, seed=0)), same(picture, 500))
    hidden = np.abs(found[..., 0] - picture) > 0.01
    sides, centers = [], []
    for mask, view in zip(hidden, found[..., 0], strict=True):
        if not mask.any():
            continue
        np.testing.assert_allclose(view[mask], picture.mean(), atol=0.01)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert box.all()
        if 0 < rows[0] and rows[-1] < 19 and 0 < columns[0] and columns[-1] < 29:
            assert abs(box.shape[0] - box.shape[1]) <= 1
        sides.append(max(box.shape))
        centers.append((rows.mean(), columns.mean()))
    assert 9 <= max(sides) <= 10 and min(sides) == 1
    low, high = np.min(centers, axis=0), np.max(centers, axis=0)
    assert (low < 1).all() and (high > (18, 28)).all()


@BOTH
def test_every_picture_and_every_call_gets_a_view_of_its_own(layer, pictures):
    draw = layer(seed=0)
    found = np.concatenate(
        [views(draw, np.repeat(pictures[:1], 3, 0)) for _ in range(2)]
        + [views(layer(seed=1), pictures[:1])]
    )
    for i in range(len(found)):
        for j in range(i):
            assert np.abs(found[i] - found[j]).max() > 1, (i, j)


def test_the_numbers_of_a_picture_are_independent():
    keras.utils.set_random_seed(0)
    draws = augment._draw(np.zeros((4000, 1, 1, 1)), 6, keras.random.SeedGenerator(0))
    table = np.concatenate([np.reshape(draw, (1, -1)) for draw in draws])
    apart = np.corrcoef(table) - np.eye(6)
    assert np.abs(apart).max() < 0.06
    assert np.abs(table.mean(axis=1) - 0.5).max() < 0.03


@BOTH
def test_a_seed_repeats_the_views_also_in_graphs_and_datasets(layer, pictures):
    first = layer(seed=7)
    expected = [views(first, pictures) for _ in range(2)]
    assert np.abs(expected[0] - expected[1]).max() > 1
    eager, graph, mapped = (layer(seed=7) for _ in range(3))
    function = tf.function(lambda x: graph(x, training=True))
    dataset = tf.data.Dataset.from_tensor_slices(pictures).repeat(2).batch(6)
    dataset = dataset.map(lambda x: mapped(x, training=True))
    for values, in_dataset in zip(expected, dataset, strict=True):
        np.testing.assert_array_equal(views(eager, pictures), values)
        np.testing.assert_allclose(function(pictures), values, atol=0.01)
        np.testing.assert_allclose(in_dataset, values, atol=0.01)


@BOTH
def test_xla_compiles_views_that_are_fresh_and_within_bounds(layer, pictures):
    draw = layer(seed=7)
    function = tf.function(lambda x: draw(x, training=True), jit_compile=True)
    first, second = function(pictures).numpy(), function(pictures).numpy()
    assert first.dtype == "float32" and first.shape == pictures.shape
    assert min(first.min(), second.min()) >= 0 and max(first.max(), second.max()) <= 255
    assert np.abs(first - second).max() > 1


@BOTH
def test_pictures_of_unknown_size_are_drawn_too(layer, pictures):
    draw = layer(seed=7)
    signature = [tf.TensorSpec([None] * 4, "uint8")]
    function = tf.function(lambda x: draw(x, training=True), input_signature=signature)
    expected = views(layer(seed=7), pictures)
    np.testing.assert_allclose(function(pictures), expected, atol=0.01)
    assert function(pictures[:0]).shape == (0, 12, 10, 1)


@BOTH
def test_without_a_seed_keras_decides(layer, pictures):
    found = []
    for seed in (3, 3, 4):
        keras.utils.set_random_seed(seed)
        found.append(views(layer(), pictures))
    np.testing.assert_array_equal(found[0], found[1])
    assert np.abs(found[0] - found[2]).max() > 1


REPLICAS = """
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
from sskeras.augment import Strong, Weak

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
x = np.repeat(np.random.default_rng(0).uniform(0, 255, (1, 9, 9, 1)), 5, 0)
whole = tf.data.Dataset.from_tensors(x.astype("float32")).unbatch().batch(5).repeat(2)
for layer in (Weak, Strong):
    for graph in (False, True):
        with strategy.scope():
            draw = layer(seed=0)
        view = lambda pictures: draw(pictures, training=True)
        step = lambda pictures: strategy.run(view, (pictures,))
        step = tf.function(step) if graph else step
        found = []
        for pictures in strategy.experimental_distribute_dataset(whole):
            local = strategy.experimental_local_results(step(pictures))
            assert [len(part) for part in local] == [3, 2], local
            found += [picture for part in local for picture in part.numpy()]
        for i in range(10):
            for j in range(i):
                assert np.abs(found[i] - found[j]).max() > 0.5, (layer, graph, i, j)
"""


def test_replicas_draw_different_views():
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert not done.returncode, done.stderr[-3000:]


def test_views_are_saved_with_a_model(tmp_path, pictures):
    inputs = keras.Input((12, 10, 1), dtype="uint8")
    weak = Weak(rotation=3, translation=0.01, flip=True, seed=5)
    options = dict(operations=2, rotation=1, translation=0.2, zoom=0.3, seed=6)
    options.update(brightness=0.4, contrast=0.5, cutout=0.6, flip=True)
    strong = Strong(**options)
    model = keras.Model(inputs, [weak(inputs), strong(inputs)])
    assert all(o.dtype == "float32" and o.shape == inputs.shape for o in model.outputs)
    model.save(tmp_path / "views.keras")
    loaded = keras.models.load_model(tmp_path / "views.keras")
    for before, after in zip(model.layers, loaded.layers, strict=True):
        assert before.get_config() == after.get_config()
    assert {**strong.get_config(), **options} == strong.get_config()
    found, expected = loaded(pictures, training=True), model(pictures, training=True)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_model_with_views_inside_trains_with_xla(pictures):
    last = [keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(2)]
    model = keras.Sequential([Weak(), Strong(), *last])
    model.compile("sgd", "mse", jit_compile=True)
    dataset = tf.data.Dataset.from_tensor_slices((pictures, np.zeros((6, 2))))
    history = model.fit(dataset.batch(3), verbose=0, shuffle=False).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize(
    ("layer", "name", "value"),
    [
        (Weak, "rotation", -1),
        (Weak, "rotation", 200),
        (Weak, "translation", 1.1),
        (Weak, "translation", float("nan")),
        (Weak, "seed", 0.5),
        (Strong, "zoom", 1.5),
        (Strong, "brightness", -0.1),
        (Strong, "contrast", "much"),
        (Strong, "cutout", 2),
        (Strong, "cutout", True),
        (Strong, "operations", 0),
        (Strong, "operations", 2.0),
    ],
)
def test_impossible_arguments_are_refused(layer, name, value):
    with pytest.raises(ValueError, match=f"`{name}`.*Received"):
        layer(**{name: value})


def test_a_picture_without_a_batch_is_refused(pictures):
    with pytest.raises(ValueError, match="ndim=4"):
        Weak()(pictures[0], training=True)
