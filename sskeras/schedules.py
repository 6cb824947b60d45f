"""λ(t), how the weight of a loss grows, and the learning rates of the papers.

Wherever a method takes a weight, it accepts a number, one of these, or any
`keras.optimizers.schedules.LearningRateSchedule`, called with the training step. All
of them are such schedules, so that an optimizer takes them too.
"""

import math

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


def gaussian_ramp_down(t, end, length):
    """exp(-12.5 (1 - (T_end - t)/T)²) during the last T before T_end, 1 before.

    Args:
        t: Scalar, the time.
        end: T_end, the end of the training.
        length: T, in the unit of `t`.

    Returns:
        Float scalar tensor between 1 and 3.7e-6 (at the end).

    Reference:
        Laine & Aila (2017), appendix; Tarvainen & Valpola (2017), appendix.
    """
    return ops.exp(-12.5 * ops.square(_progress(t - (end - length), length)))


def cosine_ramp_down(t, length):
    """(cos(πt/T) + 1)/2 for t < T, then 0. See `gaussian_ramp` for the arguments.

    Reference:
        Loshchilov & Hutter, "SGDR" (2017), used by mean teacher with a T beyond the end
        of the training.
    """
    return 0.5 * (ops.cos(math.pi * _progress(t, length)) + 1.0)


def fixmatch_decay(t, end, warm_up=0):
    """cos(7π/16 · t/T), which ends at 0.195, after a linear warm-up.

    Args:
        t: Scalar, the time.
        end: The end of the training.
        warm_up: Time before the decay, spent on growing from 0 to 1.

    Returns:
        Float scalar tensor.

    Reference:
        Sohn et al., "FixMatch" (2020), section 2.4; the warm-up is that of USB (2022).
    """
    decay = ops.cos(7 * math.pi / 16 * _progress(t - warm_up, end - warm_up))
    return linear_ramp(t, warm_up) * decay


def _progress(t, length):
    if length == 0:
        return ops.ones_like(ops.cast(t, "float32"))
    return ops.clip(ops.cast(t, "float32") / length, 0.0, 1.0)


class _Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Keeps its numbers, which must not be negative, under their names."""

    def __init__(self, **numbers):
        wrong = [n for n in numbers.values() if not isinstance(n, (int, float))]
        if wrong or min(numbers.values()) < 0:
            names = " and ".join(f"`{name}`" for name in numbers)
            received = ", ".join(f"{name}={n!r}" for name, n in numbers.items())
            raise ValueError(
                f"{names} must be numbers that are not negative. Received: {received}"
            )
        self.numbers = numbers
        vars(self).update(numbers)

    def get_config(self):
        return dict(self.numbers)

    def __repr__(self):
        arguments = ", ".join(f"{name}={n}" for name, n in self.numbers.items())
        return f"{type(self).__name__}({arguments})"


@keras.saving.register_keras_serializable("sskeras")
class GaussianRampUp(_Schedule):
    """`peak` times `gaussian_ramp`; 0 at step 0, as the paper's text asks.

    Args:
        peak: λ after the ramp.
        steps: Length of the ramp in training steps.
        start: Step before which λ is 0. It then jumps onto the ramp, which runs since
            step 0.

    Example:
    >>> GaussianRampUp(peak=1.0, steps=100)(50)  # exp(-5/4) = 0.2865
    """

    def __init__(self, peak, steps, start=1):
        super().__init__(peak=peak, steps=steps, start=start)

    def __call__(self, step):
        ramp = gaussian_ramp(step, self.steps)
        return self.peak * ops.where(ops.less(step, self.start), 0.0, ramp)


@keras.saving.register_keras_serializable("sskeras")
class LinearRampUp(_Schedule):
    """`peak` times `linear_ramp`.

    Args:
        peak: λ after the ramp.
        steps: Length of the ramp in training steps.
    """

    def __init__(self, peak, steps):
        super().__init__(peak=peak, steps=steps)

    def __call__(self, step):
        return self.peak * linear_ramp(step, self.steps)


@keras.saving.register_keras_serializable("sskeras")
class GaussianRampUpDown(_Schedule):
    """The learning rate of the Π-model and of temporal ensembling.

    Args:
        peak: Learning rate between the ramps; the paper's is 0.003.
        steps: Steps of the whole training.
        up: Steps of the ramp-up; the paper's is 80/300 of the training.
        down: Steps of the ramp-down; the paper's is 50/300 of the training.
    """

    def __init__(self, peak, steps, up, down):
        super().__init__(peak=peak, steps=steps, up=up, down=down)

    def __call__(self, step):
        ramps = gaussian_ramp(step, self.up) * gaussian_ramp_down(
            step, self.steps, self.down
        )
        return self.peak * ramps


@keras.saving.register_keras_serializable("sskeras")
class CosineRampDown(_Schedule):
    """The learning rate of mean teacher: `peak` times `cosine_ramp_down`.

    Args:
        peak: Learning rate at step 0.
        steps: Step at which 0 is reached; in the paper a sixth beyond the training.
    """

    def __init__(self, peak, steps):
        super().__init__(peak=peak, steps=steps)

    def __call__(self, step):
        return self.peak * cosine_ramp_down(step, self.steps)


@keras.saving.register_keras_serializable("sskeras")
class FixMatchDecay(_Schedule):
    """The learning rate of FixMatch and its family: `peak` times `fixmatch_decay`.

    Args:
        peak: Learning rate at step 0, or after the warm-up.
        steps: Steps of the whole training.
        warm_up: Steps of the linear warm-up.
    """

    def __init__(self, peak, steps, warm_up=0):
        super().__init__(peak=peak, steps=steps, warm_up=warm_up)

    def __call__(self, step):
        return self.peak * fixmatch_decay(step, self.steps, self.warm_up)
