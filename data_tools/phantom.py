"""Sets of drawn chest films with the classes and the imbalance of the paper.

No film shows a person. A set lets every example run without a download, and has
what real collections lack: the place and stage of each lesion, and no shortcut, as
anatomy, position, exposure, noise, marker, border and wires ignore the class.

- `normal`: nothing but anatomy.
- `pneumonia`: a lobe of one lung is consolidated.
- `covid-19`: ground glass in both lungs, along the wall and low.

A diseased film has a stage, and a patient's one to three films never go back a
stage. Early COVID-19 is nearly normal and late COVID-19 nearly pneumonia: there the
paper's error analysis found its confusions.

How many of each: of every 240 films, 3 are COVID-19 for training and 4 COVID-19 for
testing. The others are normal and pneumonia as 8,851 : 9,584 (Table I), of which
`floor(0.7 n)` are for training. So 6,000 films have the paper's 75 of COVID-19 to
train on, and 100 to test on, enough to measure recall. The column `weight` takes
these back to the paper's prevalence among the test films, 33 of 5,565.

Reference:
    Nwosu et al., "Semi-supervised Learning for COVID-19 Image Classification via
    ResNet", Table I.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from data_tools import manifest, note, parallel
from data_tools.drawing.film import check_size, draw
from data_tools.drawing.lesions import STAGES

__all__ = ["count_films", "draw", "plan", "write"]

VERSION = 1  # Raise it when the same seed gives other films.
STAGE_SHARES = (0.3, 0.4, 0.3)


def write(out, count=6000, seed=0, size=128, workers=1):
    """Writes a set: `images/`, `masks/`, `phantom.json` and `manifest.csv`.

    The manifest comes last: a folder without one is unfinished, and the same call
    completes it. A finished set is left as it is. Normal films have no mask file.

    Args:
        out: The folder, made if need be.
        count: Number of films, at least 80.
        seed: Integer from 0. The same seed and size give the same bytes, whatever
            the number of workers.
        size: Height and width in pixels, at least 32.
        workers: Number of processes. A script that asks for more than one must
            start its work under `if __name__ == "__main__":`.

    Returns:
        Path of the manifest.

    Raises:
        ValueError: If an argument is out of range.
        FileExistsError: If the folder holds another set.

    Example:
    >>> phantom.write("phantom", count=240, seed=0, size=64)
    """
    check_size(size)
    rows, seeds = plan(count, seed)
    out = Path(out)
    settings = {"version": VERSION, "count": count, "seed": seed, "size": size}
    if claim(out, settings):
        return out / "manifest.csv"
    jobs = [(out, row, size, *both) for row, both in zip(rows, seeds, strict=True)]
    with tqdm(total=len(jobs), unit="film", desc="phantom") as bar:
        for _ in parallel.run(save, jobs, workers):
            bar.update()
    manifest.write(out / "manifest.csv", rows)
    return out / "manifest.csv"


def claim(out, settings):
    """Makes the folder and says whether it already holds this very set.

    Raises:
        FileExistsError: If it holds another set, or one that is no phantom.
    """
    finished = (out / "manifest.csv").exists()
    path = out / "phantom.json"
    if path.exists() or finished:
        repair = f"Choose another folder, or delete {out}."
        found = note.read(path, repair) if path.exists() else None
        if found != settings:
            raise FileExistsError(
                f"{out} already holds another set. Choose another folder, or delete "
                f"this one. Expected: {settings}. Found: {found or 'no phantom.json'}"
            )
    if finished:
        return True
    for folder in ("images", "masks"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    manifest.write_text(path, json.dumps(settings) + "\n")
    return False


def count_films(count):
    """Counts the films of each class in train and in test; the rule stands above.

    Args:
        count: Number of films, at least 80.

    Returns:
        Dict of label to `{"train": n, "test": n}`.

    Raises:
        ValueError: If no COVID-19 film would be left for one of the two.
    """
    if count < 80:
        raise ValueError(
            "A set needs at least 80 films, or COVID-19 is missing from training. "
            f"Received: count={count}"
        )
    covid = {"train": count // 80, "test": count // 60}
    others = count - sum(covid.values())
    normal = round(others * 8851 / (8851 + 9584))
    split = {
        label: {"train": n * 7 // 10, "test": n - n * 7 // 10}
        for label, n in {"normal": normal, "pneumonia": others - normal}.items()
    }
    return split | {"covid-19": covid}


def plan(count, seed):
    """Lists the films of a set without drawing them.

    What a film shows does not depend on `count`: a small set is part of a large one,
    but for the last patient of each class and split.

    Args:
        count: Number of films, at least 80.
        seed: Integer from 0.

    Returns:
        List of the manifest's rows, and list of the pairs of seeds, `(film,
        patient)`, with which `draw` makes them.
    """
    if seed < 0:
        raise ValueError(f"A seed must be 0 or greater. Received: seed={seed}")
    counts = count_films(count)
    others = counts["normal"]["test"] + counts["pneumonia"]["test"]
    covid_weight = 33 / (2656 + 2876) * others / counts["covid-19"]["test"]
    rows, seeds = [], []
    for c, label in enumerate(counts):
        for s, split in enumerate(("train", "test")):
            rare = label == "covid-19" and split == "test"
            weight = f"{covid_weight:.6g}" if rare else "1"
            films = patients([seed, c, s], counts[label][split])
            for k, (patient, stage) in enumerate(films):
                rows.append(row(label, split, k, patient, stage, weight))
                seeds.append(([seed, c, s, 0, k], [seed, c, s, 1, patient]))
    return rows, seeds


def patients(seed, films):
    """Deals films to patients: one to three each, by stage.

    Returns:
        List of `(patient, stage)`, one for each film.
    """
    rng = np.random.default_rng(seed)
    dealt, patient = [], 0
    while len(dealt) < films:
        stages = sorted(rng.choice(len(STAGES), rng.integers(1, 4), p=STAGE_SHARES))
        dealt += [(patient, STAGES[stage]) for stage in stages]
        patient += 1
    return dealt[:films]


def row(label, split, number, patient, stage, weight):
    """Returns one row of the manifest."""
    name = f"{split}-{label}-{number:05d}.png"
    diseased = label != "normal"
    return {
        "image": f"images/{name}",
        "label": label,
        "patient_id": f"{split}-{label}-{patient:05d}",
        "source": "phantom",
        "split": split,
        "weight": weight,
        "stage": stage if diseased else "",
        "mask": f"masks/{name}" if diseased else "",
        "license": "Apache-2.0",
    }


def save(job):
    """Draws and writes one film, and its mask where it has one."""
    out, film, size, seed, patient = job
    picture, mask = draw(film["label"], film["stage"], seed, size, patient)
    Image.fromarray(picture).save(out / film["image"], compress_level=1)
    if film["mask"]:
        Image.fromarray(mask).save(out / film["mask"], compress_level=1)
