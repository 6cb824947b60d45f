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


def test_gaussian_ramp_up_starts_at_zero_and_ends_at_its_peak():
    ramp_up = schedules.GaussianRampUp(peak=2.0, steps=100)
    values = [float(ramp_up(step)) for step in (0, 1, 50, 100, 1000)]
    assert values == pytest.approx([0, 0.0149, 0.573, 2, 2], abs=1e-3)


@pytest.mark.parametrize("ramp", [schedules.GaussianRampUp, schedules.LinearRampUp])
def test_a_ramp_survives_saving(ramp):
    stored = keras.saving.serialize_keras_object(ramp(peak=0.5, steps=10))
    loaded = keras.saving.deserialize_keras_object(stored)
    assert float(loaded(7)) == float(ramp(peak=0.5, steps=10)(7)) > 0


def test_value_at_takes_numbers_and_any_keras_schedule():
    assert float(schedules.value_at(0.3, 5)) == pytest.approx(0.3)
    decay = keras.optimizers.schedules.PolynomialDecay(1.0, 10, end_learning_rate=0.0)
    assert float(schedules.value_at(decay, 5)) == pytest.approx(0.5)


def test_negative_steps_are_refused():
    with pytest.raises(ValueError, match="steps=-1"):
        schedules.GaussianRampUp(1.0, -1)
