"""Time and memory of `audit` on many pictures.

    python benchmarks/audit.py [--count 30000] [--size 224]

The pictures are films drawn by the phantom, each shifted and made grainy anew so that
no two are the same. The audit runs in a process of its own with two workers; memory is
the peak of the largest process and the sum of the peaks of all.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from data_tools import manifest
from data_tools.drawing.film import draw

DRAWN = 600


def write_set(folder, count, size):
    """Writes `count` pictures, made of a few hundred drawn films, and a manifest."""
    films = []
    for number in tqdm(range(min(DRAWN, count)), desc="draw", unit="film"):
        label = ("normal", "pneumonia")[number % 2]
        stage = "" if label == "normal" else "developed"
        films.append((label, draw(label, stage, [0, number], size, [1, number])[0]))
    (folder / "images").mkdir()
    rng, rows = np.random.default_rng(0), []
    for number in tqdm(range(count), desc="write", unit="film"):
        label, film = films[number % len(films)]
        shifted = np.roll(film, rng.integers(-size // 8, size // 8, 2), (0, 1))
        grain = rng.normal(0, 6, film.shape)
        pixels = np.clip(shifted * rng.uniform(0.7, 1.1) + grain, 0, 255)
        name = f"images/{number}.png"
        picture = Image.fromarray(pixels.astype("uint8"))
        picture.save(folder / name, compress_level=1)
        split = "train" if number % 10 < 7 else "test"
        row = {"image": name, "label": label, "patient_id": str(number)}
        rows.append(row | {"source": f"hospital {number % 3}", "split": split})
    manifest.write(folder / "manifest.csv", rows)


def main():
    """Prints what the audit took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=30_000)
    parser.add_argument("--size", type=int, default=224)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_set(Path(folder), arguments.count, arguments.size)
        command = [sys.executable, "-m", "data_tools", "audit", folder]
        start = time.perf_counter()
        subprocess.run([*command, "--workers", "2"], check=True)
        taken = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print("| pictures | size | seconds | pictures/s | peak memory of a process |")
    print("|---|---|---|---|---|")
    rate = arguments.count / taken
    print(
        f"| {arguments.count:,} | {arguments.size} | {taken:.0f} | {rate:.0f} | "
        f"{peak:.0f} MiB |"
    )


if __name__ == "__main__":
    main()
