"""Kills trainings at random moments: do they end with the same bits?

    python benchmarks/resume.py                      # every method, in three precisions
    python benchmarks/resume.py --kills 1            # 55 seconds for each of the 42

Each method is trained once undisturbed in each precision. Then the same command is
killed (SIGKILL) at a random moment of its life and repeated, until it has been killed
often enough and may finish. Weights, history, predictions and scores must be the same
to the bit.
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

from data_tools import phantom
from sskeras import methods

OPTIONS = (
    "--image-size 32 --filters 4 8 --batch-size 32 --epochs 8 --labeled 0.5 "
    "--decay cosine --ramp-up 4 --class-weight 1 1 2"
).split()
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def main():
    """Trains, kills, compares and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--methods", nargs="+", default=[m.__name__.lower() for m in methods.listed()]
    )
    parser.add_argument("--kills", type=int, default=4, help="in each precision")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    print_machine()
    print_table(["method", "precision", "kills", "while training", "same bits"], [])
    results = []
    with tempfile.TemporaryDirectory() as folder:
        films = phantom.write(Path(folder, "films"), count=240, seed=0, size=32)
        cases = [*itertools.product(arguments.methods, PRECISIONS)]
        for name, precision in tqdm(cases):
            line = [sys.executable, "-m", "sskeras.cli", "train", "--data", str(films)]
            line += [*OPTIONS, "--method", name, "--precision", precision]
            results.append(survived(line, folder, arguments.kills, draw))
            row = map(str, (name, precision, *results[-1]))
            print("|", " | ".join(row), "|", flush=True)
    if not all(same == "yes" for *_, same in results):
        sys.exit("A training did not end with the same bits.")


def survived(line, folder, kills, draw):
    """Kills, kills with a checkpoint to go on from, and whether the ends are equal."""
    whole, killed = Path(folder, "whole"), Path(folder, "killed")
    start = time.monotonic()
    subprocess.run([*line, "--out", whole], check=True, stdout=subprocess.DEVNULL)
    duration, training = time.monotonic() - start, 0
    command, done = [*line, "--out", killed], 0
    while done < kills:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            process.wait(draw.uniform(0, duration))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            done += 1
            training += (killed / "checkpoint.npz").exists()
        if (killed / "metrics.json").exists():  # It was quicker: from the beginning.
            if not equal(whole, killed):
                break
            shutil.rmtree(killed)
    else:
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    same = equal(whole, killed)
    shutil.rmtree(whole)
    shutil.rmtree(killed, ignore_errors=True)
    return done, training, "yes" if same else "no"


def equal(one, other):
    """Whether two runs came to the same bits."""
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
