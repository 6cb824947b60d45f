"""Peak memory of a training on few and on many pictures that stay in shards.

    python benchmarks/memory.py [--counts 1000 100000] [--steps 40]

Each training is a process of its own: SSResNet with filters 16 and 32 on 64x64
pictures, batches of 256, as many steps for few pictures as for many. The peak is that
of the whole process, TensorFlow and the manifest's table included; the table is also
stated apart, as what the process has grown by once it is read. Medians, lowest and
highest of the rounds. The pictures are noise, no two the same.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import print_machine, print_table
from shards import BATCH, LABELS, forget_peak, memory, write_set

SIZE = 64


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs=2, default=(1_000, 100_000))
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--train", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.train, arguments.steps)
        return
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        places = [write(Path(folder), count) for count in arguments.counts]
        found = [
            [run(place, arguments.steps) for place in places]
            for _ in range(arguments.rounds)
        ]
    report(arguments.counts, found)


def write(folder, count):
    """Writes a set of pictures and returns the folder of its shards."""
    place = folder / f"set-{count}"
    place.mkdir()
    write_set(place, count, SIZE)
    return place / str(count)


def run(place, steps):
    """Trains in a process of its own and returns what it found."""
    command = [sys.executable, __file__, "--steps", str(steps), "--train", place]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=quiet, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def train(place, steps):
    """Prints the MiB of the table and of the whole training."""
    from sskeras import data, methods, networks

    _ = data.batches, data.Shards  # Loads what they need.
    before = forget_peak()
    table = data.read_manifest(place)
    y = data.encode_labels(table, LABELS)
    rows = forget_peak() - before
    x = data.open_pictures(table, SIZE)
    model = methods.SSResNet(networks.two_path_resnet((SIZE, SIZE, 1), 3, (16, 32)))
    model.compile("adam")
    stream = data.batches(x, y, BATCH)
    model.fit(stream, steps_per_epoch=steps, verbose=0)
    print(json.dumps([rows, memory("VmHWM")]))


def report(counts, found):
    """Prints the table; ratios are those of the rounds."""
    heads = ["pictures", "table, MiB", "peak, MiB", "peak to few", "without tables"]
    rows = []
    for number, count in enumerate(counts):
        few, here = [f[0] for f in found], [f[number] for f in found]
        whole = [b[1] / a[1] for a, b in zip(few, here, strict=True)]
        less = [(b[1] - b[0]) / (a[1] - a[0]) for a, b in zip(few, here, strict=True)]
        columns = [*zip(*here, strict=True), whole, less]
        formats = ("{:.1f}", "{:.0f}", "{:.3f}", "{:.3f}")
        rows.append([f"{count:,}", *map(spread, columns, formats)])
    print_table(heads, rows)


def spread(values, form):
    """Median, lowest and highest."""
    middle, low, high = map(
        form.format, (statistics.median(values), min(values), max(values))
    )
    return f"{middle} ({low}-{high})"


if __name__ == "__main__":
    main()
