"""λ(t) against reference values."""

import keras
import pytest

from sskeras import schedules


def test_gaussian_ramp_equals_the_reference(oracle):
    for row in oracle("ramps")["sigmoid_rampup"]:
        value = float(schedules.gaussian_ramp(row["current"], row["length"]))
        assert value == pytest.approx(row["value"], abs=1e-6), row


def test_linear_ramp_equals_the_reference(oracle):
    for row in oracle("ramps")["linear_rampup"]:
        value = float(schedules.linear_ramp(row["current"], row["length"]))
        assert value == pytest.approx(row["value"], abs=1e-6), row


def test_cosine_ramp_down_equals_the_reference(oracle):
    for row in oracle("ramps")["cosine_rampdown"]:
        value = float(schedules.cosine_ramp_down(row["current"], row["length"]))
        assert value == pytest.approx(row["value"], abs=1e-6), row


def test_ramps_of_temporal_ensembling_equal_the_reference(oracle):
    expected = oracle("ramps")
    for row in expected["tempens_rampup_len80"]:
        value = float(schedules.gaussian_ramp(row["epoch"], 80))
        assert value == pytest.approx(row["value"], abs=1e-6), row
    for row in expected["tempens_rampdown_len50_of_300"]:
        value = float(schedules.gaussian_ramp_down(row["epoch"], 300, 50))
        assert value == pytest.approx(row["value"], rel=1e-5), row
    learning_rate = schedules.GaussianRampUpDown(0.003, steps=300, up=80, down=50)
    for row in expected["tempens_lr_beta1"]:
        value = float(learning_rate(row["epoch"]))
        assert value == pytest.approx(row["lr"], rel=1e-5), row


def test_ramp_down_of_mean_teacher_equals_the_reference(oracle):
    for row in oracle("ramps")["tf_mt_sigmoid_rampdown_25000_of_150000"]:
        value = float(schedules.gaussian_ramp_down(row["step"], 150_000, 25_000))
        assert value == pytest.approx(row["value"], rel=1e-5), row


def test_fixmatch_decay_and_its_warm_up_equal_the_reference(oracle):
    for row in oracle("ramps")["usb_cosine_lr"]:
        schedule = schedules.FixMatchDecay(2.0, row["total"], row["warmup"])
        value = float(schedule(row["step"]))
        assert value == pytest.approx(2 * row["value"], abs=1e-6), row


def test_a_ramp_that_starts_late_jumps_onto_its_curve(oracle):
    gate = oracle("ramps")["srcmt_gate"]
    late = schedules.GaussianRampUp(1.0, steps=30, start=21)
    assert [float(late(epoch)) for epoch in (0, 1, 20)] == [0, 0, 0]
    assert float(late(21)) == pytest.approx(gate["weight_epoch_21"], abs=1e-6)
    whole = float(schedules.GaussianRampUp(1.0, steps=30)(20))
    assert whole == pytest.approx(gate["weight_epoch_20_computed_but_unused"], abs=1e-6)


def test_gaussian_ramp_up_starts_at_zero_and_ends_at_its_peak():
    ramp_up = schedules.GaussianRampUp(peak=2.0, steps=100)
    values = [float(ramp_up(step)) for step in (0, 1, 50, 100, 1000)]
    assert values == pytest.approx([0, 0.0149, 0.573, 2, 2], abs=1e-3)


SCHEDULES = [
    schedules.GaussianRampUp(peak=0.5, steps=10, start=3),
    schedules.LinearRampUp(peak=0.5, steps=10),
    schedules.GaussianRampUpDown(peak=0.5, steps=10, up=4, down=5),
    schedules.CosineRampDown(peak=0.5, steps=12),
    schedules.FixMatchDecay(peak=0.5, steps=10, warm_up=2),
]


@pytest.mark.parametrize("ramp", SCHEDULES, ids=repr)
def test_a_schedule_survives_saving(ramp):
    stored = keras.saving.serialize_keras_object(ramp)
    loaded = keras.saving.deserialize_keras_object(stored)
    assert repr(loaded) == repr(ramp)
    values = [float(loaded(step)) for step in range(11)]
    assert values == [float(ramp(step)) for step in range(11)]
    assert max(values) <= 0.5
    assert len(set(values)) > 3


@pytest.mark.parametrize("ramp", SCHEDULES, ids=repr)
def test_a_schedule_is_a_learning_rate_too(ramp):
    weight = keras.Variable([1.0])
    optimizer = keras.optimizers.SGD(ramp)
    for step in range(6):
        before = float(weight[0])
        optimizer.apply([keras.ops.ones(1)], [weight])
        moved = before - float(weight[0])
        assert moved == pytest.approx(float(ramp(step)), abs=1e-6)


def test_value_at_takes_numbers_and_any_keras_schedule():
    assert float(schedules.value_at(0.3, 5)) == pytest.approx(0.3)
    decay = keras.optimizers.schedules.PolynomialDecay(1.0, 10, end_learning_rate=0.0)
    assert float(schedules.value_at(decay, 5)) == pytest.approx(0.5)


def test_negative_steps_are_refused():
    with pytest.raises(ValueError, match="steps=-1"):
        schedules.GaussianRampUp(1.0, -1)
