"""Maps against what they must be where the network is known."""

import keras
import numpy as np
import pytest

from sskeras import explain, methods, networks


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 1)).astype("uint8")


@pytest.mark.parametrize("path", [0, 1])
def test_after_mean_and_dense_it_is_the_class_activation_map(pictures, path):
    keras.utils.set_random_seed(0)
    network = networks.two_path_resnet((32, 32, 1), filters=(4, 8))
    method = methods.SSResNet(network)
    name = ("supervised", "unsupervised")[path]
    layer = network.get_layer(f"{name}_last_relu")
    features = keras.Model(network.input, layer.output)(pictures).numpy()
    kernel = network.get_layer(f"{name}_logits").kernel.numpy()
    classes = [0, 1, 2, 1, 0]
    heat = explain.grad_cam(method, pictures, classes, path, batch_size=2)
    for map_, feature, c in zip(heat, features, classes, strict=True):
        wanted = np.zeros(feature.shape[:2])
        for k in range(feature.shape[-1]):  # The gradient is that of the mean.
            wanted += kernel[k, c] / wanted.size * feature[:, :, k]
        wanted = keras.ops.image.resize(np.maximum(wanted, 0)[..., None], (32, 32))
        wanted = wanted.numpy()[..., 0]
        np.testing.assert_allclose(map_, wanted / (wanted.max() or 1), atol=1e-5)


def test_the_predicted_class_is_explained_unless_another_is_named(pictures):
    method = methods.Supervised(networks.resnet((32, 32, 1), filters=(4, 8)))
    called = method.predict(pictures, verbose=0).argmax(-1)
    named = explain.grad_cam(method, pictures, called)
    np.testing.assert_array_equal(explain.grad_cam(method, pictures), named)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_looks_at_the_same_places(pictures, policy):
    keras.utils.set_random_seed(0)
    full = networks.resnet((32, 32, 1), filters=(4, 8))
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        half = networks.resnet((32, 32, 1), filters=(4, 8))
    finally:
        keras.config.set_dtype_policy(before)
    half.set_weights(full.get_weights())
    maps = [
        explain.grad_cam(methods.Supervised(network), pictures, [0] * 5)
        for network in (full, half)
    ]
    assert maps[1].dtype == "float32"
    assert np.abs(maps[0] - maps[1]).mean() < 0.05


@pytest.mark.parametrize("name", ["MobileNetV3Small", "DenseNet121"])
def test_backbones_have_a_last_feature_map(pictures, name):
    network = networks.backbone(name, 3, input_shape=(32, 32, 1))
    heat = explain.grad_cam(methods.Supervised(network), pictures[:2])
    assert heat.shape == (2, 32, 32) and heat.min() >= 0 and heat.max() <= 1


def test_grad_cam_plus_plus_is_its_formula_in_loops(pictures):
    network = networks.resnet((32, 32, 1), filters=(4, 8))
    layer = network.get_layer("supervised_last_relu")
    features = keras.Model(network.input, layer.output)(pictures).numpy()
    kernel = network.get_layer("supervised_logits").kernel.numpy()
    classes = [0, 1, 2, 1, 0]
    found = explain.grad_cam_plus_plus(methods.Supervised(network), pictures, classes)
    for map_, feature, c in zip(found, features, classes, strict=True):
        height, width, channels = feature.shape
        wanted = np.zeros((height, width))
        for k in range(channels):
            gradient, weight = kernel[k, c] / (height * width), 0.0
            for _ in range(height * width):
                below = 2 * gradient**2 + feature[:, :, k].sum() * gradient**3
                weight += gradient**2 / below * max(gradient, 0) if below else 0
            wanted += weight * feature[:, :, k]
        wanted = keras.ops.image.resize(np.maximum(wanted, 0)[..., None], (32, 32))
        wanted = wanted.numpy()[..., 0]
        np.testing.assert_allclose(map_, wanted / (wanted.max() or 1), atol=1e-4)


def linear(weights):
    """A network whose logits are sums of weighted pixels."""
    x = keras.Input((*weights.shape[:2], 1))
    dense = keras.layers.Dense(weights.shape[2])
    network = keras.Model(x, dense(keras.layers.Flatten()(x)))
    dense.kernel.assign(weights.reshape(-1, weights.shape[2]))
    return methods.Supervised(network)


@pytest.mark.parametrize("classes", [None, [0, 1, 2, 1, 0]])
def test_of_a_linear_network_the_parts_are_weight_times_difference(pictures, classes):
    weights = np.random.default_rng(1).normal(size=(32, 32, 3)).astype("float32") / 99
    method = linear(weights)
    chosen = classes or method.predict(pictures, verbose=0).argmax(-1)
    parts = explain.integrated_gradients(method, pictures, classes, baseline=100)
    fall = explain.occlusion(method, pictures, classes, size=8, stride=8)
    for part, drop, picture, c in zip(parts, fall, pictures, chosen, strict=True):
        wanted = weights[:, :, c] * (picture[..., 0] - 100.0)
        np.testing.assert_allclose(part, wanted, rtol=1e-3, atol=1e-4)
        for i in range(0, 32, 8):
            for j in range(0, 32, 8):
                square = slice(i, i + 8), slice(j, j + 8)
                less = picture[..., 0][square] - picture.mean()
                whole = (weights[:, :, c][square] * less).sum()
                np.testing.assert_allclose(drop[square], whole, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("path", [0, 1])
def test_integrated_gradients_add_up_to_the_logit(pictures, path):
    keras.utils.set_random_seed(0)
    network = networks.two_path_resnet((32, 32, 1), filters=(4, 8))
    method = methods.SSResNet(network)
    classes = [0, 1, 2, 1, 0]
    logits = keras.Model(network.input, network.outputs[path])
    black = np.zeros_like(pictures)
    rise = (logits(pictures) - logits(black)).numpy()[range(5), classes]
    parts = explain.integrated_gradients(
        method, pictures, classes, path, steps=256, batch_size=50
    )
    error = np.abs(parts.sum(axis=(1, 2)) - rise).max()
    assert error < 0.05 * np.abs(rise).max()


@pytest.mark.parametrize("size, stride", [(8, 3), (5, 5), (32, None)])
def test_squares_cover_every_pixel(pictures, size, stride):
    method = linear(np.ones((32, 32, 3), "float32"))
    found = explain.occlusion(method, pictures[:1], [0], size=size, stride=stride)
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    "function",
    [explain.grad_cam_plus_plus, explain.integrated_gradients, explain.occlusion],
)
def test_backbones_and_half_precision(pictures, function):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = networks.backbone("MobileNetV3Small", 3, input_shape=(32, 32, 1))
    finally:
        keras.config.set_dtype_policy(before)
    found = function(methods.Supervised(network), pictures[:2])
    assert found.shape == (2, 32, 32) and np.isfinite(found).all()


WRONG = {
    "`path` is one of \\[0\\]": {"path": 1},
    "`classes` needs one integer in 0-2 for each of 5": {"classes": [0, 1]},
    "one integer in 0-2 for each": {"classes": [0, 1, 2, 3, 0]},
}


@pytest.mark.parametrize("message", WRONG)
@pytest.mark.parametrize(
    "function", [explain.grad_cam, explain.integrated_gradients, explain.occlusion]
)
def test_what_does_not_exist_is_named(pictures, function, message):
    method = methods.Supervised(networks.resnet((32, 32, 1), filters=(4, 8)))
    with pytest.raises(ValueError, match=message):
        function(method, pictures, **WRONG[message])


@pytest.mark.parametrize("size, stride", [(33, None), (8, 9), (8, -1)])
def test_squares_that_do_not_fit_or_leave_gaps_are_refused(pictures, size, stride):
    method = linear(np.ones((32, 32, 3), "float32"))
    with pytest.raises(ValueError, match=f"leave no gap.*size={size}"):
        explain.occlusion(method, pictures, size=size, stride=stride)


def test_scores_against_masks_and_by_chance():
    masks = np.zeros((4, 8, 8), bool)
    for film in range(4):
        masks[film, 2 * film : 2 * film + 2] = True
    perfect = explain.mask_scores(masks.astype("float32"), masks)
    assert perfect["pointing_game"] == perfect["iou"] == 1
    assert perfect["pointing_game_by_chance"] == perfect["iou_by_chance"] == 0
    heat = np.zeros((4, 8, 8))
    heat[:, 0, 0], heat[:, 1] = 1, 0.5  # All maps alike: a hit is chance.
    found = explain.mask_scores(heat, masks)
    assert found["pointing_game"] == found["pointing_game_by_chance"] == 1 / 4
    assert found["iou"] == found["iou_by_chance"] == 9 / 16 / 4
    with pytest.raises(ValueError, match="1 of 4 films have no lesion, the first is 2"):
        explain.mask_scores(heat, masks & (np.arange(4) != 2)[:, None, None])
    with pytest.raises(ValueError, match="two or more maps"):
        explain.mask_scores(heat[:1], masks[:1])


def test_forgotten_weights_destroy_a_map_but_not_the_picture(pictures):
    method = methods.Supervised(networks.resnet((32, 32, 1), filters=(4, 8)))
    before = method.get_weights()

    def edges(method, pictures, classes):
        return pictures[..., 0].astype("float32")

    np.testing.assert_allclose(explain.sanity_check(method, pictures, edges), 1)
    found = explain.sanity_check(method, pictures, seeds=(0, 1))
    assert found.shape == (2, 5) and np.abs(found).mean() < 0.9
    again = explain.sanity_check(method, pictures, seeds=(0, 1))
    np.testing.assert_array_equal(found, again)
    for one, other in zip(before, method.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_figures_show_films_maps_and_verdicts(pictures):
    network = networks.two_path_resnet((32, 32, 1), filters=(4, 8))
    names = ["normal", "pneumonia", "covid-19"]
    method = methods.SSResNet(network, class_names=names)
    axes = explain.figure(method, pictures[:2], ["a.png", "b.png"], path=1)
    assert len(axes) == 6 and axes[3].get_title() == "b.png"
    shares = [float(t.get_text().removesuffix(" %")) for t in axes[2].texts]
    assert sum(shares) == pytest.approx(100, abs=0.2)
    called = np.array(["covid-19", "normal", "normal", "normal", "normal"])
    axes = explain.verdicts(method, pictures, list("abcde"), called, films=3)
    titles = [ax.get_title() for ax in axes if ax.get_title()]
    assert titles == [
        "b\ncalled normal",
        "c\ncalled normal",
        "d\ncalled normal",
        "a\ncalled covid-19",
    ]


def test_a_network_without_a_feature_map_is_refused(pictures):
    x = keras.Input((32, 32, 1))
    flat = keras.layers.Dense(3)(keras.layers.Reshape((1024,))(x))
    with pytest.raises(ValueError, match="pools a feature map"):
        explain.grad_cam(methods.Supervised(keras.Model(x, flat)), pictures)
    vector = keras.Input((7,))
    two = keras.layers.Add()([keras.layers.Dense(3)(vector)] * 2)
    with pytest.raises(ValueError, match="pools a feature map"):
        explain.last_feature_map(two)
