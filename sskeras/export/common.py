"""What all exports share: float32, a fresh process, nothing half written."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from sskeras.data import pictures
from sskeras.layers import set_weights

COMPARED = 100  # pictures


@contextlib.contextmanager
def appears_whole(path):
    """Gives a folder to write `model` into; it takes its own place when all went well.

    Args:
        path: File or folder to be. It must not exist, so that nothing is overwritten.
    """
    if Path(path).exists():
        raise FileExistsError(f"'{path}' exists. Name another one, or remove it first.")
    path = Path(path).absolute()  # The comparison runs elsewhere.
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".partial.{path.name}.", dir=path.parent))
    try:
        yield partial
        os.replace(partial / "model", path)
    finally:
        shutil.rmtree(partial)


def float32_twin(model):
    """A copy of a method that computes in float32, with the same weights."""

    def to_float32(entry):
        if entry.get("class_name") == "DTypePolicy":
            entry["config"]["name"] = "float32"
        return entry

    config = json.loads(json.dumps(model.get_config()), object_hook=to_float32)
    twin = type(model).from_config(config)
    twin(keras.Input(model.network.input_shape[1:]))
    set_weights(twin, model.get_weights())
    return twin


def compare(model, folder, script, size=None, most=1e-5):
    """Raises unless `model` in a folder answers as the method does, on noise.

    Args:
        model: A method in float32.
        folder: Folder with the export; pictures and answers are kept there, too.
        script: Python code that gets the paths of the export, of the pictures (`x` in
            an NPZ file) and of the answers to write (an NPZ file, an array of
            probabilities for each endpoint). It runs in a process of its own.
        size: Height and width of the pictures; `None` stands for those of the network.
        most: The largest difference in a probability that may be rounding.
    """
    height, width, channels = model.network.input_shape[1:]
    shape = (COMPARED, *(size or (height, width)), channels)
    x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.savez(folder / "pictures.npz", x=x)
    arguments = [folder / "model", folder / "pictures.npz", folder / "answers.npz"]
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )
    if done.returncode:
        raise RuntimeError(f"What was exported cannot be loaded:\n{done.stderr}")
    resized = pictures.resize(x, (height, width)) if size else x
    with tf.device("CPU"):  # as there: another device rounds otherwise
        expected = keras.ops.convert_to_numpy(model(resized, training=False))
    with np.load(folder / "answers.npz") as stored:
        answers = dict(stored)
    for endpoint, probabilities in answers.items():
        error = np.abs(probabilities - expected).max()
        if not error < most:
            raise RuntimeError(
                f"'{endpoint}' of what was exported differs from the model by "
                f"{error:.1e} in probability."
            )


@contextlib.contextmanager
def quiet(logger, level="WARNING"):
    """Nothing below a level is logged."""
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)
