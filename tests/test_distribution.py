"""Two replicas equal one device, in a process of its own that has two CPU devices."""

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
import numpy as np, tensorflow as tf, keras
cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
from sskeras import methods, networks

name, divisor, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
rng = np.random.default_rng(0)
x = rng.integers(0, 256, (rows, 16, 16, 1)).astype("uint8")
y = rng.integers(-1, 3, rows)
y[: rows // 4] = -1  # The labels fall unevenly on the replicas.

def train(strategy):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        method = methods.find(name)
        make = networks.two_path_resnet if method.paths == 2 else networks.resnet
        network = make((16, 16, 1), 3, filters=(4, 8), dropout=0)
        model = method(network, (1, 1, 2), supervised_divisor=divisor)
        model.compile(keras.optimizers.SGD(0.01), metrics=["accuracy"])
    options = dict(epochs=3, batch_size=8, shuffle=False, verbose=0)
    history = model.fit(x, y, **options).history
    return model, history

one, expected = train(tf.distribute.get_strategy())
both, found = train(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
for key, values in expected.items():
    np.testing.assert_allclose(found[key], values, rtol=1e-3, err_msg=key)
assert int(keras.ops.convert_to_numpy(both.steps)) == int(one.steps)
for variable, w, v in zip(one.weights, one.get_weights(), both.get_weights()):
    np.testing.assert_allclose(v, w, rtol=1e-3, atol=2e-5, err_msg=variable.path)
"""


@pytest.mark.parametrize(
    ("method", "divisor", "rows"),
    [
        ("Supervised", "batch", 16),
        ("SSResNet", "batch", 16),
        ("SSResNet", "labeled", 19),  # The last batch has one row on one replica.
    ],
)
def test_two_replicas_equal_one_device(method, divisor, rows):
    done = subprocess.run(
        [sys.executable, "-c", CODE, method, divisor, str(rows)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert not done.returncode, done.stderr[-3000:]
