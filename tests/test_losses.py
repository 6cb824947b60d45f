"""Losses against reference values and against naive loops."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

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
        lambda a, b: losses.mean_squared_difference(ops.softmax(a), ops.softmax(b)),
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


def of_probabilities(loss, **arguments):
    """The same loss as a function of two sets of logits."""
    return lambda a, b: loss(ops.softmax(a), ops.softmax(b), **arguments)


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        (
            "softmax_mse_loss",
            of_probabilities(losses.mean_squared_difference, divisor=1),
        ),
        ("softmax_kl_loss", lambda s, t: losses.kl_divergence(t, s, divisor=1)),
        (
            "symmetric_mse_loss",
            lambda s, t: losses.mean_squared_difference(s, t, divisor=1),
        ),
    ],
)
def test_the_losses_of_mean_teacher_equal_the_reference(oracle, name, loss):
    expected = oracle("mt_losses")
    logits = expected["student_logits"], expected["teacher_logits"]
    expected = expected[name]
    value, gradients = value_and_gradients(loss, *logits)
    assert value == pytest.approx(expected["sum"], rel=1e-6)
    np.testing.assert_allclose(gradients[0], expected["grad_student"], atol=1e-6)
    np.testing.assert_allclose(gradients[1], expected["grad_target"], atol=1e-6)


def test_without_a_divisor_losses_are_means_over_the_batch(oracle):
    expected = oracle("mt_losses")
    student, teacher = (
        np.float32(expected[f"{name}_logits"]) for name in ("student", "teacher")
    )
    mse = losses.mean_squared_difference(ops.softmax(student), ops.softmax(teacher))
    kl = losses.kl_divergence(teacher, student)
    for found, name in ((mse, "softmax_mse_loss"), (kl, "softmax_kl_loss")):
        assert float(found) == pytest.approx(expected[name]["divided_by_batch"], 1e-6)


def test_class_weighted_difference_equals_the_reference(oracle):
    expected = oracle("srcmt_losses")
    three = expected["softmax_mse_loss_3class_unit_weight"]
    seven = expected["softmax_mse_loss_7class"]
    cases = [
        (three, three, None),
        (three, three, (1, 1, 1)),
        (three, expected["softmax_mse_loss_3class_weight_1_1_5"], (1, 1, 5)),
        (seven, seven, expected["class_weight_isic"]),
    ]
    for inputs, outputs, weight in cases:
        value, [gradient, _] = value_and_gradients(
            of_probabilities(losses.class_weighted_difference, class_weight=weight),
            inputs["student_logits"],
            inputs["teacher_logits"],
        )
        name = "sum_over_batch"  # After the division by the batch.
        reference = outputs.get(name, outputs.get(f"train_script_value_{name}"))
        assert value == pytest.approx(reference, rel=1e-6)
        np.testing.assert_allclose(gradient, outputs["grad_student"], atol=1e-6)


def test_a_consistency_weight_of_1_in_src_mt_is_one_of_c_in_mean_teacher():
    a, b = np.random.default_rng(0).uniform(size=(2, 8, 3)).astype("float32")
    mean_teacher = float(losses.mean_squared_difference(a, b))
    src_mt = float(losses.class_weighted_difference(a, b))
    assert src_mt == pytest.approx(3 * mean_teacher, rel=1e-6)


def test_divergence_of_seven_classes_equals_the_reference(oracle):
    expected = oracle("srcmt_losses")
    logits = expected["softmax_mse_loss_7class"]
    found = losses.kl_divergence(logits["teacher_logits"], logits["student_logits"])
    outputs = expected["softmax_kl_loss_7class"]
    assert float(found) == pytest.approx(outputs["sum_over_batch"], rel=1e-6)
    mean = np.sum(outputs["elementwise"]) / 4
    assert float(found) == pytest.approx(mean, rel=1e-6)


def test_cross_entropy_of_seven_weighted_classes_equals_the_reference(oracle):
    expected = oracle("srcmt_losses")
    outputs = expected["cross_entropy_7class_single_softmax_reference"]
    value, gradient = released_cross_entropy(expected, lambda z: z)
    assert value == pytest.approx(outputs["value"], rel=1e-6)
    np.testing.assert_allclose(gradient, outputs["grad"], atol=1e-6)


def released_cross_entropy(expected, change):
    """Weighted, divided by the weights, of changed logits; and its gradient."""
    name = "cross_entropy_loss_7class_AS_RELEASED_double_softmax"
    y = np.array(expected[name]["labels"], "int32")
    weight = np.array(expected["class_weight_isic"])
    value, [gradient] = value_and_gradients(
        lambda z: losses.weighted_cross_entropy(
            y, change(z), weight, divisor=weight[y].sum()
        ),
        expected["softmax_mse_loss_7class"]["student_logits"],
    )
    return value, gradient


def test_a_second_softmax_weakens_the_cross_entropy_as_in_the_reference(oracle):
    expected = oracle("srcmt_losses")
    outputs = expected["cross_entropy_loss_7class_AS_RELEASED_double_softmax"]
    value, gradient = released_cross_entropy(expected, ops.softmax)
    assert value == pytest.approx(outputs["value"], rel=1e-6)
    np.testing.assert_allclose(gradient, outputs["grad"], atol=1e-6)
    _, once = released_cross_entropy(expected, lambda z: z)
    ratio = np.linalg.norm(gradient) / np.linalg.norm(once)
    assert ratio == pytest.approx(expected["double_softmax_grad_ratio_L2"], rel=1e-5)


def test_after_a_second_softmax_a_perfect_answer_still_costs_the_floor(oracle):
    for classes, floor in oracle("srcmt_losses")["double_softmax_loss_floor"].items():
        y = np.arange(int(classes), dtype="int32")
        perfect = ops.softmax(100 * np.eye(len(y), dtype="float32"))
        loss = float(losses.weighted_cross_entropy(y, perfect))
        assert loss == pytest.approx(floor, rel=1e-6)


def test_relation_difference_equals_the_reference(oracle):
    expected = oracle("srcmt_losses")["relation_mse_loss"]
    features = expected["activations"], expected["ema_activations"]
    value, [gradient, _] = value_and_gradients(losses.relation_difference, *features)
    found = expected["train_script_value_sum_over_batch"]
    assert value == pytest.approx(found, rel=1e-6)
    np.testing.assert_allclose(gradient, expected["grad_activations"], atol=1e-6)
    for own, side in zip(features, ("student", "teacher"), strict=True):
        rows = losses._relations(np.float32(own), np.float32(own))
        np.testing.assert_allclose(rows, expected[f"row_normalised_{side}"], atol=1e-6)


def test_each_replica_relates_its_images_with_those_of_all(oracle):
    expected = oracle("srcmt_losses")["relation_mse_loss"]
    a, b = np.float32([expected["activations"], expected["ema_activations"]])
    for mine in (slice(0, 1), slice(1, 4)):
        loss = losses.relation_difference(a[mine], b[mine], a, b, divisor=1)
        elementwise = np.sum(expected["elementwise"][mine])
        assert float(loss) == pytest.approx(elementwise, rel=1e-6)


def test_relations_of_maps_are_those_of_their_flat_rows(oracle):
    expected = oracle("srcmt_losses")["relation_mse_loss_4d_flattened"]
    x, y = np.float32(expected["x"]), np.float32(expected["y"])
    assert list(x.shape) == expected["x_shape"]
    loss = float(losses.relation_difference(x, y))
    assert loss == pytest.approx(expected["sum_over_batch"], rel=1e-6)
    flat = losses.relation_difference(x.reshape(4, 8), y.reshape(4, 8))
    assert float(flat) == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 3, 1e3])
def test_relations_do_not_depend_on_the_scale_of_the_features(oracle, scale):
    features = oracle("srcmt_losses")["relation_mse_loss"]
    expected = oracle("srcmt_losses")["relation_mse_loss_scale_invariance"]
    a, b = np.float32([features["activations"], features["ema_activations"]])
    loss = float(losses.relation_difference(scale * a, b))
    assert loss == pytest.approx(expected["loss(3A,B)"], rel=1e-5)
    assert float(losses.relation_difference(scale * a, a)) == pytest.approx(0, abs=1e-6)
    assert float(losses.relation_difference(a, a)) == expected["loss(A,A)"]


def with_an_image_without_features():
    a, b = np.random.default_rng(0).normal(size=(2, 4, 5)).astype("float32")
    a[2] = 0
    return a, b


def test_an_image_without_features_has_relations_of_zero():
    a, b = with_an_image_without_features()
    expected = 0.0
    for i in range(4):
        rows = []
        for features in (a, b):
            row = np.array([features[i] @ features[j] for j in range(4)])
            rows.append(row / max(np.sqrt(np.sum(row**2)), 1e-12))
        expected += np.sum((rows[0] - rows[1]) ** 2) / 4
    value, gradients = value_and_gradients(losses.relation_difference, a, b)
    assert value == pytest.approx(expected, rel=1e-5)
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)
    value, gradients = value_and_gradients(losses.relation_difference, b, a)
    assert value == pytest.approx(expected, rel=1e-5)
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


def test_an_image_without_features_is_not_thrown_far_away():
    """Its own relations have no direction to go; those of the others to it have."""
    _, [gradient, _] = value_and_gradients(
        losses.relation_difference, *with_an_image_without_features()
    )
    assert 0 < np.abs(gradient).max() < 10


def test_consistency_losses_are_zero_where_both_sides_agree_and_so_is_the_gradient():
    z = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
    for loss in (
        of_probabilities(losses.mean_squared_difference),
        of_probabilities(losses.class_weighted_difference),
        losses.kl_divergence,
        losses.relation_difference,
    ):
        value, gradients = value_and_gradients(loss, z, z)
        assert value == pytest.approx(0, abs=1e-7)
        np.testing.assert_allclose(gradients, 0, atol=1e-6)


def test_the_weight_of_an_image_scales_its_difference():
    a, b = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    weight = np.float32([1, 0, 0.5, 2])
    expected = 0.0
    for i in range(4):
        expected += weight[i] * np.sum((a[i] - b[i]) ** 2) / 3 / 4
    loss = losses.mean_squared_difference(a, b, weight=weight)
    assert float(loss) == pytest.approx(expected, rel=1e-6)
