"""Never waiting for data: the stream of batches, the wait of a training, the views.

    python benchmarks/input.py [--data MANIFEST] [--peers] [--torch-python PATH]

1. Pictures per second of the stream of batches of 256 at 64×64 grey, from the training
   rows of MANIFEST (real films where they are, otherwise phantoms, drawn first). The
   first epoch starts with picture files; later ones may start from what it left. Peers
   (`--peers`): `keras.utils.image_dataset_from_directory`, and a DataLoader of PyTorch
   with Pillow and two workers, on the same files. They decode in every epoch, but for
   `.cache()`, which keeps the order of the first. A first epoch sets the loader up.
2. The share of a training step that a training waits for its next batch.
3. What views cost, per picture and as a share of a step of FixMatch; peers are layers
   of Keras, which draw other views.
"""

import argparse
import itertools
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
import numpy as np

BATCH, SIZE, STEPS = 256, 64, 8
DEFAULT = Path(common.ROOT).parent / "shared" / "cxr" / "manifest.csv"
OURS = {"TF_ENABLE_ONEDNN_OPTS": "1"}
WAYS = {  # Each with the peers that it is measured beside.
    "files": ("keras first", "torch files"),
    "memory": ("keras files", "keras cache", "torch files"),
    "cache": ("keras files", "keras cache", "torch files"),
    "shards": ("keras files", "keras cache", "torch files"),
}
PEERS = ("keras first", "keras files", "keras cache", "torch files")
EPOCHS = {"files": "first", "keras first": "first", "torch files": "every"}
STREAMS = ("memory", "cache", "shards")
NETWORKS = {"default": {}, "16 32": {"filters": (16, 32)}}
VIEWS = ("weak", "strong", "keras turn and shift", "keras RandAugment")


def main():
    """Prints three tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="manifest.csv")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tables", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        kind, *rest = arguments.work
        {"stream": stream, "wait": wait, "views": views, "step": step}[kind](*rest)
        return
    common.print_machine()
    with tempfile.TemporaryDirectory() as folder:
        prepare(arguments.data, Path(folder))
        for number in arguments.tables:
            (print_streams, print_waits, print_views)[number - 1](folder, arguments)


def prepare(manifest, folder):
    """Lays the training films down as every way wants them: class folders, shards."""
    from data_tools import phantom, shards
    from sskeras import data

    if manifest is None:
        drawn = phantom.write(folder / "drawn", 3000) if not DEFAULT.exists() else None
        manifest = drawn or DEFAULT
    rows = data.select(data.read_manifest(manifest), "train")
    for path, label in zip(rows["path"], rows["label"], strict=True):
        film = folder / "classes" / label / Path(path).name
        film.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, film)
    columns = rows[["label"]].assign(split="train")
    names = [f"classes/{r.label}/{Path(r.path).name}" for r in rows.itertuples()]
    columns.insert(0, "image", names)
    columns.to_csv(folder / "manifest.csv", index=False)
    shards.write(folder / "manifest.csv", folder / "shards")
    print(f"{len(rows):,} training films of {describe(rows['path'].iloc[0])}\n")


def describe(path):
    """Says what kind of file the films are."""
    from PIL import Image

    with Image.open(path) as film:
        return f"{film.size[0]}×{film.size[1]}, {film.format}"


def worker(environment, *work, python=None):
    """Starts this script as a worker."""
    return common.Worker([__file__, "--work", *work], python, environment)


def print_streams(folder, arguments):
    """Table 1: one epoch of each way, in turns."""
    peers = PEERS if arguments.peers else ()
    if peers and not can_import_torch(arguments.torch_python):
        print("PyTorch is left out: --torch-python cannot import torch and PIL.\n")
        peers = PEERS[:3]
    workers = {way: worker(OURS, "stream", folder, way) for way in WAYS}
    for way in peers:
        python = arguments.torch_python if "torch" in way else None
        workers[way] = worker({}, "stream", folder, way, python=python)
    seconds = common.take_turns(workers, arguments.rounds)
    rows = []
    for way, work in workers.items():
        work.close()
        rate = work.facts / statistics.median(seconds[way])
        beside = [p if p in WAYS.get(way, ()) else None for p in peers]
        ratios = [p and common.ratio(seconds[way], seconds[p]) for p in beside]
        row = [way, EPOCHS.get(way, "later"), f"{rate:,.0f}"]
        rows.append([*row, *(ratio or "" for ratio in ratios)])
    heads = ["from", "epoch", "pictures/s", *(f"to {peer}" for peer in peers)]
    common.print_table(heads, rows)
    print()


def can_import_torch(python):
    """Whether PyTorch can be a peer."""
    command = [python, "-c", "import torch, PIL"]
    return not subprocess.run(command, stderr=subprocess.DEVNULL).returncode


def stream(folder, way):
    """Is a worker that draws every film once, by one way."""
    if way == "torch files":
        work, count = torch_epoch(folder)
    elif way.startswith("keras"):
        work, count = keras_epoch(folder, way.removeprefix("keras "))
    else:
        work, count = our_epoch(folder, way)
    common.serve(work, count)


def our_epoch(folder, way):
    """An epoch of `data.batches`; one from files decodes them all first."""
    from sskeras import data

    rows, y = table(folder, way)
    steps = data.steps_per_epoch(y, BATCH)
    x = None if way == "files" else pictures(folder, rows, way)
    after = itertools.count(0, steps)

    def work():
        here = pictures(folder, rows, "memory") if x is None else x
        first = 0 if x is None else next(after)
        for _ in data.batches(here, y, BATCH, start=first).take(steps):
            pass

    return work, len(y)


def table(folder, way):
    """Returns the rows of the manifest, of the shards if they are the way, and y."""
    from sskeras import data

    path = Path(folder, "shards" if way == "shards" else "manifest.csv")
    rows = data.select(data.read_manifest(path), "train")
    return rows, data.encode_labels(rows, data.class_names(rows))


def pictures(folder, rows, way):
    """Returns the films as an array, a memmap or shards."""
    from sskeras import data

    if way == "shards":
        return data.Shards(rows, SIZE)
    cache = Path(folder, "cache") if way == "cache" else None
    return data.load_pictures(rows["path"], SIZE, cache=cache, progress=False)


def keras_epoch(folder, way):
    """An epoch of Keras's loader of class folders; the first one sets it up."""
    import keras
    import tensorflow as tf

    def open_films():
        films = keras.utils.image_dataset_from_directory(
            Path(folder, "classes"),
            color_mode="grayscale",
            batch_size=BATCH,
            image_size=(SIZE, SIZE),
            verbose=False,
        )
        films = films.cache() if way == "cache" else films
        return films.prefetch(tf.data.AUTOTUNE)

    opened = open_films()

    def work():
        for _ in open_films() if way == "first" else opened:
            pass

    return work, len([*Path(folder, "classes").glob("*/*")])


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

    def work():
        for _ in loader:
            pass

    return work, len(files)


def print_waits(folder, arguments):
    """Table 2: how long a training waits for its batches."""
    rows = []
    for network in NETWORKS:
        for way in STREAMS:
            work = worker(OURS, "wait", folder, way, network)
            waits, steps = work.facts
            work.close()
            share = 100 * sum(waits) / (sum(waits) + sum(steps))
            step = f"{1000 * statistics.median(steps):,.0f} ms"
            worst = f"{1000 * max(waits):.1f} ms"
            rows.append([network, way, step, worst, f"{share:.2f} %"])
    heads = ["filters", "batches from", "step", "longest wait", "share of waiting"]
    common.print_table(heads, rows)
    print()


def wait(folder, way, network):
    """Is a worker that trains and tells the seconds of each wait and of each step."""
    from sskeras import data

    rows, y = table(folder, way)
    take = train_function("SSResNet", "two_path_resnet", network)
    batches = iter(data.batches(pictures(folder, rows, way), y, BATCH))
    waits, steps = [], []
    for _ in range(2 + STEPS):  # The first two warm up.
        start = time.perf_counter()
        batch = next(batches)
        here = time.perf_counter()
        take(batch)
        waits.append(here - start)
        steps.append(time.perf_counter() - here)
    common.serve(lambda: None, (waits[2:], steps[2:]))


def train_function(method, network, name):
    """Returns a function that takes one training step and waits for its end."""
    import tensorflow as tf

    from sskeras import methods, networks

    build = getattr(networks, network)
    model = getattr(methods, method)(build((SIZE, SIZE, 1), 3, **NETWORKS[name]))
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    step = tf.function(model.train_step)
    return lambda batch: float(step(batch)["loss"])


def print_views(folder, arguments):
    """Table 3: what views cost, alone and beside the rest of a step of FixMatch."""
    ways = [way for way in VIEWS if arguments.peers or "keras" not in way]
    workers = {
        way: worker({} if "keras" in way else OURS, "views", way) for way in ways
    }
    workers |= {name: worker(OURS, "step", name) for name in NETWORKS}
    seconds = common.take_turns(workers, arguments.rounds)
    for work in workers.values():
        work.close()
    rows = []
    for way in ways:
        cost = f"{statistics.median(seconds[way]) / BATCH * 1e6:.0f} µs"
        shares = [
            f"{100 * statistics.median(map(part, seconds[way], seconds[name])):.1f} %"
            for name in NETWORKS
        ]
        rows.append([way, cost, *shares])
    heads = [f"of a FixMatch step, filters {name}" for name in NETWORKS]
    common.print_table(["view", "per picture", *heads], rows)
    steps = [f"{statistics.median(seconds[name]):.2f} s ({name})" for name in NETWORKS]
    print("\nA step of FixMatch, both views in it:", ", ".join(steps))


def part(of_one, of_other):
    """One time as a part of another."""
    return of_one / of_other


def noise():
    """A batch of pictures."""
    shape = (BATCH, SIZE, SIZE, 1)
    return np.random.default_rng(0).integers(0, 256, shape).astype("uint8")


def views(way):
    """Is a worker that draws one view of each picture of a batch."""
    import keras
    import tensorflow as tf

    from sskeras import augment

    turn_and_shift = [
        keras.layers.RandomRotation(10 / 360, fill_mode="constant"),
        keras.layers.RandomTranslation(0.05, 0.05, fill_mode="constant"),
    ]
    layer = {
        "weak": augment.Weak,
        "strong": augment.Strong,
        "keras turn and shift": lambda: keras.Sequential(turn_and_shift),
        "keras RandAugment": lambda: keras.layers.RandAugment((0, 255)),
    }[way]()
    draw = tf.function(lambda x: layer(x, training=True))
    x = tf.constant(noise(), "float32")
    common.serve(lambda: draw(x).numpy())


def step(name):
    """Is a worker that takes one step of FixMatch."""
    take = train_function("FixMatch", "resnet", name)
    batch = noise(), np.where(np.arange(BATCH) % 20, -1, 0).astype("int32")
    common.serve(lambda: take(batch))


if __name__ == "__main__":
    main()
