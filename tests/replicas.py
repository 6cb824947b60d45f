"""Trains every method on one device, on two, and in one of two processes.

    python replicas.py FOLDER               # one device, then two
    python replicas.py FOLDER INDEX PORT PORT    # worker INDEX of two

Each training leaves its history, weights and answers, or the error it ended with, in
`FOLDER/one`, `mirrored`, `worker-0` or `worker-1`. Those on one device are repeated
without each of their losses.
"""

import inspect
import json
import os
import pickle
import sys
import traceback
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from small_methods import NEEDED, new, tiny

from sskeras import data, methods, networks


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
# So that in six steps each loss moves the weights, and each average, by far more than
# rounding does, and thresholds leave out some images.
GIVEN = {
    "AdaMatch": {"momentum": 0.5},
    "FreeMatch": {"momentum": 0.5, "fairness_weight": 1},
    "MeanTeacher": {"unsupervised_weight": 5},
    "MixMatch": {"unsupervised_weight": 5, "seed": 8},
    "PiModel": {"unsupervised_weight": 5},
    "SoftMatch": {"momentum": 0.5},
    "TemporalEnsembling": {"unsupervised_weight": 5},
}


class Turns(layers.Layer):
    """A view: the picture and its negative by turns, so that two views differ."""

    def __init__(self):
        super().__init__()
        self.turn = self.add_weight(
            initializer="zeros", trainable=False, aggregation="only_first_replica"
        )

    def call(self, x, training=False):
        x = ops.cast(x, "float32")
        if not training:
            return x
        view = x + self.turn * (255 - 2 * x)
        self.turn.assign(1 - self.turn)
        return view


def train_all(strategy, out):
    for case, (name, rows, network, arguments) in CASES.items():
        try:
            given = arguments | GIVEN.get(name, {})
            model, x, y = make(strategy, name, rows, network, **given)
            result = train(model, x, y, strategy, case == "stream")
        except Exception:
            result = traceback.format_exc()[-3000:]
        path = out / f"{case}.pickle"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(result))


def make(strategy, name, rows, network, **arguments):
    rng = np.random.default_rng(0)
    gamma = rng.uniform(0.2, 5, (rows, 1, 1, 1))
    x = (255 * rng.random((rows, 16, 16, 1)) ** gamma).astype("uint8")
    y = rng.integers(-1, 3, rows)
    y[: rows // 4] = -1  # The labels fall unevenly on the replicas.
    with strategy.scope():
        keras.utils.set_random_seed(0)
        arguments["class_weight"] = (1, 1, 2)
        if "num_images" in NEEDED[name]:
            arguments["num_images"] = rows
        model = new(name, network=network(), **views(name), **arguments)
        model.compile(keras.optimizers.SGD(0.01), metrics=["accuracy"])
    return model, x, y


def views(name):
    """Views without chance, of which a method sees two that differ."""
    parameters = inspect.signature(getattr(methods, name)).parameters
    if "strong" in parameters:
        return {"weak": layers.Identity(), "strong": layers.Rescaling(-1, 255)}
    return {"weak": Turns()} if "weak" in parameters else {}


def train(model, x, y, strategy, stream):
    start = [variable.numpy() for variable in model.variables]
    several = strategy.num_replicas_in_sync > 1
    factors = {} if several else weighed(model)
    history = fit(model, x, y, strategy if several else None, stream)
    result = {
        "history": history,
        "names": [variable.path for variable in model.weights],
        "learned": [variable.trainable for variable in model.weights],
        "weights": model.get_weights(),
        "answers": model.predict(x, batch_size=8, verbose=0),
        "without": {},
    }
    for loss, factor in factors.items():
        for variable, value in zip(model.variables, start, strict=True):
            variable.assign(value)
        factor.assign(0)
        fit(model, x, y, None, stream)
        factor.assign(1)
        result["without"][loss] = model.get_weights()
    return result


def weighed(model):
    """Multiplies each loss of a model by a variable, which is 1, and returns these."""
    objective = model.objective
    factors = {loss: tf.Variable(1.0, trainable=False) for loss in model.loss_names}

    def new_objective(x, y, training):
        logits, losses, *logs = objective(x, y, training)
        losses = {loss: factors[loss] * value for loss, value in losses.items()}
        return logits, losses, *logs

    model.objective = new_objective
    return factors


def fit(model, x, y, strategy, stream):
    options = {"epochs": 2, "verbose": 0}
    if not stream:
        return model.fit(x, y, batch_size=8, shuffle=False, **options).history
    parts = {"labeled_per_batch": 3, "strategy": strategy}
    batches = data.batches(x, y, 7, with_index=model.needs_index, **parts)
    return model.fit(batches, steps_per_epoch=2, **options).history


if __name__ == "__main__":
    main(*sys.argv[1:])
