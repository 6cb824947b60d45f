"""Networks: sizes, names, shapes; and the fused batch normalization."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from sskeras import layers, networks


def count(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


def test_parameter_counts_are_those_of_the_reference(oracle):
    expected = oracle("ssresnet_params_keras")
    two_path, resnet = networks.two_path_resnet(), networks.resnet()
    assert count(two_path.trainable_weights) == expected["ssresnet"] == 1_482_310
    assert two_path.count_params() == expected["ssresnet_total_incl_bn_stats"]
    assert count(resnet.trainable_weights) == expected["resnet_baseline"] == 816_835
    shared = [w for w in resnet.trainable_weights if w.path.startswith("shared")]
    assert count(shared) == expected["shared"]
    assert [*resnet.get_layer("shared_pool").output.shape[1:]] == expected["shared_out"]


@pytest.mark.parametrize("shape", [(33, 50, 1), (64, 64, 3), (8, 8, 1)])
@pytest.mark.parametrize("classes", [2, 5])
def test_any_size_channels_and_classes(shape, classes):
    network = networks.two_path_resnet(shape, classes, filters=(4, 8))
    outputs = network(np.zeros((2, *shape), "uint8"))
    assert [tuple(z.shape) for z in outputs] == [(2, classes)] * 2


def test_the_graph_is_flat_with_named_last_convolutions():
    network = networks.two_path_resnet((32, 32, 1), 3, filters=(4, 8))
    assert not any(isinstance(layer, keras.Model) for layer in network.layers)
    for name in ("supervised_block2_conv2", "unsupervised_block2_conv2"):
        assert network.get_layer(name).output.shape == (None, 4, 4, 8)


def test_the_supervised_network_is_the_two_path_network_without_its_second_path():
    two_path = networks.two_path_resnet((16, 16, 1), 3, filters=(4, 8))
    resnet = networks.resnet((16, 16, 1), 3, filters=(4, 8))
    for layer in resnet.layers:
        layer.set_weights(two_path.get_layer(layer.name).get_weights())
    x = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1))
    np.testing.assert_array_equal(resnet(x), two_path(x)[0])


def batch_norms(x, **kwargs):
    """Keras's layer and ours, equal weights."""
    theirs = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, **kwargs)
    ours = layers.BatchNormalization(**kwargs)
    for layer in (theirs, ours):
        layer.build(x.shape)
        layer.gamma.assign([0.5, 2.0, 1.0])
        layer.beta.assign([0.1, -0.2, 0.3])
    return theirs, ours


def step(layer, x, jit_compile):
    """Output and gradients of one training call."""

    @tf.function(jit_compile=jit_compile)
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.cast(layer(x, training=True), "float32")
            loss = tf.reduce_sum(y * tf.sin(7 * tf.cast(x, "float32")))
        return y, tape.gradient(loss, [x, layer.gamma, layer.beta])

    return run(x)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_batch_normalization_equals_that_of_keras(jit_compile):
    x = tf.random.stateless_normal((4, 5, 6, 3), (1, 2)) * 3 + 1
    theirs, ours = batch_norms(x)
    expected, gradients = step(theirs, x, jit_compile)
    found, our_gradients = step(ours, x, jit_compile)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for ours_, theirs_ in zip(our_gradients, gradients, strict=True):
        np.testing.assert_allclose(ours_, theirs_, rtol=1e-4, atol=1e-4)
    for name in ("moving_mean", "moving_variance"):
        np.testing.assert_allclose(
            getattr(ours, name), getattr(theirs, name), rtol=1e-5
        )
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_batch_normalization_in_mixed_precision(policy):
    x = tf.random.stateless_normal((8, 5, 6, 3), (1, 2)) * 3 + 1
    theirs, ours = batch_norms(x, dtype=policy)
    expected, found = theirs(x, training=True), ours(x, training=True)
    assert found.dtype == expected.dtype != tf.float32
    tolerance = 0.05 if policy == "mixed_bfloat16" else 0.005
    np.testing.assert_allclose(
        tf.cast(found, "float32"), tf.cast(expected, "float32"), atol=tolerance
    )
    assert ours.moving_mean.dtype == "float32"
    np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, rtol=0.01)


def test_batch_normalization_of_vectors_falls_back_to_keras():
    x = tf.random.stateless_normal((32, 3), (1, 2))
    theirs, ours = batch_norms(x)
    np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), 1e-5)
