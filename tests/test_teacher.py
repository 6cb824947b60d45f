"""The moving average of the teacher against reference values and naive loops."""

import keras
import numpy as np
import pytest
from keras import layers
from small_methods import SHAPE, tiny

from sskeras.layers import BatchNormalization
from sskeras.methods import teacher


@pytest.mark.parametrize(
    ("name", "ceiling"),
    [
        ("mean_teacher_call_order", 0.999),
        ("mean_teacher_alpha_0.6", 0.6),
        ("srcmt_call_order", 0.99),
        ("srcmt_alpha_0.6", 0.6),
    ],
)
def test_both_call_orders_equal_the_reference(oracle, name, ceiling):
    expected = oracle("ema")[name]
    average = np.float32(expected["teacher_init"])
    for row in expected["trace"]:
        decay = teacher.decay(row["global_step"], ceiling)
        assert float(decay) == pytest.approx(row["alpha_eff"], abs=1e-6)
        average = teacher.average(average, np.float32(row["student"]), decay)
        np.testing.assert_allclose(average, row["teacher"], rtol=1e-6, atol=2e-6)


def test_the_decay_reaches_its_ceiling_where_the_reference_does(oracle):
    for ceiling, step in oracle("ema")["warmup_crossover_step"].items():
        if ceiling != "rule":
            ceiling = float(ceiling)
            assert float(teacher.decay(step - 1, ceiling)) < np.float32(ceiling)
            assert float(teacher.decay(step + 1, ceiling)) == np.float32(ceiling)


def test_before_the_ceiling_the_teacher_is_the_mean_of_all_students_so_far():
    students = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    average = students[0]
    for step in range(1, 20):
        average = teacher.average(average, students[step], teacher.decay(step, 0.999))
        expected = np.mean(students[: step + 1], axis=0)
        np.testing.assert_allclose(average, expected, atol=1e-6)


def line(kernel, moving_mean):
    """A network with two weights and batch normalization without scale."""
    x = keras.Input((1,))
    z = layers.Dense(2, use_bias=False)(x)
    z = BatchNormalization(center=False, scale=False)(z)
    return put(keras.Model(x, z), kernel, moving_mean, [1, 1])


def put(network, kernel, moving_mean, moving_variance):
    values = [kernel], moving_mean, moving_variance
    network.set_weights([np.float32(value) for value in values])
    return network


def test_copied_statistics_equal_the_reference(oracle):
    student = line([0, 0], [4, 4])
    follower = teacher.copy_of(student)
    for k, row in enumerate(oracle("ema")["usb_EMA_decay_0.9"]["trace"]):
        put(student, [k + 1, 2 * (k + 1)], [5 + k, 5 + k], [2 + k, 3 + k])
        teacher.follow(follower, student, 0.9, batch_norm="copy")
        kernel, moving_mean, moving_variance = follower.get_weights()
        np.testing.assert_allclose(kernel[0], row["shadow_w"], rtol=1e-5)
        np.testing.assert_array_equal(moving_mean, row["shadow_running_mean"])
        np.testing.assert_array_equal(moving_variance, [2 + k, 3 + k])


@pytest.mark.parametrize(
    ("name", "first"), [("mean_teacher_call_order", 1), ("srcmt_call_order", 0)]
)
def test_own_statistics_stay_untouched_as_in_the_reference(oracle, name, first):
    expected = oracle("ema")[name]
    student = line([0, 0], [0, 0])
    follower = teacher.copy_of(line(expected["teacher_init"], [7, 7]))
    for k, row in enumerate(expected["trace"]):
        put(student, row["student"], [k, k], [k, k])
        decay = teacher.decay(k + first, 0.99)
        teacher.follow(follower, student, decay, batch_norm="own")
    kernel, moving_mean, moving_variance = follower.get_weights()
    np.testing.assert_allclose(kernel[0], expected["trace"][-1]["teacher"], rtol=1e-6)
    after = expected["teacher_bn_running_mean_after (unchanged)"]
    np.testing.assert_array_equal(moving_mean, after)
    np.testing.assert_array_equal(moving_variance, [1, 1])


def nested():
    """A network inside a network, as ready-made backbones are."""
    x = keras.Input(SHAPE)
    return keras.Model(x, layers.Dense(3)(tiny()(x)))


@pytest.mark.parametrize("make", [tiny, nested])
def test_a_copy_shares_nothing_and_no_optimizer_sees_it(make, batch):
    network = make()
    follower = teacher.copy_of(network)
    np.testing.assert_array_equal(follower(batch[0]), network(batch[0]))
    assert not follower.trainable_weights
    assert len(network.trainable_weights) > 3
    before = follower.get_weights()
    for weight in network.weights:
        weight.assign(weight + 1)
    for kept, old in zip(follower.get_weights(), before, strict=True):
        np.testing.assert_array_equal(kept, old)


def test_a_copy_normalizes_with_its_batch_and_collects_statistics(batch):
    x, _ = batch
    network = tiny(dropout=0)
    follower = teacher.copy_of(network)
    answers = [np.array(model(x, training=True)) for model in (network, follower)]
    np.testing.assert_array_equal(*answers)
    assert np.abs(answers[0] - network(x, training=False)).max() > 1e-3
    norm, twin = (
        next(layer for layer in model.layers if isinstance(layer, BatchNormalization))
        for model in (follower, network)
    )
    assert np.abs(norm.moving_mean).max() > 0
    np.testing.assert_array_equal(norm.moving_mean, twin.moving_mean)
    np.testing.assert_array_equal(norm.moving_variance, twin.moving_variance)


def test_dropout_of_a_copy_draws_on_its_own(batch):
    network = tiny(dropout=0.5)
    follower = teacher.copy_of(network)
    a, b = (model(batch[0], training=True) for model in (network, follower))
    assert np.abs(np.array(a) - np.array(b)).max() > 1e-3


@pytest.mark.parametrize("batch_norm", teacher.BATCH_NORMS)
def test_frozen_weights_of_the_student_stay_those_of_the_teacher(batch_norm):
    network = tiny()
    network.get_layer("shared_conv").trainable = False
    follower = teacher.copy_of(network)
    for weight in network.trainable_weights:
        weight.assign(weight + 1)
    teacher.follow(follower, network, 0.5, batch_norm)
    np.testing.assert_array_equal(
        follower.get_layer("shared_conv").kernel,
        network.get_layer("shared_conv").kernel,
    )
    np.testing.assert_allclose(
        follower.layers[-1].bias, network.layers[-1].bias - 0.5, atol=1e-6
    )


def test_a_copy_normalizes_as_the_original_does():
    """Keras keeps a second copy of these weights, which `set_weights` leaves behind."""
    x = np.float32([[1], [5], [9]])
    normalization = layers.Normalization()
    normalization.adapt(x)
    parts = [keras.Input((1,)), normalization, layers.Dense(2)]
    network = keras.Sequential(parts)
    np.testing.assert_allclose(teacher.copy_of(network)(x), network(x), atol=1e-6)


def test_agreement_is_1_where_classes_are_equal():
    one = np.float32([[3, 1, 0], [0, 1, 0], [0, 0, 5], [1, 2, 3]])
    other = np.float32([[9, 8, 0], [1, 0, 0], [0, 0, 1], [3, 2, 1]])
    np.testing.assert_array_equal(teacher.agreement(one, other), [1, 0, 1, 0])
