"""The parts of a frontal chest film, as functions of patient coordinates.

Coordinates: `x` runs from -1 to 1 across the picture (negative is the patient's
right), `y` from -1 (neck) to 1 (abdomen). Each function takes a generator of random
numbers and float32 arrays of one shape, and returns such an array.
"""

import math

import numpy as np

from data_tools.drawing import bones
from data_tools.drawing.shapes import bump, look_up, step, uniform


def position(rng, x, y):
    """Returns patient coordinates: the film is a little turned, shifted, scaled."""
    angle, dx, dy, zoom = rng.normal(0, (0.035, 0.03, 0.03, 0.04)).tolist()
    c, s = (1 + zoom) * math.cos(angle), (1 + zoom) * math.sin(angle)
    return c * x + s * y + dx, c * y - s * x + dy


def chest(person, film, x, y):
    """Draws a healthy chest.

    Args:
        person: Generator of what belongs to the patient.
        film: Generator of what belongs to this film alone.
        x: Float32 array of patient coordinates.
        y: The same.

    Returns:
        `density`, about 0 (outside) to 1 (abdomen), `gas`, how much denser each
        pixel would be if fluid filled the lung, and the `Lungs`.
    """
    breath = -0.14 if film.random() < 0.15 else float(film.normal(0, 0.02))
    lungs = Lungs(person, x, y, breath)
    tissue = body(person, x, y, lungs)
    center = np.maximum(heart(person, lungs, y), great_vessels(person, lungs, y))
    density = 0.24 * np.maximum(0.75 * center, abdomen(person, x, lungs))
    density += 0.13 * bones.ribs(person, lungs, y)
    density += 0.07 * bones.vertebrae(person, lungs, y)
    density += 0.13 * bones.clavicles(person, lungs, y)
    density += 0.1 * bones.shoulders(person, x, y)
    density += accessories(film, x, y)
    density -= 0.12 * windpipe(person, lungs, y)
    density = tissue + density * np.clip(3 * tissue, 0, 1)
    gas = lungs.field * (1 - 0.85 * center)
    gas *= np.clip(0.5 - 0.22 * vessels(person, lungs, y), 0.02, None)
    return density - gas, gas, lungs


class Lungs:
    """The two lung fields and the lines that bound them.

    Attributes:
        spine: Distance from the spine, negative on the patient's right.
        r: The same without sign.
        right: Boolean, the patient's right half (the picture's left).
        t: Height within the lung, 0 at the apex and 1 at the dome.
        wall: `r` of the rib cage at the pixel's height.
        above: Height above the diaphragm, negative below it.
        field: Depth of the lung from 0 to 1.
    """

    def __init__(self, rng, x, y, inspiration):
        bend = float(rng.normal(0, 0.05 if rng.random() < 0.2 else 0.01))
        self.spine = x - bend * np.sin(2.5 * y + uniform(rng, (0, 6)))
        self.right = self.spine < 0
        self.r = r = np.abs(self.spine)
        width, apex, dome = uniform(rng, (0.68, 0.84), (-0.84, -0.72), (0.32, 0.48))
        lower, fall, peak = uniform(rng, (0, 0.08), (0.9, 2.0), (0.28, 0.4))
        bottom = dome + inspiration + np.float32(lower) * ~self.right
        self.t = t = (y - apex) / (bottom - apex)
        inner = np.clip(1 - t, 0, 1)
        self.wall = width * (1 - inner**2.4) ** 0.55
        outwards = r - peak
        drop = np.where(outwards > 0, np.float32(fall), np.float32(0.5))
        self.above = bottom + drop * outwards**2 - y
        medial = uniform(rng, (0.07, 0.1)) + 1.2 * np.clip(0.25 - t, 0, 1) ** 2
        self.field = step(self.wall - r, 0.02) * step(r - medial, 0.03)
        self.field *= step(self.above, 0.02)
        self.field *= 0.7 + 0.3 * step(self.wall - r - 0.14, 0.16)


def body(rng, x, y, lungs):
    """Returns the soft tissue of neck, shoulders, chest wall and abdomen."""
    r = np.abs(x)
    fat, sag, neck = uniform(rng, (0, 1), (0.1, 0.35), (0.22, 0.3))
    shoulder = sag * r * r - 0.98
    trunk = 0.82 + 0.14 * fat + 0.5 * step(-0.3 - y, 0.25) + 0.05 * step(y - 0.5, 0.4)
    inside = np.maximum(step(y - shoulder, 0.08), step(neck - r, 0.06))
    inside *= step(trunk - r, 0.02)
    depth = np.sqrt(np.clip(1 - (r / trunk) ** 2, 0, 1))
    return inside * (0.32 + 0.1 * fat + 0.26 * depth + breasts(rng, r, y))


def breasts(rng, r, y):
    """Returns the shadows of the breasts, in half of the patients."""
    size, height, apart = uniform(rng, (0.26, 0.38), (0.05, 0.25), (0.36, 0.48))
    strength = uniform(rng, (-0.12, 0.12))
    d = ((r - apart) / size) ** 2 + ((y - height) / size) ** 2
    return max(strength, 0) * step(1 - d, 0.15) * step(y - height + 0.2, 0.35)


def abdomen(rng, x, lungs):
    """Returns what lies below the diaphragm, with the gas of the stomach."""
    px, depth, size, gas = uniform(rng, (0.2, 0.42), (0.08, 0.16), (0.08, 0.16), (0, 1))
    d = ((x - px) / size) ** 2 + ((lungs.above + depth) / (0.45 * size)) ** 2
    return step(-lungs.above, 0.02) - 0.9 * gas * step(1 - d, 0.4)


def heart(rng, lungs, y):
    """Returns the heart, which leans to the patient's left, from 0 to 1."""
    top, span, left = uniform(rng, (-0.34, -0.24), (0.62, 0.76), (0.2, 0.38))
    right, shape = uniform(rng, (0.04, 0.1), (1.2, 1.8))
    s = np.clip((y - top) / span, 0, 1.3)
    left_border = 0.08 + left * np.sin(np.pi / 2 * np.minimum((s / 0.85) ** shape, 1.5))
    right_border = 0.08 + right * np.sin(np.pi * np.clip(s - 0.1, 0, 1))
    x = lungs.spine
    return step(left_border - x, 0.025) * step(x + right_border, 0.025) * step(s, 0.1)


def great_vessels(rng, lungs, y):
    """Returns the upper mediastinum with the aortic knob, from 0 to 1."""
    x = lungs.spine
    width, knob_y, knob = uniform(rng, (0.08, 0.12), (-0.44, -0.34), (0.05, 0.08))
    flare = 0.05 * np.clip(-0.5 - y, 0, 1)
    d = ((x - 0.08) / knob) ** 2 + ((y - knob_y) / 0.12) ** 2
    return np.maximum(step(width + flare - lungs.r, 0.03), step(1 - d, 0.4))


def windpipe(rng, lungs, y):
    """Returns the air of the windpipe and the two main bronchi, from 0 to 1."""
    fork = uniform(rng, (-0.3, -0.2))
    trunk = step(0.04 - np.abs(lungs.spine + 0.01), 0.02) * step(fork - y, 0.03)
    branch = step(0.03 - np.abs(lungs.r - 0.8 * (y - fork)), 0.025)
    return trunk + 0.6 * branch * step(y - fork, 0.03) * step(fork + 0.16 - y, 0.05)


def vessels(rng, lungs, y):
    """Returns the vascular markings, which fan out from the two hila."""
    strength, height = uniform(rng, (0.6, 1.4), (-0.1, 0))
    dx, dy = lungs.r - 0.15, y - height
    rho = np.sqrt(dx * dx + dy * dy) + 1e-3
    theta = np.arctan2(dy, dx) * 0.6  # -1.9 to 1.9
    total = np.zeros_like(y)
    for turn in (0.6, -0.9):
        spokes = np.repeat(rng.random(128).astype(np.float32) ** 5, 8)
        spokes = (np.roll(spokes, 4) + 2 * spokes + np.roll(spokes, -4)) / 4
        total += look_up(spokes, theta + turn * rho + np.float32(0.02) * lungs.right)
    fade = np.clip(1 - rho / 0.75, 0, 1) * step(rho - 0.03, 0.05)
    hilum = np.exp(-((dx / 0.06) ** 2) - (dy / 0.13) ** 2)
    return strength * (total * fade + 0.8 * hilum)


def accessories(rng, x, y):
    """Returns wires and the shadows of nipples, each in some of the films."""
    total = np.zeros_like(x)
    for _ in range(rng.choice(4, p=(0.75, 0.1, 0.1, 0.05))):
        a, b, c = uniform(rng, (-0.9, 0.9), (-0.9, 0.9), (0, 0.3))
        turn, phase = uniform(rng, (1, 4), (0, 6))
        width = 0.018 * math.sqrt(1 + b * b)
        offset = y - a - b * x - c * np.sin(turn * x + phase)
        total += 0.25 * bump((offset / width) ** 2)
    px, py, size, shown = uniform(rng, (0.36, 0.5), (0.2, 0.34), (0.03, 0.05), (0, 1))
    if shown < 0.2:
        total += 0.09 * bump(((np.abs(x) - px) ** 2 + (y - py) ** 2) / size**2)
    return total
