"""λ(t): how the weight of a consistency loss grows during training.

Wherever a method takes a weight, it accepts a number, one of these, or any
`keras.optimizers.schedules.LearningRateSchedule`, called with the training step.
"""

import keras
from keras import ops


def value_at(weight, step):
    """Returns a weight at a step: a number stays, a schedule is called.

    Args:
        weight: Float or schedule.
        step: Integer scalar, training steps done so far.

    Returns:
        Float scalar tensor.
    """
    if callable(weight):
        weight = weight(step)
    return ops.cast(weight, "float32")


def gaussian_ramp(t, length):
    """exp(-5 (1 - t/T)²) for t < T, then 1.

    Args:
        t: Scalar, the time.
        length: T, in the unit of `t`. 0 gives 1 everywhere.

    Returns:
        Float scalar tensor between 0.0067 (at t = 0) and 1.

    Reference:
        Laine & Aila, "Temporal Ensembling for Semi-Supervised Learning" (2017),
        section 3.1.
    """
    return ops.exp(-5.0 * ops.square(1.0 - _progress(t, length)))


def linear_ramp(t, length):
    """t/T for t < T, then 1. See `gaussian_ramp` for the arguments."""
    return _progress(t, length)


def _progress(t, length):
    if length == 0:
        return ops.ones_like(ops.cast(t, "float32"))
    return ops.clip(ops.cast(t, "float32") / length, 0.0, 1.0)


class _RampUp(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, peak, steps):
        if not isinstance(peak, (int, float)) or peak < 0 or steps < 0:
            raise ValueError(
                "`peak` and `steps` must be numbers that are not negative. "
                f"Received: peak={peak!r}, steps={steps}"
            )
        self.peak = peak
        self.steps = steps

    def get_config(self):
        return {"peak": self.peak, "steps": self.steps}

    def __repr__(self):
        return f"{type(self).__name__}(peak={self.peak}, steps={self.steps})"


@keras.saving.register_keras_serializable("sskeras")
class GaussianRampUp(_RampUp):
    """`peak` times `gaussian_ramp`; 0 at step 0, as the paper's text asks.

    Args:
        peak: λ after the ramp.
        steps: Length of the ramp in training steps.

    Example:
    >>> GaussianRampUp(peak=1.0, steps=100)(50)  # exp(-5/4) = 0.2865
    """

    def __call__(self, step):
        ramp = gaussian_ramp(step, self.steps)
        return self.peak * ops.where(ops.equal(step, 0), 0.0, ramp)


@keras.saving.register_keras_serializable("sskeras")
class LinearRampUp(_RampUp):
    """`peak` times `linear_ramp`.

    Args:
        peak: λ after the ramp.
        steps: Length of the ramp in training steps.
    """

    def __call__(self, step):
        return self.peak * linear_ramp(step, self.steps)
