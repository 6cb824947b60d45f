"""Two replicas equal one device, in a process of its own that has two CPU devices."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_methods import NEEDED

CODE = """
import json, sys, traceback
import numpy as np, tensorflow as tf, keras
cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
from sskeras import networks
from small_methods import new, tiny

def train(strategy, name, rows, network, **arguments):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (rows, 16, 16, 1)).astype("uint8")
    y = rng.integers(-1, 3, rows)
    y[: rows // 4] = -1  # The labels fall unevenly on the replicas.
    with strategy.scope():
        keras.utils.set_random_seed(0)
        arguments["class_weight"] = (1, 1, 2)
        model = new(name, True, network(), **arguments)
        model.compile(keras.optimizers.SGD(0.01), metrics=["accuracy"])
    options = dict(epochs=2, batch_size=8, shuffle=False, verbose=0)
    return model, model.fit(x, y, **options).history

def compare(*case, **arguments):
    one, expected = train(tf.distribute.get_strategy(), *case, **arguments)
    both, found = train(mirrored, *case, **arguments)
    for key, values in expected.items():
        tolerance = dict(rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(found[key], values, err_msg=key, **tolerance)
    for variable, w, v in zip(one.weights, one.get_weights(), both.get_weights()):
        np.testing.assert_allclose(v, w, rtol=1e-3, atol=2e-5, err_msg=variable.path)

def resnet():
    return networks.resnet((16, 16, 1), 3, filters=(4, 8), dropout=0)

def two_path():
    return networks.two_path_resnet((16, 16, 1), 3, filters=(4, 8), dropout=0)

def small(name):
    return lambda: tiny(2 if name == "SSResNet" else 1, dropout=0)

cases = {name: (name, 16, small(name), {}) for name in sys.argv[1:]}
cases["resnet"] = ("Supervised", 16, resnet, {})
# The last batch has one row on one replica.
cases["two_path"] = ("SSResNet", 19, two_path, {"supervised_divisor": "labeled"})
cases["own"] = ("MeanTeacher", 16, small(""), {"batch_norm": "own"})
# One for all: TensorFlow confuses the collective operations of two strategies.
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
results = {}
for label, (name, rows, network, arguments) in cases.items():
    try:
        compare(name, rows, network, **arguments)
        results[label] = ""
    except Exception:
        results[label] = traceback.format_exc()[-3000:]
print("RESULTS" + json.dumps(results))
"""

# MixMatch mixes the images of each replica by themselves.
EQUAL = [name for name in NEEDED if name != "MixMatch"]


@pytest.fixture(scope="module")
def results():
    done = subprocess.run(
        [sys.executable, "-c", CODE, *EQUAL],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
    assert not done.returncode, done.stderr[-3000:]
    return json.loads(done.stdout.split("RESULTS")[1])


@pytest.mark.parametrize("case", [*EQUAL, "resnet", "two_path", "own"])
def test_two_replicas_equal_one_device(results, case):
    assert not results[case], results[case]
