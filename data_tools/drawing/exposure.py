"""From what the body absorbs to an 8-bit film: noise, exposure, marker, border."""

import numpy as np

LETTERS = {
    "L": ("#....", "#....", "#....", "#....", "#....", "#....", "#####"),
    "R": ("####.", "#...#", "#...#", "####.", "#.#..", "#..#.", "#...#"),
}


def expose(rng, density, inside):
    """Returns the film, uint8 of the shape of `density`.

    Nothing here looks at the picture's content, so that brightness and contrast
    tell nothing about disease.

    Args:
        rng: The film's generator of random numbers.
        density: Float32 array, about 0 (air) to 1 (abdomen).
        inside: Boolean array, false where the collimator shut out the beam.
    """
    bias, gain, gamma, grain, black, ink = rng.uniform(
        (-0.06, 0.88, 0.8, 0.006, 0, 0.7), (0.06, 1.12, 1.25, 0.022, 0.06, 1)
    ).tolist()
    marker = letter(rng, len(density))
    # Drawn last: its length depends on the size, which must not move the rest.
    noise = grain * rng.standard_normal(density.shape, np.float32)
    density = soften(density) + noise * (0.6 + np.clip(density, 0, 1))
    film = np.clip(gain * density + bias, 0, 1) ** gamma
    film = np.where(inside, np.where(marker, ink, film), black)
    return np.rint(255 * film).astype(np.uint8)


def soften(picture):
    """Returns the picture blurred by a 3 x 3 binomial filter, as a detector would."""
    p = np.pad(picture, 1, mode="edge")
    p = p[:-2] + 2 * p[1:-1] + p[2:]
    return (p[:, :-2] + 2 * p[:, 1:-1] + p[:, 2:]) / 16


def collimation(rng, x, y):
    """Returns where the beam passed: a tilted rectangle, often the whole picture."""
    left, right, top, bottom = rng.uniform(0, 0.1, 4) * (rng.random(4) < 0.4)
    tilt = float(rng.normal(0, 0.015))
    u, v = x + tilt * y, y - tilt * x
    return (u > left - 1) & (u < 1 - right) & (v > top - 1) & (v < 1 - bottom)


def letter(rng, size):
    """Returns where the side marker lies: an L or R in its upper corner, or none."""
    name = "LR"[rng.integers(2)]
    shown = rng.random() < 0.8
    top, edge = rng.uniform((0.06, 0.05), (0.2, 0.16)).tolist()
    cell = max(1, size // 96)
    glyph = np.array([[dot == "#" for dot in row] for row in LETTERS[name]])
    glyph = glyph.repeat(cell, 0).repeat(cell, 1)
    height, width = glyph.shape
    first, column = int(top * size), int(edge * size)
    if name == "L":  # the patient's left is the picture's right
        column = size - column - width
    marker = np.zeros((size, size), bool)
    marker[first : first + height, column : column + width] = glyph & shown
    return marker
