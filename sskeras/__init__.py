"""sskeras: semi-supervised image classification for Keras.

Table of contents, loaded when first used, so that `import sskeras` is quick:

- `networks`   the two-path ResNet and its supervised counterpart
- `methods`    how a network learns: `SSResNet`, `Supervised`
- `losses`     the equations of the papers, as functions
- `schedules`  λ(t) of the consistency losses
- `metrics`    macro precision, recall and F as Keras metrics
- `layers`     what Keras lacks or does slowly
- `data`       manifests, hidden labels, pictures and batches
- `evaluate`   scores with 95 % intervals
- `plots`      figures that return their Axes
- `export`     SavedModel with the preprocessing inside
"""

import importlib

__version__ = "0.1.0"

__all__ = [
    "data",
    "evaluate",
    "export",
    "layers",
    "losses",
    "methods",
    "metrics",
    "networks",
    "plots",
    "schedules",
]


def __getattr__(name):
    if name in __all__:
        return importlib.import_module(f"sskeras.{name}")
    raise AttributeError(f"module 'sskeras' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
