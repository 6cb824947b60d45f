"""Latency and throughput of a trained network, in every way there is to ask it.

    python benchmarks/inference.py [--filters 64 128] [--rounds 5]

One two-path network for 64x64 pictures with random weights and statistics predicts in
processes of their own, which take turns. "Keras" is what its user would write: the same
network with `keras.layers.BatchNormalization`, cut down to the path that classifies,
under TensorFlow's defaults, as are the SavedModels. ONNX Runtime runs what
`export.float32_twin(model).export(format="onnx")` writes. All must give the same
probabilities first. In each round a way answers requests of one picture for half a
second, and then one of 256 pictures; of the slow ways the 99th percentile is about the
slowest of all requests. Ratios are those of the rounds, median and range.

Needs `pip install onnx tf2onnx onnxruntime`.
"""

import argparse
import io
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

# Before sskeras, so that the environment alone says what becomes of oneDNN.
import tensorflow as tf  # isort: skip
import keras
import numpy as np
from common import Worker, print_machine, print_table, ratio, take_turns
from PIL import Image

from sskeras import export, load_model, methods, networks

ONEDNN = {"TF_ENABLE_ONEDNN_OPTS": "1"}  # As `import sskeras` asks for.
PLAIN = {}  # As TensorFlow decides.
# Name: what asks, its environment, and the way of Keras it stands beside.
WAYS = {
    "Keras, model(x)": ("keras call", PLAIN, "Keras, model(x)"),
    "Keras, predict": ("keras predict", PLAIN, "Keras, predict"),
    "Keras, SavedModel": ("keras serve", PLAIN, "Keras, SavedModel"),
    "model(x)": ("sskeras call", ONEDNN, "Keras, model(x)"),
    "predict": ("sskeras predict", ONEDNN, "Keras, predict"),
    "predict_on_batch": ("sskeras predict_on_batch", ONEDNN, "Keras, predict"),
    "serve": ("sskeras serve", PLAIN, "Keras, SavedModel"),
    "serve_bytes": ("sskeras serve_bytes", PLAIN, "Keras, SavedModel"),
    "serve, oneDNN": ("sskeras serve", ONEDNN, "Keras, SavedModel"),
    "ONNX Runtime": ("onnx run", PLAIN, "Keras, SavedModel"),
}
BATCH = 256
SHAPE = (64, 64, 1)


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filters", type=int, nargs=2, default=(64, 128))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(*arguments.work)
        return
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        write_models(Path(folder), arguments.filters)
        workers = {
            name: Worker([__file__, "--work", folder, asks], environment=environment)
            for name, (asks, environment, _) in WAYS.items()
        }
        print_difference({name: worker.facts for name, worker in workers.items()})
        results = take_turns(workers, arguments.rounds)
        for worker in workers.values():
            worker.close()
    report(results)


def write_models(folder, filters):
    """Writes one network as a method, as SavedModels and for ONNX Runtime."""
    keras.utils.set_random_seed(0)
    network = networks.two_path_resnet(SHAPE, 3, filters)
    rng = np.random.default_rng(0)
    for weight in network.weights:  # As if trained: nothing is 0 or 1.
        if weight.path.endswith(("moving_variance", "gamma")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.path.endswith(("moving_mean", "beta")):
            weight.assign(rng.normal(0, 0.2, weight.shape))
        elif weight.path.endswith("logits/kernel"):  # Else it is too sure of itself.
            weight.assign(0.1 * weight)
    method = methods.SSResNet(network)
    method.compile()
    method.save(folder / "sskeras.keras")
    export.saved_model(method, folder / "sskeras")
    twin = export.float32_twin(method)
    twin.export(folder / "onnx", format="onnx", verbose=False)
    peer = plain(network)
    peer.save(folder / "keras.keras")
    peer.export(folder / "keras", verbose=False)


def plain(network):
    """The path that classifies, with Keras's own batch normalization."""

    def to_keras(layer):
        kind = type(layer)
        if isinstance(layer, keras.layers.BatchNormalization):
            kind = keras.layers.BatchNormalization
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(network, clone_function=to_keras)
    copy.set_weights(network.get_weights())
    return keras.Model(copy.input, keras.layers.Softmax()(copy.outputs[0]))


def work(folder, asks):
    """Is a worker that answers with the seconds of its requests, the largest last."""
    ask, prepare = asking(Path(folder), *asks.split())
    brightest = np.linspace(20, 256, BATCH).reshape(-1, 1, 1, 1)
    pictures = np.random.default_rng(0).integers(0, brightest, (BATCH, *SHAPE), "uint8")
    one, many = prepare(pictures[:1]), prepare(pictures)
    for _ in range(3):
        ask(one)
    print("answer", json.dumps(np.asarray(ask(many)).tolist()), flush=True)
    for _ in sys.stdin:
        seconds, start = [], time.perf_counter()
        while time.perf_counter() - start < 0.5:
            seconds.append(clock(ask, one))
        print("answer", json.dumps([*seconds, clock(ask, many)]), flush=True)


def asking(folder, whose, how):
    """Returns a function that answers requests, and one that makes them of pictures."""
    if whose == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(folder / "onnx")
        name = session.get_inputs()[0].name
        dtype = session.get_inputs()[0].type.removeprefix("tensor(").rstrip("8)")
        dtype = {"float": "float32", "uint": "uint8"}[dtype]
        return lambda x: session.run(None, {name: x})[0], lambda x: x.astype(dtype)
    if how.startswith("serve"):
        loaded = tf.saved_model.load(folder / whose)
        if whose == "keras":
            return lambda x: loaded.serve(x).numpy(), lambda x: x.astype("float32")
        prepare = png if how == "serve_bytes" else tf.constant
        return lambda x: getattr(loaded, how)(x)["probabilities"].numpy(), prepare
    model = load_model(folder / f"{whose}.keras")
    if how == "call":
        return lambda x: model(x, training=False).numpy(), lambda x: x
    if how == "predict_on_batch":
        return model.predict_on_batch, lambda x: x
    return lambda x: model.predict(x, batch_size=BATCH, verbose=0), lambda x: x


def png(pictures):
    """The bytes of a PNG file for each picture."""
    files = [io.BytesIO() for _ in pictures]
    for picture, file in zip(pictures, files, strict=True):
        Image.fromarray(picture[..., 0]).save(file, "PNG")
    return tf.constant([file.getvalue() for file in files])


def clock(ask, request):
    """Returns the seconds until an answer is there."""
    start = time.perf_counter()
    ask(request)
    return time.perf_counter() - start


def print_difference(probabilities):
    """Prints how far the ways differ, and stops if that is more than rounding."""
    first, *others = [np.array(p) for p in probabilities.values()]
    assert np.ptp(first, axis=0).max() > 0.01, "Every picture gives the same answer."
    most = max(np.abs(other - first).max() for other in others)
    print(f"Largest difference between two ways in a probability: {most:.1e}\n")
    assert most < 1e-5, "The ways do not give the same probabilities."


def report(results):
    """Prints the table; a round's latency is the median of its requests."""
    latency = {
        name: [statistics.median(request[:-1]) for request in rounds]
        for name, rounds in results.items()
    }
    largest = {name: [r[-1] for r in rounds] for name, rounds in results.items()}
    heads = ["way", "1 picture, ms", "99 % within, ms", "faster than Keras"]
    heads += [f"pictures/s in {BATCH}", "faster than Keras"]
    rows = []
    for name, (_, _, peer) in WAYS.items():
        requests = [1000 * s for r in results[name] for s in r[:-1]]
        rows.append(
            [
                name,
                f"{statistics.median(requests):.2f}",
                f"{np.percentile(requests, 99):.2f}",
                ratio(latency[name], latency[peer]),
                f"{BATCH / statistics.median(largest[name]):.0f}",
                ratio(largest[name], largest[peer]),
            ]
        )
    print_table(heads, rows)


if __name__ == "__main__":
    main()
