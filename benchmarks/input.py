"""Pictures per second of the stream of batches, beside Keras's and PyTorch's loaders.

    python benchmarks/input.py [--data MANIFEST] [--peers] [--torch-python PATH]

Batches of 256 at 64×64 grey, from the training rows of MANIFEST (real films where they
are, otherwise phantoms, drawn first). The first epoch starts with picture files; later
ones may start from what it left. Peers (`--peers`):
`keras.utils.image_dataset_from_directory`, and a DataLoader of PyTorch with Pillow and
two workers, on the same files. They decode in every epoch, but for `.cache()`, which
keeps the order of the first. A first epoch sets the loader up.
"""

import argparse
import itertools
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import common
import films
import numpy as np
from films import BATCH, SIZE

WAYS = {  # Each with the peers that it is measured beside.
    "files": ("keras first", "torch files"),
    "memory": ("keras files", "keras cache", "torch files"),
    "cache": ("keras files", "keras cache", "torch files"),
    "shards": ("keras files", "keras cache", "torch files"),
}
PEERS = ("keras first", "keras files", "keras cache", "torch files")
EPOCHS = {"files": "first", "keras first": "first", "torch files": "every"}


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="manifest.csv")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(*arguments.work)
        return
    common.print_machine()
    with tempfile.TemporaryDirectory() as folder:
        films.prepare(arguments.data, Path(folder))
        compare(folder, arguments)


def compare(folder, arguments):
    """One epoch of each way, in turns."""
    peers = PEERS if arguments.peers else ()
    if peers and not can_import_torch(arguments.torch_python):
        print("PyTorch is left out: --torch-python cannot import torch and PIL.\n")
        peers = PEERS[:3]
    workers = {}
    for way in (*WAYS, *peers):
        python = arguments.torch_python if "torch" in way else None
        workers[way] = common.Worker([__file__, "--work", folder, way], python)
    seconds = common.take_turns(workers, arguments.rounds)
    rows = []
    for way, worker in workers.items():
        worker.close()
        rate = worker.facts / statistics.median(seconds[way])
        beside = [p if p in WAYS.get(way, ()) else None for p in peers]
        ratios = [p and common.ratio(seconds[way], seconds[p]) for p in beside]
        row = [way, EPOCHS.get(way, "later"), f"{rate:,.0f}"]
        rows.append([*row, *(ratio or "" for ratio in ratios)])
    heads = ["from", "epoch", "pictures/s", *(f"to {peer}" for peer in peers)]
    common.print_table(heads, rows)


def can_import_torch(python):
    """Whether PyTorch can be a peer."""
    command = [python, "-c", "import torch, PIL"]
    return not subprocess.run(command, stderr=subprocess.DEVNULL).returncode


def work(folder, way):
    """Is a worker that draws every film once, by one way."""
    if way == "torch files":
        epoch, count = torch_epoch(folder)
    elif way.startswith("keras"):
        epoch, count = keras_epoch(folder, way.removeprefix("keras "))
    else:
        epoch, count = our_epoch(folder, way)
    common.serve(epoch, count)


def our_epoch(folder, way):
    """An epoch of `data.batches`; one from files decodes them all first."""
    from sskeras import data

    rows, y = films.table(folder, way)
    steps = data.steps_per_epoch(y, BATCH)
    x = None if way == "files" else films.pictures(folder, rows, way)
    after = itertools.count(0, steps)

    def epoch():
        here = films.pictures(folder, rows, "memory") if x is None else x
        first = 0 if x is None else next(after)
        for _ in data.batches(here, y, BATCH, start=first).take(steps):
            pass

    return epoch, len(y)


def keras_epoch(folder, way):
    """An epoch of Keras's loader of class folders; the first one sets it up."""
    import keras
    import tensorflow as tf

    def open_films():
        opened = keras.utils.image_dataset_from_directory(
            Path(folder, "classes"),
            color_mode="grayscale",
            batch_size=BATCH,
            image_size=(SIZE, SIZE),
            verbose=False,
        )
        opened = opened.cache() if way == "cache" else opened
        return opened.prefetch(tf.data.AUTOTUNE)

    opened = open_films()

    def epoch():
        for _ in open_films() if way == "first" else opened:
            pass

    return epoch, len([*Path(folder, "classes").glob("*/*")])


def torch_epoch(folder):
    """An epoch of PyTorch's loader with Pillow, as its tutorials have it."""
    import torch
    from PIL import Image

    files = sorted(Path(folder, "classes").glob("*/*"))
    classes = sorted({file.parent.name for file in files})

    class Films(torch.utils.data.Dataset):
        def __len__(self):
            return len(files)

        def __getitem__(self, number):
            with Image.open(files[number]) as film:
                film = film.convert("L").resize((SIZE, SIZE), Image.BILINEAR)
            pixels = torch.from_numpy(np.array(film))[None].float()
            return pixels, classes.index(files[number].parent.name)

    loader = torch.utils.data.DataLoader(
        Films(), BATCH, shuffle=True, num_workers=2, persistent_workers=True
    )

    def epoch():
        for _ in loader:
            pass

    return epoch, len(files)


if __name__ == "__main__":
    main()
