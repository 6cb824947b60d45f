"""Small shapes and textures from which the drawings are made."""

import math

import numpy as np

TABLE = np.linspace(-2, 2, 1024, dtype=np.float32)


def uniform(rng, *ranges):
    """Returns one draw per `(low, high)` as a Python float.

    NumPy's own float64 scalars would turn float32 arrays into float64.
    """
    values = [float(rng.uniform(low, high)) for low, high in ranges]
    return values[0] if len(values) == 1 else values


def step(distance, softness):
    """Returns 0 where `distance` is negative, 1 where positive, smooth between."""
    t = distance * (0.5 / softness) + 0.5
    np.clip(t, 0, 1, out=t)
    return t * t * (3 - 2 * t)


def bump(square):
    """Returns 1 where `square` is 0, falling smoothly to 0 at 1."""
    return np.clip(1 - square, 0, 1) ** 2


def look_up(values, at):
    """Returns the function tabulated over `TABLE` at every point of `at`."""
    index = (at + 2) * ((len(TABLE) - 1) / 4)
    return values.take(index.astype(np.int32), mode="clip")


def waves(rng, x, y, frequency):
    """Returns a smooth random texture of mean 0 and standard deviation 1."""
    total = np.zeros_like(x)
    for _ in range(5):
        angle, phase, pitch = uniform(rng, (0, 6.2832), (0, 6.2832), (0.6, 1.4))
        k = frequency * pitch
        total += np.sin(k * math.cos(angle) * x + k * math.sin(angle) * y + phase)
    return total * 0.4**0.5
