"""Macro metrics against scikit-learn, tensorflow-addons and themselves."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics as sk

from sskeras.metrics import ConfusionMatrix, MacroF, MacroPrecision, MacroRecall

MACRO = {
    MacroPrecision: sk.precision_score,
    MacroRecall: sk.recall_score,
    MacroF: sk.f1_score,
}

# 60 rows of 3 logits, by formula, so that other software can be given the same.
i = np.arange(60)
LABELS = (i**2 + i // 4) % 3
j = np.arange(180)
LOGITS = np.round(2 * np.sin(0.37 * j**2 + 0.11 * j + 0.3), 6).reshape(60, 3)
WEIGHTS = (1.0 + i % 5).astype("float32")

# tensorflow-addons 0.23.0 with tensorflow-cpu 2.15.1 on Python 3.11:
#   metric = tfa.metrics.F1Score(3, average="macro")    # then average=None
#   metric.update_state(np.eye(3)[LABELS], softmax(LOGITS), sample_weight=...)
# "never": the third column of the probabilities set to 0.
ADDONS = {
    "plain": (0.326627641916275, [0.3636363446712494, 0.2352941334247589, 0.3809524]),
    "weighted": (0.3123692572116852, [0.38356164097, 0.1702127605676651, 0.383333325]),
    "never": (0.24646465480327606, [0.4727272689342499, 0.2666666805744171, 0.0]),
}


def sklearn_scores(y, logits, weight=None):
    options = {
        "labels": range(logits.shape[1]),
        "average": "macro",
        "zero_division": 0,
        "sample_weight": weight,
    }
    return {kind: f(y, logits.argmax(1), **options) for kind, f in MACRO.items()}


@pytest.mark.parametrize("case", ADDONS)
def test_f_equals_tensorflow_addons(case):
    weight = WEIGHTS if case == "weighted" else None
    logits = LOGITS - [0, 0, 9] if case == "never" else LOGITS
    macro, per_class = ADDONS[case]
    assert float(MacroF(3)(LABELS, logits, weight)) == pytest.approx(macro, abs=1e-6)
    counts = ConfusionMatrix(3)(LABELS, logits, weight).numpy()
    f = 2 * counts.diagonal() / (counts.sum(0) + counts.sum(1))
    np.testing.assert_allclose(f, per_class, atol=1e-6)


@pytest.mark.parametrize("weight", [None, WEIGHTS])
@pytest.mark.parametrize("absent", [None, 1])
@pytest.mark.parametrize("never_predicted", [None, 2])
def test_equals_scikit_learn(weight, absent, never_predicted):
    y = np.where(absent == LABELS, 0, LABELS)
    logits = LOGITS.copy()
    if never_predicted is not None:
        logits[:, never_predicted] = -9
    for kind, expected in sklearn_scores(y, logits, weight).items():
        assert float(kind(3)(y, logits, weight)) == pytest.approx(expected, abs=1e-6)
    expected = sk.confusion_matrix(y, logits.argmax(1), sample_weight=weight)
    if absent is None:
        np.testing.assert_allclose(ConfusionMatrix(3)(y, logits, weight), expected)


def test_probabilities_and_logits_agree():
    probabilities = keras.ops.softmax(LOGITS)
    assert float(MacroF(3)(LABELS, probabilities)) == float(MacroF(3)(LABELS, LOGITS))


def test_rows_are_the_truth():
    counts = ConfusionMatrix(2)([0, 0, 0, 1], [[0, 1], [0, 1], [1, 0], [0, 1]])
    np.testing.assert_array_equal(counts, [[1, 2], [0, 1]])


@pytest.mark.parametrize("weight", [None, WEIGHTS])
def test_unlabeled_rows_are_not_counted(weight):
    y = np.where(i % 4 == 0, -1, LABELS)
    known = y >= 0
    kept = None if weight is None else weight[known]
    for kind, expected in sklearn_scores(y[known], LOGITS[known], kept).items():
        assert float(kind(3)(y, LOGITS, weight)) == pytest.approx(expected, abs=1e-6)
        # As `Method` hands them on: clipped, with weight 0.
        clipped = kind(3)(np.maximum(y, 0), LOGITS, known * 1.0)
        assert float(clipped) == pytest.approx(float(kind(3)(y, LOGITS)), abs=1e-6)


def test_nothing_labeled_gives_zero():
    for kind in MACRO:
        assert float(kind(3)(np.full(60, -1), LOGITS)) == 0


@pytest.mark.parametrize("kind", [*MACRO, ConfusionMatrix])
def test_streaming_equals_one_batch_and_reset_forgets(kind):
    metric, whole = kind(3), kind(3)
    metric(LABELS[::-1], LOGITS)
    metric.reset_state()
    for part in np.split(i, [7, 8, 40]):
        metric.update_state(LABELS[part][:, None], LOGITS[part], WEIGHTS[part])
    np.testing.assert_allclose(metric.result(), whole(LABELS, LOGITS, WEIGHTS))


@pytest.mark.parametrize("kind", [*MACRO, ConfusionMatrix])
def test_config_round_trip(kind):
    metric = kind(3, name="mine")
    stored = keras.saving.serialize_keras_object(metric)
    assert stored["registered_name"] == f"sskeras>{kind.__name__}"
    again = keras.saving.deserialize_keras_object(stored)
    assert (again.name, again.num_classes) == ("mine", 3)
    np.testing.assert_array_equal(again(LABELS, LOGITS), metric(LABELS, LOGITS))


@pytest.mark.parametrize("kind", [*MACRO, ConfusionMatrix])
def test_xla_equals_eager(kind):
    metric = kind(3)

    @tf.function(jit_compile=True)
    def step(y, logits, weight):
        metric.update_state(y, logits, weight)
        return metric.result()

    y = np.where(i % 4 == 0, -1, LABELS)
    np.testing.assert_allclose(
        step(y, LOGITS.astype("float32"), WEIGHTS), kind(3)(y, LOGITS, WEIGHTS), 1e-6
    )


def test_half_precision_keeps_every_digit_of_the_counts():
    weight = np.full(60, 33 / 433)
    floatx = keras.config.floatx()
    keras.config.set_floatx("bfloat16")
    try:
        counts = ConfusionMatrix(3)(LABELS, LOGITS, weight)
    finally:
        keras.config.set_floatx(floatx)
    np.testing.assert_allclose(np.sum(counts), 60 * 33 / 433, rtol=1e-6)


def test_fit_evaluate_and_load(tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Softmax()(inputs))
    model.compile(
        loss="sparse_categorical_crossentropy",
        weighted_metrics=[kind(3) for kind in (*MACRO, ConfusionMatrix)],
    )
    model.fit(LOGITS, LABELS, sample_weight=WEIGHTS, batch_size=16, verbose=0)
    model.save(tmp_path / "m.keras")
    model = keras.models.load_model(tmp_path / "m.keras")
    logs = model.evaluate(
        LOGITS, LABELS, 16, sample_weight=WEIGHTS, verbose=0, return_dict=True
    )
    for kind, expected in sklearn_scores(LABELS, LOGITS, WEIGHTS).items():
        assert logs[kind(3).name] == pytest.approx(expected, abs=1e-6)
    assert np.sum(logs["confusion_matrix"]) == pytest.approx(WEIGHTS.sum())


REPLICAS = """
import numpy as np, tensorflow as tf
from sskeras.metrics import ConfusionMatrix
cpu = tf.config.list_physical_devices("CPU")[0]
half = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(cpu, [half, half])
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    metric = ConfusionMatrix(2)
y = tf.constant([0, 0, 1, -1, 1, 1, 0, 1])
data = tf.data.Dataset.from_tensor_slices((y, tf.eye(2, 2, [8])[:, 0])).batch(4)
step = tf.function(lambda batch: strategy.run(metric.update_state, batch))
for batch in strategy.experimental_distribute_dataset(data):
    step(batch)
np.testing.assert_array_equal(metric.result(), [[3, 0], [4, 0]])
"""


def test_two_replicas_sum_their_counts():
    command = [sys.executable, "-c", REPLICAS]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_label_outside_the_classes_shows():
    for kind in MACRO:
        assert np.isnan(kind(3)([0, 1, 3], LOGITS[:3]))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"made for 4 classes.*\(60, 3\)"):
        MacroF(4)(LABELS, LOGITS)
    with pytest.raises(ValueError, match="num_classes=1"):
        MacroF(1)
