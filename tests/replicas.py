"""Trains every method on one device, on two, and in one of two processes.

    python replicas.py FOLDER               # one device, then two
    python replicas.py FOLDER INDEX PORT PORT    # worker INDEX of two

Each training leaves its history, weights and answers, or the error it ended with, in
`FOLDER/one`, `mirrored`, `worker-0` or `worker-1`.
"""

import json
import os
import pickle
import sys
import traceback
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from small_methods import NEEDED, new, tiny

from sskeras import data, networks


def main(folder, *worker):
    folder = Path(folder)
    if worker:
        index, *ports = map(int, worker)
        cluster = {"worker": [f"localhost:{port}" for port in ports]}
        task = {"type": "worker", "index": index}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        train_all(strategy, folder / f"worker-{index}")
        return
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    train_all(tf.distribute.get_strategy(), folder / "one")
    # One for all: TensorFlow confuses the collective operations of two strategies.
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    train_all(mirrored, folder / "mirrored")


def resnet():
    return networks.resnet((16, 16, 1), 3, filters=(4, 8), dropout=0)


def two_path():
    return networks.two_path_resnet((16, 16, 1), 3, filters=(4, 8), dropout=0)


def small(name):
    return lambda: tiny(2 if name == "SSResNet" else 1, dropout=0)


# Method, images, network, arguments. With 19 images the last batch has one on one
# replica, with 17 none. With "stream" each reads its own rows, four and three a step.
CASES = {name: (name, 19, small(name), {}) for name in NEEDED}
CASES["resnet"] = ("Supervised", 16, resnet, {})
CASES["two_path"] = ("SSResNet", 19, two_path, {"supervised_divisor": "labeled"})
CASES["own"] = ("MeanTeacher", 19, small(""), {"batch_norm": "own"})
CASES["stream"] = ("FlexMatch", 16, small(""), {})
CASES["empty"] = ("Supervised", 17, small(""), {})
SEEDED = {"MixMatch": {"seed": 8}}


def train_all(strategy, out):
    for case, (name, rows, network, arguments) in CASES.items():
        try:
            given = arguments | SEEDED.get(name, {})
            model, x, y = make(strategy, name, rows, network, **given)
            result = train(model, x, y, strategy, case == "stream")
        except Exception:
            result = traceback.format_exc()[-3000:]
        path = out / f"{case}.pickle"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(result))


def make(strategy, name, rows, network, **arguments):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (rows, 16, 16, 1)).astype("uint8")
    y = rng.integers(-1, 3, rows)
    y[: rows // 4] = -1  # The labels fall unevenly on the replicas.
    with strategy.scope():
        keras.utils.set_random_seed(0)
        arguments["class_weight"] = (1, 1, 2)
        if "num_images" in NEEDED[name]:
            arguments["num_images"] = rows
        model = new(name, True, network(), **arguments)
        model.compile(keras.optimizers.SGD(0.01), metrics=["accuracy"])
    return model, x, y


def train(model, x, y, strategy, stream):
    options = {"epochs": 2, "verbose": 0}
    if stream:
        several = strategy.num_replicas_in_sync > 1
        parts = {"labeled_per_batch": 3, "strategy": strategy if several else None}
        batches = data.batches(x, y, 7, with_index=model.needs_index, **parts)
        history = model.fit(batches, steps_per_epoch=2, **options).history
    else:
        history = model.fit(x, y, batch_size=8, shuffle=False, **options).history
    return {
        "history": history,
        "names": [variable.path for variable in model.weights],
        "weights": model.get_weights(),
        "answers": model.predict(x, batch_size=8, verbose=0),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
