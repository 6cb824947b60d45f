"""Export to ONNX and LiteRT, for phones, browsers and servers without TensorFlow."""

import importlib.util
import logging
import zipfile

import tensorflow as tf

from sskeras.export.about import metadata
from sskeras.export.common import appears_whole, compare, float32_twin, quiet

OPSET = 18  # of ONNX, December 2022
# Of a probability: other kernels add in another order. A second judge, whose numbers
# are large before they are weighed, differed by 3e-5.
ROUNDING = 1e-4

# Each runs where TensorFlow and sskeras are not.
ALONE = """
if {"tensorflow", "keras", "sskeras"} & {*sys.modules}:
    sys.exit("the export needs more than its runtime")
numpy.savez(answers, probabilities=found)
"""
RUN_ONNX = """
import sys
import numpy, onnxruntime
path, pictures, answers = sys.argv[1:]
session = onnxruntime.InferenceSession(path)
x = numpy.load(pictures)["x"]
[found] = session.run(["probabilities"], {"pictures": x})
"""
RUN_LITERT = """
import sys
import numpy
from ai_edge_litert.interpreter import Interpreter
path, pictures, answers = sys.argv[1:]
run = Interpreter(path).get_signature_runner("serving_default")
found = [run(pictures=x[None])["probabilities"][0] for x in numpy.load(pictures)["x"]]
"""


def onnx(model, path, training=None):
    """Writes an ONNX file, runs it in a process of its own and compares.

    It takes `pictures`, uint8 of shape `(batch, height, width, channels)` in 0-255 of
    the size of the network, and returns `probabilities` of shape `(batch, classes)`. It
    computes in float32 whatever the precision of the training. Unlike the SavedModel it
    does not decode or resize: do that as `data.load_pictures` does. The file's metadata
    holds `sskeras`, see `metadata`.

    Args:
        model: A `Method`, built, for example by `fit` or `load_model`.
        path: File to write. It must not exist, and appears only when the comparison on
            100 pictures has succeeded.
        training: JSON-serializable dict of how it was trained, for the metadata.

    Raises:
        FileExistsError: If the file exists.
        ImportError: If a package is missing; names it.
        RuntimeError: If the file does not give the same answers.
    """
    _need("onnx", "tf2onnx", "onnxruntime", extra="onnx")
    import onnx
    import tf2onnx

    twin = float32_twin(model)
    with appears_whole(path) as partial:
        # The converter logs what it does as warnings.
        with quiet(logging.getLogger("tf2onnx"), "ERROR"):
            made, _ = tf2onnx.convert.from_function(
                _function(twin), input_signature=[_pictures(twin)], opset=OPSET
            )
        onnx.helper.set_model_props(made, {"sskeras": metadata(model, training)})
        onnx.save(made, partial / "model")
        compare(twin, partial, RUN_ONNX + ALONE, most=ROUNDING)


def litert(model, path, training=None):
    """Writes a LiteRT file (`.tflite`), runs it in a process of its own and compares.

    Inputs, answers, arguments and errors are those of `onnx`; they belong to the
    signature `serving_default`, which takes one picture or, after
    `resize_tensor_input`, more. As the metadata tools of LiteRT do, a zip archive at
    the end of the file holds `sskeras.json`, see `metadata`, and `labels.txt`: `unzip`
    shows them.
    """
    _need("ai_edge_litert", extra="litert")
    twin = float32_twin(model)
    about = metadata(model, training)
    with appears_whole(path) as partial:
        module = tf.Module()
        module.weights = [variable.value for variable in twin.variables]
        module.serve = _function(twin)
        function = module.serve.get_concrete_function(_pictures(twin))
        tf.saved_model.save(module, partial / "saved", {"serving_default": function})
        converter = tf.lite.TFLiteConverter.from_saved_model(str(partial / "saved"))
        (partial / "model").write_bytes(converter.convert())
        with zipfile.ZipFile(partial / "model", "a") as archive:
            archive.writestr("sskeras.json", about)
            archive.writestr("labels.txt", "\n".join(model.class_names or ()))
        compare(twin, partial, RUN_LITERT + ALONE, most=ROUNDING)


def _function(twin):
    return tf.function(
        lambda pictures: {"probabilities": twin(pictures, training=False)}
    )


def _pictures(twin):
    return tf.TensorSpec((None, *twin.network.input_shape[1:]), tf.uint8, "pictures")


def _need(*packages, extra):
    missing = [name for name in packages if not importlib.util.find_spec(name)]
    if missing:
        raise ImportError(
            f"This export needs {', '.join(missing)}. Run: pip install "
            f"'sskeras[{extra}]'"
        )
