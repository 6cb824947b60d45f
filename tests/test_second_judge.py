"""The second judge against naive loops, and what it must and must not change."""

import keras
import numpy as np
import pytest

from sskeras import explain, export, load_model, methods, networks
from sskeras.layers import PatchDictionary, SecondJudge, second_judge
from sskeras.networks import discriminant


@pytest.fixture(scope="module")
def films():
    """Stripes: upright, lying, and for the rare class aslant in one corner."""
    rng = np.random.default_rng(0)
    y = np.array([0] * 120 + [1] * 120 + [2] * 16)
    row, column = np.mgrid[:32, :32]
    wave = np.stack([np.sin(column), np.sin(row), np.sin(column)])[y]
    wave[y == 2, :16, :16] = np.sin(row + column)[:16, :16]
    x = 128 + 60 * wave + rng.normal(0, 20, wave.shape)
    order = rng.permutation(len(y))
    return np.clip(x, 0, 255).astype("uint8")[order][..., None], y[order]


@pytest.fixture(scope="module")
def hidden(films):
    """Three labels of the rare class and 45 of the others."""
    _, y = films
    keep = [np.flatnonzero(y == c)[:n] for c, n in ((0, 25), (1, 20), (2, 3))]
    kept = np.full_like(y, -1)
    for rows in keep:
        kept[rows] = y[rows]
    return kept


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return networks.resnet((32, 32, 1), filters=(4, 8))


@pytest.fixture(scope="module")
def judged(network, films, hidden):
    return networks.with_second_judge(network, films[0], hidden)


def naive_dictionary(layer, picture):
    """The features of one picture, patch by patch; borders are padded with 0."""
    mean, whitening, centers = (w.astype("float64") for w in layer.get_weights())
    size, strides, grid = layer.size, layer.strides, layer.grid
    count = -(-picture.shape[0] // strides)
    before = (max((count - 1) * strides + size - picture.shape[0], 0)) // 2
    padded = np.pad(picture.astype("float64"), ((before, size), (before, size), (0, 0)))
    near = np.zeros((count, count, len(centers)))
    for i in range(count):
        for j in range(count):
            top, left = i * strides, j * strides
            patch = padded[top : top + size, left : left + size].ravel()
            patch = (patch - patch.mean()) / np.sqrt(patch.var() + 10)
            z = (patch - mean) @ whitening
            distance = [np.linalg.norm(z - center) for center in centers]
            near[i, j] = np.maximum(np.mean(distance) - distance, 0)
    cell = count // grid
    return np.concatenate(
        [
            near[r * cell : (r + 1) * cell, c * cell : (c + 1) * cell].mean((0, 1))
            for r in range(grid)
            for c in range(grid)
        ]
    )


@pytest.mark.parametrize("options", [{}, {"size": 5, "strides": 3, "grid": 2}])
@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_those_of_a_naive_loop(options, channels):
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (20, 32, 32, channels)).astype("uint8")
    layer = PatchDictionary(patches=7, **options)
    layer(x[:1])
    layer.adapt(x)
    found = layer(x[:3]).numpy()
    wanted = [naive_dictionary(layer, picture) for picture in x[:3]]
    np.testing.assert_allclose(found, wanted, atol=2e-4)


def test_directions_are_the_inverse_covariance_times_the_means():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(50, 4)) @ rng.normal(size=(4, 4)) + 3
    labeled = np.arange(50) // 5 == np.array([[0], [1], [99]])
    z = (features - features.mean(0)) / (features.std(0) + 1e-6)
    covariance = np.zeros((4, 4))
    for row in z:
        covariance += np.outer(row, row) / len(z)
    covariance = 0.5 * covariance + 0.5 * np.eye(4)
    found = second_judge.discriminants(features, labeled)
    for c in (0, 1):
        mean = z[5 * c : 5 * c + 5].mean(0)
        wanted = np.linalg.inv(covariance) @ mean / (features.std(0) + 1e-6)
        np.testing.assert_allclose(found[:, c], wanted)
    assert not found[:, 2].any()  # No image has the third label.


def test_as_many_are_called_as_the_labels_let_expect(judged, films, hidden):
    x, _ = films
    calls = judged.predict(x, verbose=0).argmax(-1) == 2
    others = hidden != 2
    assert calls[others].sum() == round(3 / 48 * others.sum())


def test_it_finds_films_it_was_not_told_about(judged, films, hidden):
    """The network knows nothing: what is found, the discriminants have found."""
    x, y = films
    calls = judged.predict(x, verbose=0).argmax(-1) == 2
    unseen = (y == 2) & (hidden < 0)
    assert unseen.sum() == 13
    assert calls[unseen].mean() > 0.6
    assert calls[y != 2].mean() < 0.05


def test_two_calls_give_the_same_weights(network, films, hidden):
    one, other = (networks.with_second_judge(network, films[0], hidden) for _ in "ab")
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_judge_in_a_loop():
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(60, 4)).astype("float32")
    features = rng.normal(size=(60, 5)).astype("float32")
    y = np.repeat([0, 1, 2, 3, -1], [6, 2, 6, 6, 40])
    share = np.array([0.3, 0.1, 0.4, 0.2])
    layer = SecondJudge(1)
    layer([logits, features])
    layer.adapt(logits, features, y, share)
    directions = second_judge.discriminants(features, y == np.arange(4)[:, None])
    above = np.zeros((60, 4))
    for c in range(4):
        odds = [z[c] - np.log(np.exp(np.delete(z, c)).sum()) for z in logits]
        judges = np.stack([odds, features @ directions[:, c]], 1)
        score = (judges / judges[y != 1].std(0)).sum(1)
        above[:, c] = score - np.quantile(score[y != 1], 1 - share[c])
    wanted = above.copy()
    wanted[:, 1] += np.delete(above, 1, 1).max(1)
    found = layer([logits, features]).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    called = found.argmax(-1) == 1
    np.testing.assert_array_equal(called, above[:, 1] > 0)


def test_a_prior_from_elsewhere_sets_the_number_of_calls(network, films, hidden):
    x, _ = films
    prior = (0.45, 0.35, 0.2)
    judged = networks.with_second_judge(network, x, hidden, class_prior=prior)
    calls = judged.predict(x, verbose=0).argmax(-1) == 2
    others = hidden != 2
    assert calls[others].sum() == round(0.2 * others.sum())


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_saved_loaded_and_exported_it_answers_alike(films, hidden, tmp_path, policy):
    x, _ = films
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(0)
        network = networks.resnet((32, 32, 1), filters=(4, 8))
    finally:
        keras.config.set_dtype_policy(before)
    model = methods.Supervised(networks.with_second_judge(network, x, hidden))
    model.compile()
    wanted = model.predict(x, verbose=0)
    assert wanted.dtype == np.float32
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras").predict(x, verbose=0)
    np.testing.assert_allclose(loaded, wanted, atol=1e-6)
    for write in (export.saved_model, export.onnx, export.litert):
        write(model, tmp_path / write.__name__)  # Compares in another process.


def test_it_adapts_to_a_part_of_many_images_but_to_every_rare_one(monkeypatch):
    monkeypatch.setattr(discriminant, "IMAGES", 50)
    y = np.repeat([0, 1, 2, -1], [100, 60, 4, 836])
    rows = discriminant.drawn(y, 2, seed=0)
    assert 50 < len(rows) <= 104 and (y[rows] == 2).sum() == 4
    assert (y[rows] >= 0).sum() >= 50
    np.testing.assert_array_equal(rows, np.unique(rows))


def test_of_two_paths_the_one_that_classifies_is_judged(films, hidden):
    network = networks.two_path_resnet((32, 32, 1), filters=(4, 8))
    judged = networks.with_second_judge(network, films[0], hidden)
    before, after = (n.predict(films[0][:8], verbose=0) for n in (network, judged))
    np.testing.assert_array_equal(before[1], after[1])
    assert np.abs(before[0] - after[0]).min() > 0


def test_a_class_without_labels_is_not_the_rarest(hidden):
    assert discriminant.rarest(hidden) == 2
    assert discriminant.rarest(np.where(hidden == 2, -1, hidden)) == 1
    with pytest.raises(ValueError, match="No image has a label"):
        discriminant.rarest(np.full(5, -1))


def test_a_class_without_labels_leaves_the_answers_finite(network, films, hidden):
    without = np.where(hidden == 2, -1, hidden)
    judged = networks.with_second_judge(network, films[0], without)
    assert np.isfinite(judged.predict(films[0], verbose=0)).all()


def test_a_picture_too_small_for_the_grid_is_said():
    with pytest.raises(ValueError, match="needs pictures of 8 pixels"):
        PatchDictionary()(np.zeros((1, 6, 20, 1)))


def test_grad_cam_of_a_judged_network_is_that_of_its_log_odds(films, network, judged):
    """Discriminants see pictures, not feature maps; a scale changes no map."""
    pictures, named = films[0][:8], [0, 1] * 4
    logits = network.outputs[0]
    others = keras.ops.where(np.eye(3) == 1, -1e9, logits[:, None])
    odds = keras.Model(network.inputs, logits - keras.ops.logsumexp(others, axis=-1))
    maps = [
        explain.grad_cam(methods.Supervised(seen), pictures, named)
        for seen in (odds, judged)
    ]
    assert maps[1].max() == 1
    np.testing.assert_allclose(maps[1], maps[0], atol=1e-3)
