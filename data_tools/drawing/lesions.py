"""What disease does to the air of the lungs, by stage."""

import numpy as np

from data_tools.drawing.shapes import step, uniform, waves

STAGES = ("early", "developed", "late")


def normal(rng, stage, lungs, x, y):
    """Returns zeros: nothing fills the air."""
    return np.zeros_like(x)


def pneumonia(rng, stage, lungs, x, y):
    """Returns the share of air that a lobar consolidation fills, 0 to 1.

    One lobe on one side: dense, sharp where a fissure bounds it.
    """
    peak, reach = {
        "early": (0.26, 0.16),
        "developed": (0.6, 0.34),
        "late": (0.88, 0.6),
    }[stage]
    side = lungs.right == (rng.random() < 0.5)
    upper = rng.random() < 0.4
    middle = 0.3 if upper else 0.85
    center_r, center_t, fissure, slope = uniform(
        rng, (0.25, 0.5), (middle - 0.12, middle + 0.12), (0.45, 0.68), (-0.25, 0.25)
    )
    sharpness, size, strength = uniform(rng, (0.015, 0.06), (0.8, 1.2), (0.8, 1.15))
    above = fissure + slope * lungs.r - lungs.t
    lobe = step(above if upper else -above, sharpness)
    distance = np.hypot(lungs.r - center_r, 0.9 * (lungs.t - center_t))
    ragged = 1 + 0.22 * waves(rng, x, y, 14)
    extent = step(reach * size * ragged - distance, 0.1)
    return np.minimum(peak * strength * lobe * extent, 1) * side


def covid_19(rng, stage, lungs, x, y):
    """Returns the share of air that ground glass veils, 0 to 1.

    Several hazy patches on both sides, along the wall and low. Late they are
    dense and run together, and one side may be much denser.
    """
    peak, reach, weaker = {
        "early": (0.16, 0.12, 0.7),
        "developed": (0.36, 0.17, 0.7),
        "late": (0.72, 0.24, 0.45),
    }[stage]
    sides = rng.permutation([1, uniform(rng, (weaker, 1))]).tolist()
    haze = 0.35 * waves(rng, x, y, 20)
    clear = np.ones_like(x)
    for right, strength in zip((True, False), sides, strict=True):
        side = np.float32(strength * peak) * (lungs.right == right)
        for _ in range(rng.integers(2, 5)):
            depth, low, size = uniform(rng, (0.05, 0.25), (0.35, 1), (0.75, 1.3))
            across = (lungs.wall - lungs.r - depth) / (0.75 * reach * size)
            along = (lungs.t - low) / (1.3 * reach * size)
            square = np.clip(across**2 + along**2 + haze, 0, None)
            clear *= 1 - side * np.exp(-0.5 * square * np.sqrt(square))
    return 1 - clear
