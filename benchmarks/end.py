"""How long a training waits for its stream to end, with TensorFlow's tuner and without.

    python benchmarks/end.py [--rounds 8]

SSResNet learns from batches of 64 at 32×32 for one second, then for four. Without the
tuner is how `data.batches` streams. On one processor and on two, in turns.
"""

import argparse
import os
import statistics
import time

from common import Worker, print_machine, print_table, serve
from train_step import example
from wait import train_function

from sskeras.experiments.runner import limited_to

SECONDS = (1, 4)


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        serve(lambda: None, waits(arguments.work))
        return
    print_machine()
    rows = []
    two = sorted(os.sched_getaffinity(0))[:2]
    for processors in (two[:1], two):
        with limited_to(set(processors)):
            worker = Worker([__file__, "--work", arguments.rounds])
        rows += [[len(processors), *row] for row in worker.facts]
        worker.close()
    heads = ["processors", "trained for", "stream", "median wait", "longest wait"]
    print_table(heads, rows)


def waits(rounds):
    """Rows of the table, from trainings that alternate."""
    import tensorflow as tf

    from sskeras import data

    x, y = example(32, 256)
    step = train_function("SSResNet", "two_path_resnet", {"filters": (4, 8)}, 32)
    tuner = tf.data.Options()
    tuner.autotune.enabled = True
    stream = data.batches(x, y, 64)
    streams = {"with the tuner": stream.with_options(tuner), "without": stream}
    step(next(iter(stream)))
    found = {(s, name): [] for s in SECONDS for name in streams}
    for _ in range(rounds):
        for (seconds, name), taken in found.items():
            taken.append(wait(streams[name], step, seconds))
    return [
        [f"{s} s", name, *(f"{1000 * f(v):,.0f} ms" for f in (statistics.median, max))]
        for (s, name), v in found.items()
    ]


def wait(stream, step, seconds):
    """Trains for some seconds; returns how many more the end of the stream takes."""
    batches, begin = iter(stream), time.perf_counter()
    while time.perf_counter() < begin + seconds:
        step(next(batches))
    begin = time.perf_counter()
    del batches
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
