"""One film of one imagined patient."""

import numpy as np

from data_tools.drawing import anatomy, exposure, lesions

LESIONS = {
    "normal": lesions.normal,
    "pneumonia": lesions.pneumonia,
    "covid-19": lesions.covid_19,
}


def draw(label, stage, seed, size=128, patient=None):
    """Draws one film and the mask of its lesion.

    The same `seed` and `patient` give the same film whatever the label and stage,
    but for the lesion. The same `patient` gives the same person.

    Args:
        label: `"normal"`, `"pneumonia"` or `"covid-19"`.
        stage: `"early"`, `"developed"` or `"late"`; `""` for a normal film.
        seed: Integer or list of integers. Decides position, exposure and noise.
        size: Height and width in pixels, at least 32.
        patient: Integer or list of integers. Decides the anatomy and where disease
            would sit in it. By default the seed.

    Returns:
        Film and mask, both uint8 of shape `(size, size)`. The mask is 255 where the
        lesion adds at least 25 % of the most that it adds anywhere, else 0.

    Raises:
        ValueError: If the label, its stage or the size is not one of those above.

    Example:
    >>> film, mask = draw("pneumonia", "late", seed=3)
    """
    check(label, stage, size)
    person, disease = generators(seed if patient is None else patient)
    pose, beam = generators(seed)
    line = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
    film_x, film_y = np.meshgrid(line, line)
    x, y = anatomy.position(pose, film_x, film_y)
    density, gas, lungs = anatomy.chest(person, pose, x, y)
    # The lung's rim is too thin to show a lesion: keep the mask off it.
    lesion = LESIONS[label](disease, stage, lungs, x, y) * gas * (lungs.field > 0.3)
    inside = exposure.collimation(beam, film_x, film_y)
    film = exposure.expose(beam, density + lesion, inside)
    mask = inside & (lesion > 0) & (lesion >= 0.25 * lesion.max())
    return film, np.where(mask, np.uint8(255), np.uint8(0))


def generators(seed):
    """Returns two independent generators of random numbers."""
    return [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2)]


def check(label, stage, size):
    """Raises ValueError unless there is such a label, stage and size."""
    if label not in LESIONS:
        raise ValueError(
            f"Unknown label. Expected one of {list(LESIONS)}. Received: {label!r}"
        )
    expected = [""] if label == "normal" else list(lesions.STAGES)
    if stage not in expected:
        raise ValueError(
            f"Unknown stage of {label}. Expected one of {expected}. Received: {stage!r}"
        )
    check_size(size)


def check_size(size):
    """Raises ValueError if a film of this size would show too little."""
    if size < 32:
        raise ValueError(
            f"A film must be at least 32 pixels high and wide. Received: size={size}"
        )
