"""The bones of a chest film. Coordinates and arguments as in `anatomy`."""

import numpy as np

from data_tools.drawing.shapes import TABLE, bump, look_up, step, uniform


def vertebrae(rng, lungs, y):
    """Returns the spine: bodies, discs and the pairs of pedicles."""
    pitch, offset, strength = uniform(rng, (46, 54), (0, 6), (0.5, 0.85))
    level = np.sin(pitch * y + offset)
    bodies = 0.7 + 0.3 * np.tanh(3 * level)
    pedicles = bump(((lungs.r - 0.045) / 0.02) ** 2) * np.clip(level, 0, 1)
    return strength * step(0.075 - lungs.r, 0.015) * (bodies + 0.5 * pedicles)


def ribs(rng, lungs, y):
    """Returns back ribs, which fall outwards, and front ribs, which fall inwards."""
    r = lungs.r
    fall, rise, front = uniform(rng, (0.4, 0.6), (0.08, 0.18), (0.4, 0.6))
    tilt = float(rng.normal(0, 0.015))
    level = y + tilt * np.sign(lungs.spine)
    back = look_up(ladder(rng, 0.13, 0.027), level + rise * r - fall * r * r)
    anterior = look_up(ladder(rng, 0.15, 0.034), level + front * r + 0.3 * r * r)
    cage = step(lungs.wall + 0.03 - r, 0.015)
    back *= 0.4 + 0.6 * step(r - 0.12, 0.05)
    anterior *= step(r - 0.3, 0.12)
    edge = bump(((r - lungs.wall - 0.012) / 0.025) ** 2) * step(lungs.t - 0.1, 0.1)
    visible = 0.25 + 0.75 * step(lungs.above + 0.03, 0.03)
    visible = visible * step(1.35 - lungs.t, 0.15)
    return (cage * (back + 0.5 * anterior) + 0.6 * edge) * visible


def ladder(rng, spacing, width):
    """Returns the profile of a row of ribs: bright borders, paler marrow."""
    centers = np.arange(-0.9, 1.3, spacing * uniform(rng, (0.92, 1.08)))
    centers += rng.normal(0, 0.006, len(centers)) + rng.uniform(0, spacing)
    nearest = np.abs(TABLE[:, None] - centers.astype(np.float32)).min(1) / width
    return np.exp(-(nearest**4)) * (0.6 + 0.7 * nearest**2)


def clavicles(rng, lungs, y):
    """Returns the collar bones, two shallow S curves."""
    r = lungs.r
    height, lift, sway = uniform(rng, (-0.66, -0.54), (0.1, 0.35), (0.015, 0.045))
    tilt = float(rng.normal(0, 0.02))
    center = height - lift * (r - 0.1) + sway * np.sin(7 * r)
    d = ((y - center - tilt * np.sign(lungs.spine)) / 0.034) ** 2
    return np.exp(-d * d) * (0.6 + 0.6 * d) * step(r - 0.07, 0.03)


def shoulders(rng, x, y):
    """Returns the shoulder blades and the heads of the arms."""
    place, slope, strength = uniform(rng, (0.62, 0.8), (0.15, 0.35), (0.3, 1))
    r = np.abs(x)
    blade = step(r - place - slope * (y + 0.4), 0.03) * step(-y, 0.15)
    blade *= step(y - 0.7 * (r - 1) + 0.75, 0.05)
    head = step(1 - ((r - 1.0) / 0.2) ** 2 - ((y + 0.55) / 0.2) ** 2, 0.3)
    return strength * np.maximum(0.6 * blade, head)
