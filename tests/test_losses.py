"""Losses against reference values and against naive loops."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from sskeras import losses


def value_and_gradients(function, *arrays):
    """A loss and its gradients with respect to arrays."""
    variables = [tf.Variable(array, dtype="float32") for array in arrays]
    with tf.GradientTape() as tape:
        value = function(*variables)
    return float(value), [g.numpy() for g in tape.gradient(value, variables)]


def test_weighted_cross_entropy_equals_the_reference(oracle):
    expected = oracle("weighted_ce")
    y = np.array(expected["labels"], "int32")
    variants = expected["variants"]
    by_sum = {
        "keras_class_weight(sum(w*nll)/N)": None,
        "torch_weighted_mean(sum(w*nll)/sum(w_y))": sum(expected["weight_per_example"]),
    }
    for name, divisor in by_sum.items():
        value, [gradient] = value_and_gradients(
            lambda z, divisor=divisor: losses.weighted_cross_entropy(
                y, z, expected["class_weight"], divisor
            ),
            expected["logits"],
        )
        assert value == pytest.approx(variants[name]["value"], abs=1e-6)
        np.testing.assert_allclose(gradient, variants[name]["grad"], atol=1e-6)


def test_line_6_reads_as_weight_times_logarithm(oracle):
    expected = oracle("weighted_ce")
    half = expected["ssresnet_half_labelled"]
    y = np.full(4, -1, "int32")
    y[half["labelled_rows"]] = half["labels"]
    weight, logits = expected["class_weight"], np.array(expected["logits"], "float32")
    readings = {
        "A_algorithm1_div_|B|": None,
        "B_div_n_labelled": 2,
        "C_div_sum_of_weights": 6,
    }
    for name, divisor in readings.items():
        value = losses.weighted_cross_entropy(y, logits, weight, divisor)
        assert float(value) == pytest.approx(half[name], abs=1e-6)


def test_mean_squared_difference_equals_the_reference(oracle):
    expected = oracle("ssresnet_losses")
    z = expected["z_sup"], expected["z_unsup"]
    value, gradients = value_and_gradients(losses.mean_squared_difference, *z)
    assert value == pytest.approx(expected["msel_logits"], abs=1e-6)
    np.testing.assert_allclose(gradients[0], expected["grad_sup"], atol=1e-6)
    np.testing.assert_allclose(gradients[1], expected["grad_unsup"], atol=1e-6)

    variant = expected["msel_softmax_variant"]
    value, gradients = value_and_gradients(
        lambda a, b: losses.mean_squared_difference(
            keras.ops.softmax(a), keras.ops.softmax(b)
        ),
        *z,
    )
    assert value == pytest.approx(variant["value"], abs=1e-6)
    np.testing.assert_allclose(gradients[0], variant["grad_sup"], atol=1e-6)
    np.testing.assert_allclose(gradients[1], variant["grad_unsup"], atol=1e-6)


def test_algorithm_1_equals_a_naive_loop():
    rng = np.random.default_rng(0)
    z_sup, z_un = rng.normal(size=(2, 10, 3)).astype("float32")
    y = np.array([0, -1, 2, 1, -1, -1, 2, -1, 0, -1], "int32")
    w = (1.0, 1.0, 5.0)
    wcel, msel = 0.0, 0.0
    for i in range(10):
        if y[i] >= 0:
            probabilities = np.exp(z_sup[i]) / np.exp(z_sup[i]).sum()
            wcel -= w[y[i]] * np.log(probabilities[y[i]]) / 10
        for c in range(3):
            msel += (z_sup[i, c] - z_un[i, c]) ** 2 / (3 * 10)
    assert float(losses.weighted_cross_entropy(y, z_sup, w)) == pytest.approx(wcel)
    assert float(losses.mean_squared_difference(z_sup, z_un)) == pytest.approx(msel)


def test_equal_paths_have_no_difference():
    z = np.ones((4, 3), "float32")
    assert float(losses.mean_squared_difference(z, z)) == 0.0


def test_a_batch_without_labels_has_no_supervised_loss():
    z = np.ones((4, 3), "float32")
    assert float(losses.weighted_cross_entropy(np.full(4, -1), z, (1, 1, 2))) == 0.0
