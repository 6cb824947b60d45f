"""The share of a training step that a training waits for its next batch.

    python benchmarks/wait.py [--data MANIFEST]

SSResNet learns from batches of 256 at 64×64 grey, in the numbers that "auto" chooses,
eight steps after two that warm up. Films as in `input.py`.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import common
import films

STEPS = 8
STREAMS = ("memory", "cache", "shards")
NETWORKS = {"default": {}, "16 32": {"filters": (16, 32)}}


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="manifest.csv")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(*arguments.work)
        return
    common.print_machine()
    with tempfile.TemporaryDirectory() as folder:
        films.prepare(arguments.data, Path(folder))
        rows = [row(folder, way, name) for name in NETWORKS for way in STREAMS]
    heads = ["filters", "batches from", "step", "longest wait", "share of waiting"]
    common.print_table(heads, rows)


def row(folder, way, network):
    """Trains in a process of its own and returns a row of the table."""
    worker = common.Worker([__file__, "--work", folder, way, network])
    waits, steps = worker.facts
    worker.close()
    share = 100 * sum(waits) / (sum(waits) + sum(steps))
    step = f"{1000 * statistics.median(steps):,.0f} ms"
    return [network, way, step, f"{1000 * max(waits):.1f} ms", f"{share:.2f} %"]


def work(folder, way, network):
    """Is a worker that trains and tells the seconds of each wait and of each step."""
    from sskeras import data

    rows, y = films.table(folder, way)
    take = train_function("SSResNet", "two_path_resnet", NETWORKS[network])
    batches = iter(data.batches(films.pictures(folder, rows, way), y, films.BATCH))
    waits, steps = [], []
    for _ in range(2 + STEPS):
        start = time.perf_counter()
        batch = next(batches)
        here = time.perf_counter()
        take(batch)
        waits.append(here - start)
        steps.append(time.perf_counter() - here)
    common.serve(lambda: None, (waits[2:], steps[2:]))


def train_function(method, network, options, size=films.SIZE):
    """Returns a function that takes one training step and waits for its end."""
    import sskeras

    sskeras.set_precision("auto")
    import tensorflow as tf

    build = getattr(sskeras.networks, network)
    network = build((size, size, 1), 3, **options)
    model = getattr(sskeras.methods, method)(network)
    model.compile("adam")
    step = tf.function(model.train_step)
    return lambda batch: float(step(batch)["loss"])


if __name__ == "__main__":
    main()
