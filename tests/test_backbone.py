"""Backbones: what reaches a network of keras.applications, heads, saving, errors."""

import inspect
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from sskeras import layers, methods, networks


def pictures(side=32, channels=1, count=4):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, side, side, channels)).astype("uint8")


def own(inputs=(16, 16, 1), pool=False):
    """A model such as a user brings, with Keras's own batch normalization."""
    x = start = keras.Input(inputs)
    x = keras.layers.Rescaling(1 / 255)(x)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    x = keras.layers.BatchNormalization()(x)
    return keras.Model(start, keras.layers.Flatten()(x) if pool else x, name="own")


def scramble(model):
    """Gives the layers with running statistics others than they start with."""
    rng = np.random.default_rng(1)
    for layer in model.layers:
        kinds = (keras.layers.BatchNormalization, keras.layers.Normalization)
        if isinstance(layer, kinds):
            values = [
                w + 0.2 * rng.random(w.shape).astype(w.dtype)
                for w in layer.get_weights()
            ]
            layer.set_weights(values)
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


@pytest.mark.parametrize(
    "name",  # Modes torch, caffe, tf, and a network that rescales by itself.
    ["DenseNet121", "ResNet50", "MobileNet", "EfficientNetB0"],
)
def test_pictures_and_weights_arrive_as_in_keras(name, tmp_path):
    build = getattr(keras.applications, name)
    plain = build(include_top=False, weights=None, input_shape=(32, 32, 3))
    scramble(plain)
    plain.save_weights(tmp_path / "some.weights.h5")
    network = networks.backbone(
        name, input_shape=(32, 32, 1), weights=str(tmp_path / "some.weights.h5")
    )
    if name == "DenseNet121":
        head = network.get_layer("logits").count_params()
        assert network.count_params() - head == 7_037_504
        assert network.get_layer("logits").input.shape == (None, 1024)
    x = pictures()
    colored = np.repeat(x, 3, axis=-1).astype("float32")
    preprocess = inspect.getmodule(build).preprocess_input
    expected = begin_and_end(plain, plain.layers[-1])(preprocess(colored))
    found = begin_and_end(network, network.get_layer("features_pool"))(x)
    expected[1] = np.mean(expected[1], axis=(1, 2))
    for ours, theirs in zip(found, expected, strict=True):
        tolerance = 1e-4 * np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=tolerance)


def begin_and_end(model, last):
    """What the first convolution sees and what the last layer gives."""
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    return keras.Model(model.inputs[0], [convolutions[0].input, last.output])


@pytest.fixture(scope="module")
def mobile():
    return networks.backbone("mobilenetv3small", input_shape=(32, 32, 3))


def test_batch_normalization_of_an_application_becomes_ours(mobile):
    found = [
        layer
        for layer in mobile.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert len(found) == 34
    assert {type(layer) for layer in found} == {layers.BatchNormalization}
    assert {layer.momentum for layer in found} == {0.9}
    assert {layer.epsilon for layer in found} == {1e-3}  # That of MobileNetV3.
    assert all(layer.synchronized for layer in found)


def test_the_graph_is_flat_and_every_layer_can_be_looked_into(mobile):
    assert not any(isinstance(layer, keras.Model) for layer in mobile.layers)
    every = keras.Model(mobile.inputs[0], [layer.output for layer in mobile.layers])
    assert len(every(pictures(channels=3))) == len(mobile.layers)


def test_a_saved_backbone_loads_in_a_fresh_process(mobile, tmp_path):
    x = pictures(channels=3)
    np.savez(tmp_path / "io.npz", x=x, y=mobile(x))
    mobile.save(tmp_path / "model.keras")
    code = (
        "import sskeras.networks, keras, numpy as np\n"
        "model = keras.models.load_model('model.keras')\n"
        "io = np.load('io.npz')\n"
        "np.testing.assert_allclose(model(io['x']), io['y'], 1e-4, 1e-5)\n"
        "print(type(model.get_layer('conv_bn')).__module__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.startswith("sskeras.layers."), done.stderr


@pytest.mark.parametrize("pool", [False, True])
def test_a_model_of_ones_own_is_extended_and_left_as_it_is(pool):
    model = own(pool=pool)
    network = networks.backbone(model, num_classes=5)
    assert network.input_shape == (None, 16, 16, 1)
    assert network.output_shape == (None, 5)
    assert network.name == "own"
    assert [layer.name for layer in network.layers[:4]] == [
        layer.name for layer in model.layers[:4]
    ]
    assert all(network.get_layer(layer.name) is layer for layer in model.layers)
    x = pictures(16)
    inner = keras.Model(network.inputs[0], network.layers[3].output)
    before = model if not pool else keras.Model(model.inputs[0], model.layers[3].output)
    np.testing.assert_array_equal(inner(x), before(x))


def test_a_sequential_model_works_too():
    model = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Conv2D(4, 3)])
    network = networks.backbone(model)
    assert network(pictures(16)).shape == (4, 3)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_logits_are_float32_in_mixed_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        network = networks.backbone("MobileNet", input_shape=(32, 32, 1))
        two_paths = networks.backbone(own(), paths=2, filters=4)
    finally:
        keras.config.set_dtype_policy(before)
    assert network.get_layer("conv1_bn").dtype_policy.name == policy
    assert network(pictures()).dtype == "float32"
    assert {z.dtype.name for z in two_paths(pictures(16))} == {"float32"}


def test_both_kinds_of_method_train_with_a_backbone(batch):
    x, y = batch
    one = methods.Supervised(networks.backbone(own()))
    two = methods.SSResNet(networks.backbone(own(), paths=2, filters=4))
    for model in (one, two):
        before = model.network.layers[2].get_weights()[0]
        model.compile("sgd", metrics=["accuracy"], run_eagerly=True)
        loss = model.fit(x, y, batch_size=8, epochs=1, verbose=0).history["loss"]
        assert np.isfinite(loss).all()
        assert np.any(before != model.network.layers[2].get_weights()[0])


def test_dropout_acts_on_the_features():
    network = networks.backbone(own(), dropout=0.5)
    features = keras.Model(network.inputs[0], network.get_layer("features").output)
    assert network.get_layer("logits").input is network.get_layer("features").output
    x = pictures(16)
    dropped = np.array(features(x, training=True)) == 0
    assert 0.2 < np.mean(dropped & (np.array(features(x)) != 0)) < 0.8


def test_a_download_that_fails_says_what_else_can_be_done(monkeypatch):
    if any(Path("~/.keras/models").expanduser().glob("vgg19*notop*")):
        pytest.skip("the weights are on this machine")

    def offline(*args, **kwargs):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    with pytest.raises(ConnectionError, match="VGG19.*weights=None.*keras/models"):
        networks.backbone("VGG19", input_shape=(32, 32, 1), weights="imagenet")


class Subclassed(keras.Model):
    def call(self, x):
        return x


def two_inputs():
    a, b = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
    return keras.Model([a, b], keras.layers.Add()([a, b]))


def vectors():
    start = keras.Input((9,))
    return keras.Model(start, keras.layers.Dense(4)(start))


@pytest.mark.parametrize(
    ("model", "kwargs", "message"),
    [
        ("DenseNet122", {}, "DenseNet121.*DenseNet122"),
        ("xyz", {}, "none.*keras.io"),
        ("ResNet50", {"input_shape": (32, 32, 2)}, r"1 or 3 channels.*\(32, 32, 2\)"),
        ("ResNet50", {"input_shape": (8, 8, 1)}, "at least 32x32"),
        ("ResNet50", {"paths": 3}, "1 or 2.*3"),
        (Subclassed(), {}, "functional"),
        (keras.Sequential([keras.layers.Flatten()]), {}, "begins with"),
        (two_inputs(), {}, "one input.*2 and 1"),
        (own(), {"input_shape": (16, 16, 3)}, r"\(16, 16, 1\).*\(16, 16, 3\)"),
        (own(), {"weights": "imagenet"}, "load_weights.*imagenet"),
        (own(pool=True), {"paths": 2}, "feature map.*paths=2.*392"),
        (vectors(), {}, r"\(9,\), not pictures"),
    ],
)
def test_what_does_not_fit_is_refused(model, kwargs, message):
    with pytest.raises(ValueError, match=message):
        networks.backbone(model, **kwargs)
