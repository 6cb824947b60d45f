"""sskeras: semi-supervised image classification for Keras.

Table of contents, loaded when first used, so that `import sskeras` is quick:

- `networks`   the two-path ResNet and its supervised counterpart, COVID-Net, and
               backbones from `keras.applications`
- `methods`    how a network learns: `SSResNet`, `Supervised`, `MeanTeacher`, `FixMatch`
               and ten others; `methods.overview()` lists them
- `augment`    weak and strong views of chest films
- `losses`     the equations of the papers, as functions
- `schedules`  λ(t) of the consistency losses
- `metrics`    macro precision, recall and F as Keras metrics
- `layers`     what Keras lacks or does slowly
- `data`       manifests, hidden labels, pictures and batches
- `evaluate`   scores with 95 % intervals, calibration, decisions, a control
- `explain`    where a network looks, and what such a map is worth
- `plots`      figures that return their Axes
- `export`     SavedModel with the preprocessing inside, ONNX, LiteRT
- `load_model` a saved method, ready to predict or to train on
- `set_precision` half precision for the networks built next, where it is fast

Imported before TensorFlow, it asks it for oneDNN, which TensorFlow leaves off on
processors without VNNI instructions: training can take twice as long there.
"""

import importlib
import os
import sys

__version__ = "0.1.0"

__all__ = [
    "augment",
    "data",
    "evaluate",
    "explain",
    "export",
    "layers",
    "losses",
    "methods",
    "metrics",
    "networks",
    "plots",
    "schedules",
]

if sys.platform == "linux" and os.uname().machine == "x86_64":
    if "tensorflow" not in sys.modules:  # It reads this once, when it is imported.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def load_model(path):
    """Loads a method from a `.keras` file.

    The same as `keras.models.load_model`, but knows the classes of this package even
    when nothing of it has been used yet. Code that a file may bring along is not run,
    nor are functions that it names, unless they are registered or only compute.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no model, or a damaged one.
    """
    return importlib.import_module("sskeras.methods.saving").load_model(path)


def __getattr__(name):
    if name in __all__:
        return importlib.import_module(f"sskeras.{name}")
    if name == "set_precision":
        return importlib.import_module("sskeras.precision").set_precision
    raise AttributeError(f"module 'sskeras' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__, "set_precision"])
