"""Π-model, temporal ensembling, mean teacher and SRC-MT against their references."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from small_methods import SHAPE, new, tiny

from sskeras import losses, methods, schedules
from sskeras.layers import BatchNormalization

STILL = {"weak": layers.Identity()}
TEACHERS = [
    ("MeanTeacher", {"batch_norm": "copy"}),
    ("MeanTeacher", {"batch_norm": "own"}),
    ("SRCMT", {"preset": "as_described"}),
    ("SRCMT", {"preset": "as_released"}),
]

# Pictures here are black but for a pixel of value 1.
pytestmark = pytest.mark.filterwarnings("ignore:The grays of:UserWarning")


def answers(*tables):
    """A network without noise that answers picture i of `pixels` with row i.

    One dense layer follows the other, so that the first of two tables is the features.
    """
    pictures = keras.Input((1, len(tables[0]), 1))
    x = layers.Flatten()(pictures)
    for table in tables:
        x = layers.Dense(np.shape(table)[-1], use_bias=False)(x)
    network = keras.Model(pictures, x)
    network.set_weights([np.float32(table) for table in tables])
    return network


def pixels(images, size=None):
    """Pictures that are black but for a pixel of their own."""
    size = size or images
    return np.eye(size, dtype="float32")[:images].reshape(images, 1, size, 1)


def gradients_of_a_step(model, x, y, run_eagerly=True):
    """Logs and gradients: a step of SGD with rate 1 moves by minus the gradient."""
    model.compile(keras.optimizers.SGD(1.0), run_eagerly=run_eagerly)
    before = [w.numpy() for w in model.network.trainable_weights]
    logs = model.fit(x, y, batch_size=len(y), shuffle=False, verbose=0).history
    after = [w.numpy() for w in model.network.trainable_weights]
    return (
        {name: value for name, [value] in logs.items()},
        [one - other for one, other in zip(before, after, strict=True)],
    )


def fit(model, x, y, epochs=2, callbacks=()):
    model.compile(keras.optimizers.Adam(0.01), metrics=["accuracy"], run_eagerly=True)
    return model.fit(
        x,
        y,
        epochs=epochs,
        batch_size=8,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    ).history


def softmax(z):
    exponentials = np.exp(z - z.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    "name", ["PiModel", "TemporalEnsembling", "MeanTeacher", "SRCMT"]
)
def test_lambda_zero_is_supervised_learning_to_the_bit(batch, name):
    keras.utils.set_random_seed(0)
    network = tiny(dropout=0)
    twin = keras.models.clone_model(network)
    twin.set_weights(network.get_weights())
    shared = {"supervised_divisor": "batch", "class_weight": (1, 1, 2), "still": True}
    semi = new(name, network=network, unsupervised_weight=0.0, **shared)
    supervised = new("Supervised", network=twin, **shared)
    histories = [fit(model, *batch) for model in (semi, supervised)]
    assert histories[0]["supervised"] == histories[1]["supervised"]
    for a, b in zip(network.trainable_weights, twin.trainable_weights, strict=True):
        np.testing.assert_array_equal(a, b)


# The Π-model.


class InTurns(layers.Layer):
    """Draws two views in turn: the picture, and the picture moved by some pixels."""

    moved = 0

    def call(self, x, training=None):
        if not training:
            return x
        self.moved = 4 - self.moved
        return ops.roll(x, 4 - self.moved, axis=2)


def test_the_pi_model_equals_the_reference_and_moves_both_branches(oracle):
    expected = oracle("pi_tempens")["pi_loss"]
    y = np.where(expected["mask"], expected["labels_masked0"], -1)
    network = answers(expected["logits_a"] + expected["logits_b"])
    model = methods.PiModel(
        network,
        labeled_share=0.5,
        unsupervised_weight=2 * expected["w"],
        weak=InTurns(),
    )
    logs, [gradient] = gradients_of_a_step(model, pixels(4, 8), y)
    supervised = expected["sup_mean_over_all_batch"]
    unsupervised = expected["unsup_mean_over_batch_and_classes"]
    assert logs["supervised"] == pytest.approx(supervised, rel=1e-6)
    assert logs["unsupervised"] == pytest.approx(unsupervised, rel=1e-6)
    assert logs["loss"] == pytest.approx(expected["total"], rel=1e-6)
    np.testing.assert_allclose(gradient[:4], expected["grad_a"], atol=1e-6)
    np.testing.assert_allclose(gradient[4:], expected["grad_b_NOT_ZERO"], atol=1e-6)


def test_equal_views_without_dropout_have_no_difference_and_no_gradient(batch):
    model = methods.PiModel(tiny(dropout=0), labeled_share=1.0, **STILL)
    with tf.GradientTape() as tape:
        _, found, logs = model.objective(*batch, training=True)
    gradients = tape.gradient(found["unsupervised"], model.trainable_weights)
    assert float(found["unsupervised"]) == 0
    assert float(logs["agreement"]) == 1
    assert all(np.all(np.array(gradient) == 0) for gradient in gradients)


@pytest.mark.parametrize("name", ["PiModel", "TemporalEnsembling"])
def test_lambda_is_multiplied_by_the_labeled_share(oracle, batch, name):
    for row in oracle("pi_tempens")["scaled_w_max"]:
        share = row["M"] / row["N"]
        model = new(name, labeled_share=share, unsupervised_weight=row["w_max"])
        found = float(model.loss_weights(0)["unsupervised_weight"])
        assert found == pytest.approx(row["scaled"], rel=1e-6)
    ramp_up = schedules.GaussianRampUp(100.0, steps=4)
    model = new(name, labeled_share=0.25, unsupervised_weight=ramp_up)
    history = fit(model, *batch, epochs=1)
    mean = np.mean([0.25 * float(ramp_up(step)) for step in (0, 1)])
    assert history["unsupervised_weight"] == pytest.approx([mean], rel=1e-6)


# Temporal ensembling.


def ensembling(num_images, network=None, **kwargs):
    network = network or answers(np.zeros((num_images, 3)))
    arguments = {"labeled_share": 1.0, "unsupervised_weight": 1.0} | STILL | kwargs
    return methods.TemporalEnsembling(network, num_images=num_images, **arguments)


def test_memory_and_targets_equal_the_reference(oracle):
    model = ensembling(4)
    index = np.arange(4)
    for row in oracle("pi_tempens")["ensemble_alpha_0.6"]:
        model.remember(index, np.float32(row["pred"]))
        seen, target = model.recall(index, np.float32(row["pred"]))
        np.testing.assert_allclose(model.memory, row["Z"], atol=1e-6)
        np.testing.assert_allclose(target, row["target_for_next_epoch"], atol=1e-6)
        np.testing.assert_array_equal(seen, 1)


def test_a_skipped_image_equals_the_sparse_mode_of_the_reference(oracle):
    expected = oracle("pi_tempens")
    model = ensembling(4)
    kept = np.array([0, 1, 3])
    for predicted, row in zip(
        expected["ensemble_alpha_0.6"],
        expected["sparse_mode_row2_not_executed"],
        strict=False,
    ):
        model.remember(kept, np.float32(predicted["pred"])[kept])
        seen, target = model.recall(np.arange(4), np.float32(predicted["pred"]))
        np.testing.assert_allclose(model.memory, row["Z"], atol=1e-6)
        np.testing.assert_allclose(target, row["target"], atol=1e-6)
        np.testing.assert_array_equal(seen, [1, 1, 0, 1])


def test_each_epoch_learns_from_the_targets_of_the_reference(oracle):
    y = np.array([0, -1, 2, -1], "int32")
    model = ensembling(4)
    target = None
    for row in oracle("pi_tempens")["ensemble_alpha_0.6"]:
        p = np.array(row["pred"])
        model.network.set_weights([np.log(p).astype("float32")])
        _, found, _ = model.objective((pixels(4), np.arange(4)), y, training=True)
        expected = 0 if target is None else np.mean((p - target) ** 2)
        assert float(found["unsupervised"]) == pytest.approx(expected, abs=1e-6)
        supervised = -(np.log(p[0, 0]) + np.log(p[2, 2])) / 4
        assert float(found["supervised"]) == pytest.approx(supervised, rel=1e-5)
        np.testing.assert_allclose(model.memory, row["Z"], atol=1e-6)
        target = np.array(row["target_for_next_epoch"])


class Predictions(keras.callbacks.Callback):
    """What the network answers before each batch, which is what it learns from."""

    def __init__(self, x):
        super().__init__()
        self.x, self.found = x, []

    def on_train_batch_begin(self, batch, logs=None):
        self.found.append(softmax(np.array(self.model.network(self.x))))


def test_targets_of_shuffled_epochs_are_bias_corrected_averages():
    rng = np.random.default_rng(0)
    model = ensembling(8, answers(rng.normal(size=(8, 3))))
    model.compile(keras.optimizers.SGD(5.0), run_eagerly=True)
    x, y = pixels(8), np.arange(8) % 3
    predictions = Predictions(x)
    keras.utils.set_random_seed(0)
    history = model.fit(
        x, y, batch_size=8, epochs=4, verbose=0, callbacks=[predictions]
    ).history
    z, target, expected = np.zeros((8, 3)), None, []
    for epoch, p in enumerate(predictions.found):
        expected.append(0 if target is None else np.mean((p - target) ** 2))
        z = 0.6 * z + 0.4 * p
        target = z / (1 - 0.6 ** (epoch + 1))
    assert history["unsupervised"] == pytest.approx(expected, rel=1e-5)
    assert history["remembered"] == [0, 1, 1, 1]
    assert expected[-1] > 1e-3
    np.testing.assert_allclose(model.recall(np.arange(8), p)[1], target, atol=1e-6)


def test_images_without_a_memory_cost_nothing_and_others_are_left_alone():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(6, 3)).astype("float32")
    model = ensembling(6, answers(z))
    first = softmax(rng.normal(size=(2, 3))).astype("float32")
    model.remember(np.array([1, 4]), first)
    batch = np.array([0, 1, 2])
    y = np.full(3, -1, "int32")
    _, found, logs = model.objective((pixels(6)[batch], batch), y, training=True)
    p = softmax(z)
    expected = np.sum((p[1] - first[0]) ** 2) / (3 * 3)
    assert float(found["unsupervised"]) == pytest.approx(expected, rel=1e-5)
    assert float(logs["remembered"]) == pytest.approx(1 / 3)
    memory = np.zeros((6, 3))
    memory[1], memory[4] = 0.6 * 0.4 * first[0], 0.4 * first[1]
    memory[batch] += 0.4 * p[batch]
    np.testing.assert_allclose(model.memory, memory, atol=1e-6)


def test_of_an_image_twice_in_a_batch_the_last_answer_is_kept():
    model = ensembling(4)
    before = softmax(np.random.default_rng(0).normal(size=(4, 3))).astype("float32")
    model.remember(np.arange(4), before)
    p = softmax(np.random.default_rng(1).normal(size=(5, 3))).astype("float32")
    model.remember(np.array([3, 1, 3, 0, 3]), p)
    expected = 0.4 * before
    for image, row in {3: 4, 1: 1, 0: 3}.items():
        expected[image] = 0.6 * expected[image] + 0.4 * p[row]
    np.testing.assert_allclose(model.memory, expected, atol=1e-6)


def test_memory_is_saved_with_the_weights(batch, tmp_path):
    model, other = (new("TemporalEnsembling") for _ in range(2))
    fit(model, *batch, epochs=2)
    fit(other, *batch, epochs=1)
    model.save_weights(tmp_path / "checkpoint.weights.h5")
    other.load_weights(tmp_path / "checkpoint.weights.h5")
    np.testing.assert_array_equal(other.memory, model.memory)
    np.testing.assert_allclose(np.sum(other.memory, axis=-1), 1 - 0.6**2, rtol=1e-5)


def test_evaluation_neither_reads_nor_writes_the_memory(batch):
    """Its pictures may be others, whose numbers mean other images."""
    x, y = batch
    model = new("TemporalEnsembling", still=True)
    fit(model, x, y, epochs=1)
    before = model.memory.numpy()
    elsewhere = model.evaluate(x, y, verbose=0, return_dict=True)
    dataset = tf.data.Dataset.from_tensors(((x, np.arange(16)), y))
    numbered = model.evaluate(dataset, verbose=0, return_dict=True)
    model.predict(x, verbose=0)
    np.testing.assert_array_equal(model.memory, before)
    assert (elsewhere["unsupervised"], elsewhere["remembered"]) == (0, 0)
    assert numbered == elsewhere


def test_a_dataset_must_tell_which_image_is_which(batch):
    model = new("TemporalEnsembling")
    model.compile("sgd")
    with pytest.raises(ValueError, match="with_index=True.*without an index"):
        model.fit(tf.data.Dataset.from_tensors(batch), verbose=0)


def test_more_images_than_memory_are_refused(batch):
    model = new("TemporalEnsembling", num_images=15)
    model.compile("sgd")
    with pytest.raises(ValueError, match="`num_images=15`.*images 0 to 15"):
        model.fit(*batch, verbose=0)


def test_an_index_beyond_the_memory_is_refused_with_a_repair(batch):
    x, y = batch
    model = new("TemporalEnsembling")
    model.compile("sgd", run_eagerly=True)
    with pytest.raises(ValueError, match="num_images"):
        model.fit((x, np.arange(16) + 8), y, verbose=0)


def test_a_momentum_of_1_would_never_remember():
    with pytest.raises(ValueError, match="momentum"):
        ensembling(4, momentum=1.0)


@pytest.mark.parametrize("predicted", [0, 1])
def test_images_without_a_memory_do_not_count_in_the_agreement(predicted):
    model = ensembling(4, answers(np.tile(5 * np.eye(3)[predicted], (4, 1))))
    x, y = pixels(4), np.zeros(4, "int32")
    _, _, nothing = model.objective(x, y, training=False)
    model.remember(np.arange(2), np.float32(np.eye(3)[[predicted, 2]]))
    _, _, half = model.objective((x, np.arange(4)), y, training=False)
    assert float(nothing["agreement"]) == 0
    assert float(half["agreement"]) == 0.5


def test_temporal_ensembling_takes_logits_in_half_precision(batch):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        x = keras.Input(SHAPE)
        network = keras.Model(x, layers.Dense(3)(layers.Flatten()(x)))
    finally:
        keras.config.set_dtype_policy("float32")
    model = ensembling(16, network)
    assert np.all(np.isfinite(fit(model, *batch)["loss"]))
    assert model.predict(batch[0], verbose=0).dtype == "float32"


# Mean teacher, and what SRC-MT shares with it.


@pytest.mark.parametrize("cost", ["mse", "kl"])
def test_mean_teacher_equals_the_reference_and_moves_the_student_only(oracle, cost):
    expected = oracle("mt_losses")
    reference = expected[f"softmax_{cost}_loss"]
    network = answers(expected["student_logits"])
    model = methods.MeanTeacher(network, unsupervised_weight=2.0, cost=cost, **STILL)
    model.teacher.set_weights([np.float32(expected["teacher_logits"])])
    with tf.GradientTape() as tape:
        tape.watch(model.teacher.weights[0].value)
        _, found, _ = model.objective(pixels(4), np.full(4, -1), training=True)
    assert tape.gradient(found["unsupervised"], model.teacher.weights[0].value) is None
    logs, [gradient] = gradients_of_a_step(model, pixels(4), np.array([-1, -1, 1, -1]))
    p = softmax(np.array(expected["student_logits"]))[2]
    supervised = np.zeros((4, 3))
    supervised[2] = (p - [0, 1, 0]) / 4
    assert logs["supervised"] == pytest.approx(-np.log(p[1]) / 4, rel=1e-6)
    value = reference["divided_by_batch"]
    assert logs["unsupervised"] == pytest.approx(value, rel=1e-6)
    total = supervised + 2 * np.array(reference["grad_student"]) / 4
    np.testing.assert_allclose(gradient, total, atol=1e-6)


class Students(keras.callbacks.Callback):
    """The weights of the network after each step."""

    def on_train_begin(self, logs=None):
        self.found = []

    def on_train_batch_end(self, batch, logs=None):
        self.found.append(self.model.network.get_weights())


@pytest.mark.parametrize(("name", "options"), TEACHERS)
def test_the_teacher_follows_as_a_naive_loop_predicts(batch, name, options):
    x, y = (np.concatenate([part, part[:8]]) for part in batch)
    model = new(name, decay=0.6, **options)
    average = model.network.get_weights()
    trainable = [weight.trainable for weight in model.network.weights]
    own = "own" in options.values() or "as_released" in options.values()
    students = Students()
    fit(model, x, y, epochs=1, callbacks=[students])
    for done, student in enumerate(students.found):
        s = done + 1 if name == "MeanTeacher" else done
        a = min(1 - 1 / (s + 1), 0.6)
        for i, weight in enumerate(student):
            average[i] = a * average[i] + (1 - a) * weight if trainable[i] else weight
    assert len(students.found) == 3
    for i, kept in enumerate(model.teacher.get_weights()):
        if trainable[i]:
            np.testing.assert_allclose(kept, average[i], rtol=1e-5, atol=1e-6)
            assert np.abs(kept - students.found[-1][i]).max() > 0
        else:
            assert np.array_equal(kept, average[i]) != own


@pytest.mark.parametrize(("name", "options"), [TEACHERS[1], TEACHERS[3]])
def test_own_statistics_are_those_of_the_batches_of_the_teacher(batch, name, options):
    x, y = batch
    model = new(name, still=True, network=tiny(dropout=0), **options)
    [norm] = [n for n in model.teacher.layers if isinstance(n, BatchNormalization)]
    before_norm = keras.Model(model.teacher.input, norm.input)
    model.compile(keras.optimizers.SGD(5.0), run_eagerly=True)
    mean, variance = np.zeros(8), np.ones(8)
    for _ in range(3):
        maps = np.array(before_norm(x))
        mean = 0.9 * mean + 0.1 * maps.mean((0, 1, 2))
        variance = 0.9 * variance + 0.1 * maps.var((0, 1, 2))
        model.train_on_batch(x, y)
    np.testing.assert_allclose(norm.moving_mean, mean, atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, variance, rtol=1e-5)


@pytest.mark.parametrize(("name", "options"), TEACHERS)
def test_dropout_of_the_teacher_is_active_with_its_own_statistics(name, options, batch):
    model = new(name, still=True, network=tiny(dropout=0.5), **options)
    model.network.layers[-2].rate = 0  # Of the student alone.
    draws = {
        float(model.objective(*batch, training=True)[1]["unsupervised"])
        for _ in range(3)
    }
    own = "own" in options.values() or "as_released" in options.values()
    assert len(draws) == (3 if own else 1)


@pytest.mark.parametrize(("name", "options"), TEACHERS)
def test_the_teacher_gets_no_gradient_and_no_place_in_the_optimizer(
    batch, name, options
):
    model = new(name, **options)
    teacher = model.teacher.weights
    with tf.GradientTape() as tape:
        tape.watch([weight.value for weight in teacher])
        _, found, _ = model.objective(*batch, training=True)
        loss = sum(found.values())
    gradients = tape.gradient(loss, [weight.value for weight in teacher])
    assert gradients == [None] * len(teacher)
    fit(model, *batch, epochs=1)
    students = model.network.trainable_weights
    assert [id(w) for w in model.trainable_weights] == [id(w) for w in students]
    # Adam: the step, the learning rate and two moments for each weight.
    assert len(model.optimizer.variables) == 2 + 2 * len(students)


ANSWERS = [
    ("MeanTeacher", {"predict_with": "teacher"}, "teacher"),
    ("MeanTeacher", {"predict_with": "student"}, "network"),
    ("SRCMT", {"preset": "as_described"}, "teacher"),
    ("SRCMT", {"preset": "as_released"}, "network"),
]


def with_a_different_teacher(name, options):
    keras.utils.set_random_seed(0)
    model = new(name, network=tiny(dropout=0.5), **options)
    turned = [np.roll(weight, 1, axis=-1) for weight in model.teacher.get_weights()]
    model.teacher.set_weights([*turned[:-1], np.float32([0, 0.5, 0])])
    model.compile("sgd", metrics=["accuracy"], run_eagerly=True)
    return model


@pytest.mark.parametrize(("name", "options", "who"), ANSWERS)
def test_predict_and_evaluate_answer_with_the_same_model(batch, name, options, who):
    x, _ = batch
    model = with_a_different_teacher(name, options)
    found = {n: softmax(np.array(getattr(model, n)(x))) for n in ("teacher", "network")}
    classes = {n: p.argmax(-1) for n, p in found.items()}
    assert np.any(classes["teacher"] != classes["network"])
    np.testing.assert_allclose(model.predict(x, verbose=0), found[who], atol=1e-6)
    np.testing.assert_allclose(model(x), found[who], atol=1e-6)
    logs = model.evaluate(x, classes[who], verbose=0, return_dict=True)
    assert logs["accuracy"] == 1


@pytest.mark.parametrize(("name", "options", "who"), ANSWERS[:3])
def test_the_loss_of_evaluate_is_that_of_the_answers(batch, name, options, who):
    """`EarlyStopping` on `val_loss` should choose among what is deployed."""
    x, y = batch
    model = with_a_different_teacher(name, options | {"supervised_divisor": "labeled"})
    answer = model.predict(x, verbose=0)[y >= 0, y[y >= 0]]
    found = model.evaluate(x, y, verbose=0, return_dict=True)["supervised"]
    assert found == pytest.approx(-np.log(answer).mean(), rel=1e-5)


# SRC-MT.


def srcmt(*tables, teacher=None, **kwargs):
    model = methods.SRCMT(answers(*tables), unsupervised_weight=1.0, **STILL, **kwargs)
    if teacher is not None:
        model.teacher.set_weights([np.float32(table) for table in teacher])
    return model


@pytest.mark.parametrize("run_eagerly", [True, False])
@pytest.mark.parametrize(
    ("preset", "reference"),
    [
        ("as_described", "cross_entropy_7class_single_softmax_reference"),
        ("as_released", "cross_entropy_loss_7class_AS_RELEASED_double_softmax"),
    ],
)
def test_the_cross_entropy_of_src_mt_equals_the_reference(
    oracle, preset, reference, run_eagerly
):
    expected = oracle("srcmt_losses")
    y = np.array(
        expected["cross_entropy_loss_7class_AS_RELEASED_double_softmax"]["labels"]
    )
    model = srcmt(
        expected["softmax_mse_loss_7class"]["student_logits"],
        preset=preset,
        class_weight=expected["class_weight_isic"],
    )
    # The teacher is a copy, so that nothing else has a gradient yet.
    logs, [gradient] = gradients_of_a_step(model, pixels(4), y, run_eagerly)
    assert logs["supervised"] == pytest.approx(expected[reference]["value"], rel=1e-6)
    np.testing.assert_allclose(gradient, expected[reference]["grad"], atol=1e-6)


@pytest.mark.parametrize(
    ("preset", "classes", "outputs", "weight"),
    [
        ("as_released", "7class", "7class", "isic"),
        ("as_released", "3class_unit_weight", "3class_weight_1_1_5", (1, 1, 5)),
        ("as_described", "3class_unit_weight", "3class_unit_weight", (1, 1, 5)),
    ],
)
def test_the_consistency_of_src_mt_equals_the_reference(
    oracle, preset, classes, outputs, weight
):
    expected = oracle("srcmt_losses")
    inputs = expected[f"softmax_mse_loss_{classes}"]
    outputs = expected[f"softmax_mse_loss_{outputs}"]
    weight = expected["class_weight_isic"] if weight == "isic" else weight
    model = srcmt(
        inputs["student_logits"],
        teacher=[inputs["teacher_logits"]],
        preset=preset,
        class_weight=weight,
    )
    nothing = np.full(4, -1, "int32")
    with tf.GradientTape() as tape:
        _, found, _ = model.objective(pixels(4), nothing, training=True)
    [gradient] = tape.gradient(found["unsupervised"], model.trainable_weights)
    name = "sum_over_batch"
    value = outputs.get(name, outputs.get(f"train_script_value_{name}"))
    assert float(found["unsupervised"]) == pytest.approx(value, rel=1e-6)
    assert float(found["supervised"]) == 0
    np.testing.assert_allclose(gradient, outputs["grad_student"], atol=1e-6)


def test_the_relation_of_src_mt_equals_the_reference(oracle):
    expected = oracle("srcmt_losses")["relation_mse_loss"]
    last = np.random.default_rng(0).normal(size=(5, 3))
    model = srcmt(
        expected["activations"], last, teacher=[expected["ema_activations"], last]
    )
    with tf.GradientTape() as tape:
        _, found, _ = model.objective(pixels(4), np.full(4, -1), training=True)
    features, logits = tape.gradient(found["relation"], model.trainable_weights)
    value = expected["train_script_value_sum_over_batch"]
    assert float(found["relation"]) == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(features, expected["grad_activations"], atol=1e-6)
    assert logits is None


def test_the_released_gate_opens_at_70_percent_of_the_ramp(oracle):
    gate = oracle("ramps")["srcmt_gate"]
    ramp_up = schedules.GaussianRampUp(1.0, steps=30)

    def weights(model, step):
        found = model.loss_weights(step)
        return [float(found[f"{n}_weight"]) for n in ("unsupervised", "relation")]

    for loaded in (False, True):
        model = new("SRCMT", preset="as_released", unsupervised_weight=ramp_up)
        model = methods.SRCMT.from_config(model.get_config()) if loaded else model
        assert all(weights(model, epoch) == [0, 0] for epoch in range(21))
        opened = gate["weight_epoch_21"]
        assert weights(model, 21) == pytest.approx([opened, opened], rel=1e-6)
        assert weights(model, 30) == [1, 1]
    described = new("SRCMT", unsupervised_weight=ramp_up, relation_weight=0.5)
    unused = gate["weight_epoch_20_computed_but_unused"]
    assert weights(described, 20) == pytest.approx([unused, unused / 2], rel=1e-6)
    default = methods.SRCMT(tiny(), preset="as_released")
    assert weights(default, 535) == [0, 0]
    assert weights(default, 536) == pytest.approx([opened, opened], abs=2e-3)


@pytest.mark.parametrize("preset", ["as_described", "as_released"])
def test_after_the_first_step_the_teacher_is_the_student(batch, preset):
    x, y = batch
    model = new("SRCMT", preset=preset)
    before = model.network.get_weights()
    fit(model, x[:8], y[:8], epochs=1)
    pairs = zip(model.teacher.weights, model.network.weights, before, strict=True)
    for kept, moved, old in pairs:
        assert not moved.trainable or np.abs(moved.numpy() - old).max() > 0
        if moved.trainable or preset == "as_described":
            np.testing.assert_array_equal(kept, moved)


def test_src_mt_needs_a_network_that_ends_in_a_dense_layer():
    x = keras.Input(SHAPE)
    maps = layers.Conv2D(3, 3)(x)
    pooled = keras.Model(x, layers.GlobalAveragePooling2D(name="pool")(maps))
    with pytest.raises(ValueError, match="must be a dense one.*which ends in 'pool'"):
        methods.SRCMT(pooled)


def test_the_difference_of_src_mt_is_that_of_mean_teacher_times_the_classes(batch):
    network = tiny(dropout=0)
    found = []
    for method in (methods.SRCMT, methods.MeanTeacher):
        model = method(network, **STILL)
        model.teacher.set_weights([2 * w for w in network.get_weights()])
        _, values, _ = model.objective(*batch, training=False)
        found.append(float(values["unsupervised"]))
    assert found[0] == pytest.approx(3 * found[1], rel=1e-5)
    assert found[0] > 0


def test_labeled_images_count_in_every_consistency_loss():
    z = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    other = z[::-1].copy()
    expected = losses.mean_squared_difference(ops.softmax(z), ops.softmax(other))
    model = methods.MeanTeacher(answers(z), **STILL)
    model.teacher.set_weights([other])
    for y in ([-1] * 4, [0, 1, 2, 0]):
        _, found, _ = model.objective(pixels(4), np.array(y), training=True)
        assert float(found["unsupervised"]) == pytest.approx(float(expected), rel=1e-6)
