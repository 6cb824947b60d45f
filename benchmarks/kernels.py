"""Where a training step goes: the convolutions of a network, one kernel at a time.

    python benchmarks/kernels.py [--network default] [--batch 256]

Each convolution of the two-path network runs alone, forward, for its input's gradient
and for its weights' gradient. What these leave of a whole step, measured in the same
run, is batch normalization, ReLU, the sums where paths meet, and the optimizer. All
compute in the numbers that "auto" chooses.
"""

import argparse
import collections
import statistics
import time

import numpy as np
from common import print_machine, print_table
from train_step import MATRIX, build, example

import sskeras
from sskeras import precision

ROUNDS = 9


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="default")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=256)
    arguments = parser.parse_args()
    import tensorflow as tf

    print_machine()
    sskeras.set_precision("auto")
    network = build(arguments.network, arguments.size, paths=2)
    a = random((MATRIX, MATRIX))
    peak = 2 * MATRIX**3 / seconds(lambda: tf.matmul(a, a))
    rows, total = table(network, arguments.batch)
    print_table(["convolution", "times", *DIRECTIONS], rows)
    step = whole_step(network, arguments)
    print(
        f"\n{arguments.network} network, batches of {arguments.batch}: a step of "
        f"{step * 1e3:.0f} ms, {total * 1e3:.0f} ms of it convolutions "
        f"({total / step:.0%}); peak {peak / 1e9:.0f} GFLOP/s."
    )


def random(shape):
    """A tensor of the numbers that the network computes with."""
    import tensorflow as tf

    numbers = precision.choose("auto")[0].removeprefix("mixed_")
    return tf.cast(tf.random.normal(shape), numbers)


def seconds(work):
    """Median of the seconds that a function of tensors takes, compiled, alone."""
    import tensorflow as tf

    # The first number alone is fetched; the whole result is computed all the same.
    compiled = tf.function(lambda: tf.reshape(work(), [-1])[0])
    compiled()
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        compiled().numpy()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def forward(x, w, dy, options):
    import tensorflow as tf

    return tf.raw_ops.Conv2D(input=x, filter=w, **options)


def for_input(x, w, dy, options):
    import tensorflow as tf

    return tf.raw_ops.Conv2DBackpropInput(
        input_sizes=x.shape, filter=w, out_backprop=dy, **options
    )


def for_weights(x, w, dy, options):
    import tensorflow as tf

    return tf.raw_ops.Conv2DBackpropFilter(
        input=x, filter_sizes=w.shape, out_backprop=dy, **options
    )


DIRECTIONS = {"forward": forward, "for input": for_input, "for weights": for_weights}


def table(network, batch):
    """Rows of milliseconds and GFLOP/s, and the seconds of all convolutions."""
    import tensorflow as tf

    counts = collections.Counter(
        (layer.input.shape[1:], layer.kernel.shape, layer.strides[0])
        for layer in network.layers
        if len(getattr(layer, "kernel_size", ())) == 2
    )
    rows, total = [], 0
    for (shape, kernel, stride), count in counts.items():
        x, w = random((batch, *shape)), random(kernel)
        options = {"strides": [1, stride, stride, 1], "padding": "SAME"}
        dy = random(tf.nn.conv2d(x, w, stride, "SAME").shape)
        operations = 2 * int(np.prod(dy.shape[:3])) * int(np.prod(kernel))
        cells = []
        for name, direction in DIRECTIONS.items():
            if name == "for input" and shape[-1] == 1:  # Pictures need no gradient.
                cells.append("")
                continue
            taken = seconds(lambda d=direction, a=(x, w, dy, options): d(*a))
            total += count * taken
            cells.append(f"{taken * 1e3:.0f} ms, {operations / taken / 1e9:.0f}")
        size = "x".join(map(str, kernel))
        rows.append([f"{size} at {shape[0]}x{shape[1]} / {stride}", count, *cells])
    return rows, total


def whole_step(network, arguments):
    """Seconds of a training step, the median."""
    from sskeras import methods

    model = methods.SSResNet(network)
    model.compile("adam", metrics=["accuracy"])
    x, y = example(arguments.size, arguments.batch)
    model.train_on_batch(x, y)
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        model.train_on_batch(x, y)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
