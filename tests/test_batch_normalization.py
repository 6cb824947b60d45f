"""Batch normalization equals Keras's and a naive loop, on every path and export."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from sskeras.layers import BatchNormalization

PICTURES = (4, 5, 6, 3)
HALF = {"mixed_float16": 1e-3, "mixed_bfloat16": 8e-3}  # Half a step at 1, doubled.


def inputs(shape=PICTURES, mean=1, scale=3):
    return np.random.default_rng(0).normal(mean, scale, shape).astype("float32")


def pair(shape, **kwargs):
    """Keras's layer and ours, equal weights, distinct per channel."""
    ours = BatchNormalization(**kwargs)
    theirs = keras.layers.BatchNormalization(
        **{"momentum": 0.9, "epsilon": 1e-5, **kwargs}
    )
    for layer in (theirs, ours):
        layer.build(shape)
        rng = np.random.default_rng(1)
        layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in layer.weights])
    return theirs, ours


def naive(x, weights, steps=1, momentum=0.9, epsilon=1e-5):
    """Outputs of the last step and moving statistics, channel by channel."""
    gamma, beta, moving_mean, moving_variance = np.array(weights, "float64")
    y = np.empty(x.shape)
    for channel in range(x.shape[-1]):
        values = [float(v) for v in x[..., channel].ravel()]
        mean = sum(values) / len(values)
        variance = sum((v - mean) ** 2 for v in values) / len(values)
        normal = (x[..., channel] - mean) / (variance + epsilon) ** 0.5
        y[..., channel] = gamma[channel] * normal + beta[channel]
        for moving, new in ((moving_mean, mean), (moving_variance, variance)):
            for _ in range(steps):
                moving[channel] = momentum * moving[channel] + (1 - momentum) * new
    return y, moving_mean, moving_variance


def trained(layer, x, steps=1, jit_compile=False, **kwargs):
    """Outputs of the last step, gradients of all it depends on, and the weights."""

    @tf.function(jit_compile=jit_compile)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.cast(layer(x, training=True, **kwargs), "float32")
            loss = tf.reduce_sum(y * tf.sin(7 * tf.cast(x, "float32")))
        return y, tape.gradient(loss, [x, *layer.trainable_variables])

    for _ in range(steps):
        y, gradients = step(tf.constant(x))
    return [tf.cast(v, "float32") for v in (y, *gradients, *layer.get_weights())]


def assert_equal(found, expected, tolerance=2e-5):
    assert len(found) == len(expected) > 0
    for ours, theirs in zip(found, expected, strict=True):
        atol = tolerance * max(1, np.abs(theirs).max())
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=atol)


def operations(layer, shape=PICTURES, training=True, dtype="float32", **kwargs):
    """Names of the operations of one call, in order."""
    call = tf.function(lambda x: layer(x, training=training, **kwargs))
    graph = call.get_concrete_function(tf.TensorSpec(shape, dtype)).graph
    return [operation.type for operation in graph.get_operations()]


def is_fused(layer, **kwargs):
    return "FusedBatchNormV3" in operations(layer, **kwargs)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("momentum, epsilon", [(0.9, 1e-5), (0.7, 0.5)])
@pytest.mark.parametrize("shape", [PICTURES, (2, 1, 1, 3), (1, 1, 1, 3)])
def test_several_steps_equal_a_naive_loop(shape, momentum, epsilon, jit_compile):
    _, ours = pair(shape, momentum=momentum, epsilon=epsilon)
    assert is_fused(ours, shape=shape)
    x, weights = inputs(shape), ours.get_weights()
    y, *_, mean, variance = trained(ours, x, 5, jit_compile)
    expected = naive(x, weights, 5, momentum, epsilon)
    # Of one or two values the variance may be less than the rounding of XLA.
    assert_equal([y, mean, variance], expected, 2e-5 if x.size > 6 else 1e-3)


# What leaves the fused kernel out, and what only looks as if it did.
FUSED = {
    "pictures": {},
    "last": {"axis": 3},
    "own": {"synchronized": False},
    "half_variables": {"dtype": "float16"},
    "no_autocast": {"dtype": "mixed_float16", "autocast": False},
}
PLAIN = {
    "axis_1": {"axis": 1},
    "axis_2": {"axis": -2},
    "no_scale": {"scale": False},
    "no_center": {"center": False},
    "renorm": {"renorm": True, "renorm_clipping": {"rmax": 1.5, "dmax": 0.5}},
    "float64": {"dtype": "float64"},
}
SHAPES = {"vectors": (32, 3), "sequences": (8, 6, 3), "volumes": (2, 3, 4, 5, 3)}


@pytest.mark.parametrize(
    "case, jit_compile",
    [(case, False) for case in [*FUSED, *PLAIN, *SHAPES]]
    + [(case, True) for case in ("pictures", "half_variables", "vectors")],
)
def test_outputs_gradients_and_statistics_equal_those_of_keras(case, jit_compile):
    shape = SHAPES.get(case, PICTURES)
    arguments = (FUSED | PLAIN).get(case, {})
    if case == "renorm" and not hasattr(keras.layers.BatchNormalization(), "renorm"):
        pytest.skip("Keras has it from 3.14 on")
    theirs, ours = pair(shape, **arguments)
    dtype = ours.compute_dtype if arguments.get("autocast", True) else "float32"
    assert is_fused(ours, shape=shape, dtype=dtype) == (case in FUSED)
    x = inputs(shape)
    expected = trained(theirs, x, 3, jit_compile)
    tolerance = 2e-3 if "float16" in str(arguments) else 5e-5
    assert_equal(trained(ours, x, 3, jit_compile), expected, tolerance)
    assert ours(x, training=True).dtype == theirs(x, training=True).dtype
    theirs.set_weights(ours.get_weights())
    np.testing.assert_array_equal(ours(x), theirs(x))


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("policy", HALF)
@pytest.mark.parametrize("channels", [3, 16])
def test_half_precision_computes_statistics_in_float32(channels, policy, jit_compile):
    shape = (*PICTURES[:3], channels)
    theirs, ours = pair(shape, dtype=policy)
    assert is_fused(ours, shape=shape, dtype=ours.compute_dtype)
    # Their squares overflow in float16 and have three digits in bfloat16.
    x = tf.cast(inputs(shape, mean=1000, scale=300), ours.compute_dtype)
    wide, weights = np.array(tf.cast(x, "float64")), ours.get_weights()
    y, *gradients = trained(ours, x, 3, jit_compile)[:4]
    expected, *statistics = naive(wide, weights, 3)
    assert_equal([y], [expected], HALF[policy])
    assert_equal([ours.moving_mean, ours.moving_variance], statistics, 1e-5)
    assert all(weight.dtype == "float32" for weight in ours.weights)
    assert_equal(gradients, trained(theirs, x, 3, jit_compile)[1:4], 0.02)


@pytest.mark.parametrize(("channels", "wanted"), [(16, "bfloat16"), (20, "float32")])
def test_the_kernel_is_fed_half_precision_where_it_is_fast(channels, wanted):
    shape = (*PICTURES[:3], channels)
    _, ours = pair(shape, dtype="mixed_bfloat16")
    call = tf.function(lambda x: ours(x, training=True))
    graph = call.get_concrete_function(tf.TensorSpec(shape, "bfloat16")).graph
    [kernel] = [o for o in graph.get_operations() if o.type == "FusedBatchNormV3"]
    assert kernel.inputs[0].dtype == wanted
    assert call(tf.cast(inputs(shape), "bfloat16")).dtype == "bfloat16"


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("training", [False, None])
def test_inference_is_the_very_graph_of_keras(training, dtype):
    theirs, ours = pair(PICTURES, dtype=dtype)
    expected = operations(theirs, training=training)
    assert operations(ours, training=training) == expected
    np.testing.assert_array_equal(
        ours(inputs(), training=training), theirs(inputs(), training=training)
    )


def test_a_frozen_layer_infers_and_keeps_its_statistics():
    theirs, ours = pair(PICTURES)
    ours.trainable = theirs.trainable = False
    before = ours.get_weights()
    np.testing.assert_array_equal(
        ours(inputs(), training=True), theirs(inputs(), training=True)
    )
    np.testing.assert_array_equal(ours.get_weights(), before)


def test_masked_pixels_do_not_count():
    theirs, ours = pair(PICTURES)
    mask = np.random.default_rng(2).random(PICTURES[:-1]) < 0.5
    assert not is_fused(ours, mask=tf.constant(mask))
    expected = trained(theirs, inputs(), mask=mask)
    assert_equal(trained(ours, inputs(), mask=mask), expected)
    unmasked = naive(inputs(), theirs.get_weights())[0]
    assert np.abs(expected[0] - unmasked).max() > 0.01


@pytest.mark.parametrize("channels", [3, None])
def test_batch_and_picture_of_any_size(channels):
    _, ours = pair(PICTURES)
    weights = ours.get_weights()
    spec = tf.TensorSpec((None, None, None, channels))
    step = tf.function(lambda x: ours(x, training=True), input_signature=[spec])
    for shape in ((1, 1, 2, 3), (4, 5, 6, 3), (2, 9, 1, 3)):
        ours.set_weights(weights)
        y = step(inputs(shape))
        found = (y, ours.moving_mean, ours.moving_variance)
        assert_equal(found, naive(inputs(shape), weights))


@pytest.mark.parametrize("shape", [PICTURES, (64, 3)])
def test_a_mean_far_from_zero_leaves_the_variance_its_digits(shape):
    x = inputs(shape, mean=1000, scale=0.1)
    _, ours = pair(shape)
    weights = ours.get_weights()
    *_, variance = trained(ours, x)
    assert_equal([variance], naive(x, weights)[2:], 1e-5)
    assert np.var(trained(ours, x)[0], axis=(*range(len(shape) - 1),)).min() > 0.1


def test_xla_keeps_the_variance_to_one_percent_at_100_standard_deviations():
    x = inputs(mean=100, scale=1)
    theirs, ours = pair(PICTURES, momentum=0)
    expected = trained(theirs, x, jit_compile=True)[-1]
    np.testing.assert_allclose(trained(ours, x, jit_compile=True)[-1], expected, 0.01)


def test_arguments_configuration_and_weights_are_those_of_keras():
    theirs = keras.layers.BatchNormalization(3, 0.8, 0.01, center=False, name="bn")
    ours = BatchNormalization(3, 0.8, 0.01, center=False, name="bn", synchronized=False)
    assert ours.get_config() == theirs.get_config()
    assert type(ours).from_config(theirs.get_config()).get_config() == ours.get_config()
    names = [[w.name for w in layer.weights] for layer in pair(PICTURES)]
    assert names[0] == names[1] == ["gamma", "beta", "moving_mean", "moving_variance"]
    default = BatchNormalization()
    assert (default.axis, default.momentum, default.epsilon) == (-1, 0.9, 1e-5)
    assert default.synchronized


def test_a_saved_model_trains_on_alike(tmp_path):
    layer = BatchNormalization(momentum=0.5, epsilon=0.1, gamma_regularizer="l2")
    model = keras.Sequential([keras.Input(PICTURES[1:]), layer])
    model(inputs(), training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[0]) is BatchNormalization
    expected = trained(layer, inputs(), 2)
    assert_equal(trained(loaded.layers[0], inputs(), 2), expected, 1e-6)
    np.testing.assert_allclose(loaded.losses[0], model.losses[0])


def test_other_back_ends_get_the_layer_of_keras(monkeypatch):
    saved = BatchNormalization().get_config()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    ours = BatchNormalization.from_config(saved)
    assert not ours.synchronized
    theirs = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    assert operations(ours) == operations(theirs)


OTHER_BACK_END = """
import json, sys
import numpy as np, keras
sys.modules["tensorflow"] = None  # Importing it is an error.
from sskeras.layers import BatchNormalization
x = np.load(sys.argv[1])
layer = BatchNormalization.from_config(json.loads(sys.argv[2]))
layer.build(x.shape)
layer.set_weights(np.load(sys.argv[3]))
y = layer(x, training=True)
found = (y, layer.moving_mean, layer.moving_variance)
found = [keras.ops.convert_to_numpy(v).tolist() for v in found]
print("RESULTS" + json.dumps(found))
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_back_end_without_tensorflow(backend, tmp_path):
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    _, ours = pair(PICTURES)
    weights = ours.get_weights()
    np.save(tmp_path / "x.npy", inputs())
    np.save(tmp_path / "weights.npy", weights)
    found = run(
        OTHER_BACK_END,
        tmp_path / "x.npy",
        json.dumps(ours.get_config()),
        tmp_path / "weights.npy",
        environment={"KERAS_BACKEND": backend},
    )
    assert_equal([np.array(v) for v in found], naive(inputs(), weights))


def run(code, *arguments, environment=None):
    """What a program prints after RESULTS, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        env=os.environ | (environment or {}),
    )
    assert not done.returncode, done.stderr[-3000:]
    return json.loads(done.stdout.split("RESULTS")[1])


TWO_REPLICAS = """
import json
import numpy as np, tensorflow as tf, keras
cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
from test_batch_normalization import REPLICAS, inputs, operations, pair, trained
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

def both(shape, mean, scale, arguments):
    x = inputs(shape, mean, scale)
    with strategy.scope():
        layer = pair(shape, **arguments)[1]
    uneven = [x[: shape[0] // 4], x[shape[0] // 4 :]]
    x = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(uneven[context.replica_id_in_sync_group])
    )
    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.cast(layer(x, training=True), "float32")
            loss = tf.reduce_sum(y * tf.sin(7 * x))
        return y, tape.gradient(loss, [x, *layer.trainable_variables])

    for _ in range(3):
        y, (dx, *gradients) = strategy.run(step, [x])
    rows = [tf.concat(strategy.experimental_local_results(v), 0) for v in (y, dx)]
    sums = [strategy.reduce("SUM", g, axis=None) for g in gradients]
    return [np.array(v).tolist() for v in (*rows, *sums, *layer.get_weights())]

print("RESULTS" + json.dumps({name: both(*case) for name, case in REPLICAS.items()}))
"""
REPLICAS = {
    "pictures": ((8, 5, 6, 3), 1, 3, {}),
    "vectors": ((32, 3), 1, 3, {}),
    "axis_1": ((8, 3, 5, 6), 1, 3, {"axis": 1, "dtype": "float64"}),
    "float16": ((8, 5, 6, 16), 1, 3, {"dtype": "mixed_float16"}),
    "three": ((8, 5, 6, 3), 1, 3, {"dtype": "mixed_float16"}),
    "bfloat16": ((8, 5, 6, 16), 1, 3, {"dtype": "mixed_bfloat16"}),
    "own": ((8, 5, 6, 3), 1, 3, {"synchronized": False}),
    "far": ((8, 5, 6, 3), 1000, 1, {}),
    "empty": ((3, 5, 6, 3), 1, 3, {}),
}


@pytest.fixture(scope="module")
def replicas():
    return run(TWO_REPLICAS)


@pytest.mark.parametrize("case", [name for name in REPLICAS if name != "own"])
def test_two_replicas_equal_one_device(replicas, case):
    shape, mean, scale, arguments = REPLICAS[case]
    _, ours = pair(shape, **arguments)
    expected = trained(ours, inputs(shape, mean, scale), 3)
    tolerance = {"float16": 2e-3, "three": 2e-3, "bfloat16": 2e-2, "far": 5e-3}.get(
        case, 1e-4
    )
    assert_equal(list(map(np.array, replicas[case])), expected, tolerance)


def test_replicas_without_synchronization_use_their_own_rows(replicas):
    shape, mean, scale, arguments = REPLICAS["own"]
    _, ours = pair(shape, **arguments)
    x, rows = inputs(shape, mean, scale), shape[0] // 4
    expected = [trained(ours, part)[0] for part in (x[:rows], x[rows:])]
    assert_equal([np.array(replicas["own"][0])], [np.concatenate(expected)])


@pytest.fixture(scope="module")
def network():
    """A trained network of any picture size, with the layer at three places."""
    keras.utils.set_random_seed(0)
    x = pictures = keras.Input((None, None, 2))
    x = BatchNormalization(name="pictures")(x)
    x = keras.layers.Conv2D(4, 3, use_bias=False)(x)
    x = keras.layers.ReLU()(BatchNormalization(name="convolution")(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(pictures, BatchNormalization(name="vectors")(x))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(inputs((32, 8, 8, 2)), inputs((32, 4)), epochs=5, verbose=0)
    return model


def saved_model(model, folder):
    model.export(folder, verbose=False)
    loaded = tf.saved_model.load(folder)
    return lambda x: loaded.serve(x)


def onnx(model, folder):
    for package in ("onnx", "tf2onnx", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    import onnxruntime

    model.export(folder / "model.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def litert(model, folder):
    model.export(str(folder / "model.tflite"), format="litert", verbose=False)
    return interpreter((folder / "model.tflite").read_bytes())


def converted(model, folder):
    function = tf.function(lambda x: model(x, training=False))
    spec = tf.TensorSpec((None, None, None, 2))
    function = function.get_concrete_function(spec)
    # Given the model too, as is often seen, it writes weights of no value.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    return interpreter(converter.convert())


def interpreter(content):
    reason = "ai-edge-litert is not installed"
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason=reason)
    runner = litert.Interpreter(model_content=content)
    (inputs,), (outputs,) = runner.get_input_details(), runner.get_output_details()

    def run(x):
        runner.resize_tensor_input(inputs["index"], x.shape)
        runner.allocate_tensors()
        runner.set_tensor(inputs["index"], x)
        runner.invoke()
        return runner.get_tensor(outputs["index"])

    return run


@pytest.mark.parametrize("export", [saved_model, onnx, litert, converted])
def test_exports_answer_as_the_network_does(network, export, tmp_path):
    answer = export(network, tmp_path)
    for shape in ((1, 8, 8, 2), (5, 9, 12, 2)):
        x = inputs(shape, mean=-2)
        expected = network.predict(x, verbose=0)
        assert np.ptp(expected) > 0.1
        np.testing.assert_allclose(answer(x), expected, rtol=1e-4, atol=1e-5)
