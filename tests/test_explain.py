"""Grad-CAM against what it must be where the last layers are known."""

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


def test_a_network_without_a_feature_map_is_refused(pictures):
    x = keras.Input((32, 32, 1))
    flat = keras.layers.Dense(3)(keras.layers.Reshape((1024,))(x))
    with pytest.raises(ValueError, match="pools a feature map"):
        explain.grad_cam(methods.Supervised(keras.Model(x, flat)), pictures)
    vector = keras.Input((7,))
    two = keras.layers.Add()([keras.layers.Dense(3)(vector)] * 2)
    with pytest.raises(ValueError, match="pools a feature map"):
        explain.last_feature_map(two)
