"""What views cost: alone, and as a share of a training step of FixMatch.

    python benchmarks/views.py [--peers] [--rounds 5]

One view of each of 256 pictures at 64×64 grey. The peers are layers of Keras, which
draw other views: a rotation and a translation one after the other beside `Weak`,
RandAugment beside `Strong`. A step of FixMatch draws both of ours.
"""

import argparse
import statistics

import common
import films
import numpy as np
from wait import NETWORKS, train_function

VIEWS = ("weak", "strong", "keras turn and shift", "keras RandAugment")
BESIDE = {"weak": "keras turn and shift", "strong": "keras RandAugment"}


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        kind, name = arguments.work
        {"view": view, "step": step}[kind](name)
        return
    common.print_machine()
    ways = [way for way in VIEWS if arguments.peers or "keras" not in way]
    workers = {way: common.Worker([__file__, "--work", "view", way]) for way in ways}
    for name in NETWORKS:
        workers[name] = common.Worker([__file__, "--work", "step", name])
    seconds = common.take_turns(workers, arguments.rounds)
    for worker in workers.values():
        worker.close()
    report(ways, seconds)


def report(ways, seconds):
    """Prints microseconds, ratios to Keras, and shares of a step."""
    rows = []
    for way in ways:
        cost = f"{statistics.median(seconds[way]) / films.BATCH * 1e6:.0f} µs"
        peer = seconds.get(BESIDE.get(way))
        shares = [share(seconds[way], seconds[name]) for name in NETWORKS]
        rows.append([way, cost, peer and common.ratio(seconds[way], peer), *shares])
    heads = [f"of a FixMatch step, filters {name}" for name in NETWORKS]
    heads = ["view", "per picture", "faster than Keras", *heads]
    common.print_table(heads, [[cell or "" for cell in row] for row in rows])
    steps = [f"{statistics.median(seconds[name]):.2f} s ({name})" for name in NETWORKS]
    print("\nA step of FixMatch, both views in it:", ", ".join(steps))


def share(part, whole):
    """One time as a part of another, round by round."""
    shares = [a / b for a, b in zip(part, whole, strict=True)]
    return f"{100 * statistics.median(shares):.1f} %"


def noise():
    """A batch of pictures."""
    shape = (films.BATCH, films.SIZE, films.SIZE, 1)
    return np.random.default_rng(0).integers(0, 256, shape).astype("uint8")


def view(way):
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
    take = train_function("FixMatch", "resnet", NETWORKS[name])
    batch = noise(), np.where(np.arange(films.BATCH) % 20, -1, 0).astype("int32")
    common.serve(lambda: take(batch))


if __name__ == "__main__":
    main()
