"""Memory and speed of one epoch from shards, from single files and from memory.

    python benchmarks/shards.py [--count 200000] [--size 64]

Each way streams a tenth of the pictures and then all of them once, in batches of 256,
in a process of its own. Memory is the peak beyond what importing TensorFlow takes,
first while the manifest is read and then while pictures are. The peer reads and decodes
one file per picture with plain tf.data, as its guide does; it keeps the paths and a
shuffled order. The pictures are noise, no two the same.
"""

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from data_tools import manifest, shards

BATCH = 256
LABELS = ("normal", "pneumonia", "covid-19")
WAYS = ("shards", "files", "memory")


def write_set(folder, count, size):
    """Writes pictures, and manifests of a tenth of them and of all."""
    rng, rows = np.random.default_rng(0), []
    (folder / "images").mkdir()
    noise = rng.integers(0, 256, (500, size, size)).astype("uint8")
    for number in tqdm(range(count), desc="write", unit=" pictures"):
        picture = noise[number % len(noise)]
        picture.flat[:4] = np.frombuffer(number.to_bytes(4), "uint8")
        name = f"images/{number:07d}.png"
        Image.fromarray(picture).save(folder / name, compress_level=1)
        rows.append({"image": name, "label": LABELS[number % 3], "split": "train"})
    for part in (rows[: count // 10], rows):
        path = folder / f"{len(part)}.csv"
        manifest.write(path, part)
        shards.write(path, folder / str(len(part)))


def measure(way, path, size):
    """Prints MiB for the manifest, MiB for the pictures, and pictures per second."""
    import tensorflow as tf

    from sskeras import data
    from sskeras.data.pictures import decode, resize

    _ = data.batches, data.Shards  # Loads what they need.

    def read(path, label):
        picture = resize(decode(tf.io.read_file(path), 1), (size, size))
        return tf.ensure_shape(picture, (size, size, 1)), label

    before = memory("VmRSS")
    table = data.read_manifest(path)
    y = data.encode_labels(table, LABELS)
    reading = memory("VmHWM") - before
    before = forget_peak()
    start = time.perf_counter()
    if way == "files":
        paths = tf.data.Dataset.from_tensor_slices((list(table["path"]), y))
        stream = paths.shuffle(len(y), seed=0).map(read, tf.data.AUTOTUNE).batch(BATCH)
        stream = stream.prefetch(tf.data.AUTOTUNE)
    else:
        x = data.open_pictures(table, size)
        stream = data.batches(x, y, BATCH).take(data.steps_per_epoch(y, BATCH))
    seen = sum(int(labels.shape[0]) for _, labels in stream)
    assert seen >= len(y)
    speed = len(y) / (time.perf_counter() - start)
    print(reading, memory("VmHWM") - before, speed)


def memory(name):
    """Returns the memory of this process, now (VmRSS) or at its peak, in MiB."""
    status = Path("/proc/self/status").read_text("utf-8")
    return int(status.split(name + ":")[1].split()[0]) / 1024


def forget_peak():
    """Makes the present memory the peak, and returns it."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # What is freed is not to be used again.
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "MANIFEST"))
    arguments = parser.parse_args()
    if arguments.measure:
        measure(*arguments.measure, arguments.size)
        return
    counts = (arguments.count // 10, arguments.count)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        write_set(Path(folder), arguments.count, arguments.size)
        for count in counts:
            for way in WAYS:
                path = Path(folder, str(count) + ("" if way == "shards" else ".csv"))
                results[way, count] = run(way, path, arguments.size)
    print(
        "pictures   from     manifest MiB   pictures MiB   ratio   pictures/s   ratio"
    )
    for (way, count), (reading, peak, speed) in results.items():
        _, peak0, speed0 = results["memory", count]
        print(
            f"{count:8,}   {way:8}{reading:13,.1f}{peak:15,.1f}{peak / peak0:8.2f}"
            f"{speed:13,.0f}{speed / speed0:8.2f}"
        )


def run(way, path, size):
    """Measures one way in a process of its own."""
    command = [sys.executable, __file__, "--size", str(size), "--measure", way, path]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=quiet, check=True)
    return [float(number) for number in done.stdout.split()]


if __name__ == "__main__":
    main()
