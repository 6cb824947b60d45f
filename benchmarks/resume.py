"""Kills trainings at random moments: do they end with the same bits?

    python benchmarks/resume.py                      # four kills in each of 51 cases
    python benchmarks/resume.py --kills 1 --only ssresnet shards

Each method is trained once undisturbed in each precision, and SSResNet also from
shards and in two workers, and a student of a teacher. Then the same command is killed
(SIGKILL) and repeated, until it has been killed often enough and may finish: by turns
at a random moment after its first epoch and at one of its whole life. Weights, history,
predictions and scores must be the same to the bit.
"""

import argparse
import itertools
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import print_machine, print_table
from tqdm import tqdm

from data_tools import phantom, shards
from sskeras import methods

OPTIONS = (
    "--data films/manifest.csv --image-size 32 --filters 4 8 --batch-size 32 "
    "--epochs 8 --labeled 0.5 --decay cosine --ramp-up 4 --class-weight 1 1 2"
).split()
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
METHODS = [method.__name__.lower() for method in methods.listed()]
TRAININGS = {name: f"--method {name}" for name in METHODS} | {
    "shards": "--method ssresnet --data shards",
    "workers": "--method ssresnet --workers 2",
    "teacher": "--preset best",
}


def main():
    """Trains, kills, compares and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=TRAININGS, default=TRAININGS)
    parser.add_argument("--kills", type=int, default=4, help="in each precision")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    print_machine()
    print_table(["training", "precision", "kills", "while training", "same bits"], [])
    results = []
    with tempfile.TemporaryDirectory() as folder:
        films = phantom.write(Path(folder, "films"), count=240, seed=0, size=32)
        shards.write(films, Path(folder, "shards"))
        for name, precision in tqdm([*itertools.product(arguments.only, PRECISIONS)]):
            line = [sys.executable, "-m", "sskeras.cli", "train", *OPTIONS]
            line += [*TRAININGS[name].split(), "--precision", precision]
            results.append(survived(line, folder, arguments.kills, draw))
            row = map(str, (name, precision, *results[-1]))
            print("|", " | ".join(row), "|", flush=True)
    if not all(same == "yes" for *_, same in results):
        sys.exit("A training did not end with the same bits.")


def survived(line, folder, kills, draw):
    """Kills, kills with a checkpoint to go on from, and whether the ends are equal."""
    whole, killed = Path(folder, "whole"), Path(folder, "killed")
    quiet = {"cwd": folder, "stdout": subprocess.DEVNULL}
    first, end = undisturbed([*line, "--out", whole], whole, **quiet)
    command, done, training, failed = [*line, "--out", killed], 0, 0, 0
    while done < kills and not failed:
        process = subprocess.Popen(command, **quiet)
        try:
            failed = process.wait(draw.uniform(0 if done % 2 else first, end))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if (killed / "metrics.json").exists():  # It was quicker: from the beginning.
            failed = failed or not equal(whole, killed)
            shutil.rmtree(killed)
        elif not failed:
            done += 1
            training += has_checkpoint(killed)
    failed = failed or subprocess.run(command, check=False, **quiet).returncode
    same = not failed and equal(whole, killed)
    shutil.rmtree(whole)
    shutil.rmtree(killed, ignore_errors=True)
    return done, training, "yes" if same else "no"


def undisturbed(line, out, **options):
    """Seconds to the first checkpoint and to the end of a command."""
    start, first = time.monotonic(), None
    process = subprocess.Popen(line, **options)
    while process.poll() is None:
        if first is None and has_checkpoint(out):
            first = time.monotonic() - start
        time.sleep(0.05)
    if process.returncode:
        sys.exit(f"An undisturbed training failed: {line}")
    return first, time.monotonic() - start


def has_checkpoint(out):
    return any(out.rglob("checkpoint.npz"))


def equal(one, other):
    """Whether two runs came to the same bits, and their teachers, if they have any."""
    runs = [path.parent.relative_to(one) for path in one.rglob("metrics.json")]
    return all(are_same(one / run, other / run) for run in runs)


def are_same(one, other):
    """Whether two runs without their teachers came to the same bits."""
    try:
        texts = ("history.csv", "predictions.csv")
        if any((one / t).read_bytes() != (other / t).read_bytes() for t in texts):
            return False
        scores = [
            json.loads((run / "metrics.json").read_bytes()) for run in (one, other)
        ]
        for found in scores:
            del found["provenance"]
        weights = [weights_of(run) for run in (one, other)]
    except FileNotFoundError:
        return False
    same = (np.array_equal(a, b) for a, b in zip(*weights, strict=True))
    return scores[0] == scores[1] and all(same)


def weights_of(run):
    """All that a run's model holds, also of its optimizer."""
    from sskeras.experiments import use

    model = use.load(run)
    return [v.numpy() for v in (*model.weights, *model.optimizer.variables)]


if __name__ == "__main__":
    main()
