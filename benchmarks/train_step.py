"""Images per second of one training step of SSResNet, beside Keras and PyTorch.

    python benchmarks/train_step.py [--networks small default 16x32] [--peers]

Every way trains the same network on the same batch with Adam: "sskeras" with the
defaults of `sskeras train`; "Keras" with its own batch normalization, a training step
of a dozen lines and TensorFlow's defaults; "Keras, oneDNN" the same after the switch
that `import sskeras` turns; PyTorch in all its variants, once its network has been
shown to have as many weights and, with equal weights, the same loss. "small" has 16
filters at full resolution and 32 in the paths, "default" is that of
`networks.two_path_resnet`, and 16x32 the same with other filters.

Operations are those of the convolutions and dense layers, a multiplication and an
addition each: forward, for the weights, and for the input of all but the first. The
peak is a product of two 2048x2048 matrices on the same cores in the same numbers.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile

import numpy as np
from common import ROOT, Worker, print_machine, print_table, ratio, serve, take_turns

from sskeras.precision import processor_flags

TORCH_PEER = os.path.join(ROOT, "benchmarks", "torch_peer.py")
KERAS = ("Keras", "Keras, oneDNN", "Keras, XLA")
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"  # TensorFlow reads it when it is imported.
MATRIX = 2048


def main():
    """Prints a table for each network, image size and batch size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["small", "default"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[64])
    parser.add_argument("--batches", nargs="+", type=int, default=[256])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peers", action="store_true", help="PyTorch, and XLA, too")
    parser.add_argument("--torch-python", default=sys.executable, metavar="PATH")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(*arguments.work)
        return
    print_machine()
    cases = itertools.product(arguments.networks, arguments.sizes, arguments.batches)
    for network, size, batch in cases:
        print(f"\n{network} network, {size}x{size}, batches of {batch}\n")
        compare(network, size, batch, arguments)


def compare(network, size, batch, arguments):
    """Measures all ways side by side and prints a table."""
    place = [__file__, "--work"]
    workers = {
        "sskeras": Worker([*place, "sskeras", network, size, batch]),
        "sskeras, supervised": Worker([*place, "supervised", network, size, batch]),
        "peak": Worker([*place, "peak", network, size, batch]),
    }
    for name in KERAS[: 3 if arguments.peers else 2]:
        workers[name] = Worker([*place, name, network, size, batch])
    if arguments.peers:
        workers |= torch_workers(network, size, batch, arguments.torch_python)
    seconds = take_turns(workers, arguments.rounds)
    facts = {name: worker.facts for name, worker in workers.items()}
    for worker in workers.values():
        worker.close()
    report(seconds, facts, batch)


def report(seconds, facts, batch):
    """Prints images per second, ratios, and the share of the peak."""
    ours, peak = seconds["sskeras"], statistics.median(seconds.pop("peak"))
    peak = 2 * MATRIX**3 / peak
    operations = facts["sskeras"]["operations"]
    heads = ["way", "images/s", "sskeras is faster by", "share of the peak"]
    rows = []
    for name, taken in seconds.items():
        rate = batch / statistics.median(taken)
        done = rate * (facts[name] or facts["sskeras"])["operations"]
        rows.append([name, f"{rate:.1f}", ratio(ours, taken), f"{done / peak:.0%}"])
    print_table(heads, rows)
    share = operations / facts["sskeras, supervised"]["operations"]
    cost = statistics.median(ours) / statistics.median(seconds["sskeras, supervised"])
    print(
        f"\n{facts['sskeras']['precision']}; {operations / 1e9:.2f} GFLOP an image and "
        f"{peak / 1e9:.0f} GFLOP/s: at most {peak / operations:.0f} images/s. SSResNet "
        f"has {share:.2f} times the operations of the supervised step and takes "
        f"{cost:.2f} times as long: {cost / share:.2f}."
    )


def torch_workers(network, size, batch, python):
    """PyTorch's variants; bfloat16 only where the processor has it."""
    done = subprocess.run([python, "-c", "import torch"], capture_output=True)
    if done.returncode:
        print(f"PyTorch is left out: {python} cannot import torch. See --torch-python.")
        return {}
    check_torch(network, size, python)
    half = bool({"avx512_bf16", "amx_bf16"} & processor_flags())
    if not half:
        print("PyTorch in bfloat16 is left out: this processor has no instructions.\n")
    options = ("compiled", "channels-last", *(["bfloat16"] if half else []))
    workers = {}
    for count in range(len(options) + 1):
        for chosen in itertools.combinations(options, count):
            name = "PyTorch, " + (" ".join(chosen) or "eager")
            line = [TORCH_PEER, "train", network, size, batch, *chosen]
            workers[name] = Worker(line, python)
    return workers


def check_torch(network, size, python):
    """Raises unless PyTorch's network has our weights and our loss."""
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "case.npz")
        line = [__file__, "--work", "case", network, size, file]
        ours = Worker(line)
        ours.close()
        command = [python, TORCH_PEER, "check", network, str(size), file]
        environment = {**os.environ, "PYTHONPATH": ROOT}
        done = subprocess.run(
            command, stdout=subprocess.PIPE, check=True, env=environment
        )
    theirs = json.loads(done.stdout)
    if theirs["weights"] != ours.facts["weights"]:
        raise RuntimeError(f"Another network: {ours.facts} here, {theirs} in PyTorch")
    if not np.isclose(theirs["loss"], ours.facts["loss"], rtol=1e-4):
        raise RuntimeError(f"Another loss: {ours.facts} here, {theirs} in PyTorch")
    print(
        f"PyTorch's network: {theirs['weights']} weights, loss {theirs['loss']:.6f}; "
        f"here {ours.facts['weights']}, {ours.facts['loss']:.6f}."
    )


def work(way, network, size, batch):
    """What a worker does."""
    if way in ("Keras", "Keras, XLA"):
        os.environ.pop(ONEDNN, None)  # As TensorFlow decides without sskeras.
    if way == "peak":
        serve_peak()
    elif way == "case":
        write_case(network, int(size), batch)
    else:
        serve_step(way, network, int(size), int(batch))


def serve_step(way, name, size, batch):
    """Trains, a step at a time."""
    import keras

    from sskeras import methods, precision

    keras.utils.set_random_seed(0)
    plain = way in KERAS
    policy = "float32" if plain else precision.choose("auto")[0]
    keras.config.set_dtype_policy(policy)
    network = build(name, size, paths=1 if way == "supervised" else 2)
    if plain:
        model = plain_model(with_plain_batch_normalization(network))
        model.compile("adam", jit_compile=way == "Keras, XLA")
    else:
        method = methods.Supervised if way == "supervised" else methods.SSResNet
        model = method(network)
        model.compile("adam", metrics=["accuracy"])
    x, y = example(size, batch)
    serve(
        lambda: model.train_on_batch(x, y),
        {"operations": operations(network), "precision": policy},
    )


def serve_peak():
    """Multiplies two matrices of the numbers that "auto" chooses."""
    import tensorflow as tf

    from sskeras import precision

    half = precision.choose("auto")[0].removeprefix("mixed_")
    a, b = (tf.cast(tf.random.normal((MATRIX, MATRIX)), half) for _ in range(2))
    multiply = tf.function(lambda: tf.matmul(a, b))
    serve(lambda: multiply().numpy())


def write_case(name, size, file):
    """Writes weights, a batch and their loss, for another framework to compare with."""
    import keras

    from sskeras import methods

    keras.utils.set_random_seed(0)
    network = build(name, size, paths=2, dropout=0.0)
    x, y = example(size, 16)
    model = methods.SSResNet(network, unsupervised_weight=1.0)
    weights = {
        f"{layer.name}/{weight.name}": keras.ops.convert_to_numpy(weight)
        for layer in network.layers
        for weight in layer.weights
    }
    np.savez(file, x=x, y=y, **weights)
    _, losses = model.objective(x, y, training=True)
    count = sum(int(np.prod(w.shape)) for w in network.trainable_weights)
    loss = float(sum(losses.values()))
    serve(lambda: None, {"weights": count, "loss": loss})


def example(size, batch):
    """A batch of noise, one image in four without a label."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (batch, size, size, 1)).astype("uint8")
    return x, (np.arange(batch) % 4 - 1).astype("int32")


def build(name, size, paths, dropout=0.5):
    """A network with one path or two."""
    import keras
    from keras import layers

    from sskeras import networks
    from sskeras.networks import blocks

    if name != "small":
        filters = (64, 128) if name == "default" else tuple(map(int, name.split("x")))
        make = networks.two_path_resnet if paths == 2 else networks.resnet
        return make((size, size, 1), filters=filters, dropout=dropout)
    pictures = keras.Input((size, size, 1))
    x = layers.Rescaling(1 / 255)(pictures)
    x = blocks.convolution(x, 16, 3, name="shared_conv")
    x = blocks.normalize(x, name="shared_conv")
    x = blocks.residual_block(x, name="shared_block1")
    x = blocks.residual_block(x, name="shared_block2")
    z = blocks.normalize(x, name="shared_last")
    names = ("supervised", "unsupervised")[:paths]
    logits = [blocks.path(z, 3, 32, dropout, name=path) for path in names]
    return keras.Model(pictures, logits if paths == 2 else logits[0])


def with_plain_batch_normalization(network):
    """The same network with the batch normalization of Keras."""
    import keras

    from sskeras.layers import BatchNormalization

    def plain(layer):
        config = layer.get_config()
        if not isinstance(layer, BatchNormalization):
            return type(layer).from_config(config)
        return keras.layers.BatchNormalization.from_config(
            config | {"synchronized": False}
        )

    return keras.models.clone_model(network, clone_function=plain)


def plain_model(network):
    """What one would write: Algorithm 1 as a training step of Keras."""
    import keras
    import tensorflow as tf
    from keras import ops

    class Plain(keras.Model):
        def call(self, x):
            return network(x)

        def train_step(self, data):
            x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
            with tf.GradientTape() as tape:
                a, b = network(x, training=True)
                labeled = ops.cast(y >= 0, "float32")
                entropy = keras.losses.sparse_categorical_crossentropy(
                    ops.maximum(y, 0), a, from_logits=True
                )
                loss = ops.mean(labeled * entropy) + ops.mean(ops.square(a - b))
            weights = network.trainable_weights
            self.optimizer.apply(tape.gradient(loss, weights), weights)
            return {"loss": loss}

    model = Plain()
    model.network = network  # Tracks its weights.
    return model


def operations(network):
    """Multiplications and additions of one image in one training step."""
    total, first = 0, True
    for layer in network.layers:
        if not hasattr(layer, "kernel"):
            continue
        places = int(np.prod(layer.output.shape[1:-1]))  # 1 for a dense layer
        forward = 2 * places * int(np.prod(layer.kernel.shape))
        total += forward * (2 if first else 3)
        first = False
    return total


if __name__ == "__main__":
    main()
