"""From a manifest to batches of `(x, y)`; each name is loaded when first used.

- `read_manifest`   the table of pictures, checked row by row
- `check_pictures`  are all its files there?
- `class_names`     the classes, in the order that `class_weight` follows
- `select`          the rows of one split
- `encode_labels`   class names to integers, −1 = unknown
- `hide_labels`     keep 5 % of the labels of every class, hide the rest
- `check_labels`    warn about classes without a single label
- `load_pictures`   files to one uint8 array, in memory or in a cache file
- `batches`         endless, shuffled, resumable stream of `(x, y)`
- `steps_per_epoch` how many of these batches see every image once

The modules are `manifest`, `labels`, `pictures` (with `decode` and `resize`, which
the exported model uses too) and `pipeline`. The first two work without TensorFlow.
"""

import importlib

_NAMES = {
    "read_manifest": ("manifest", "read_manifest"),
    "check_pictures": ("manifest", "check_pictures"),
    "class_names": ("manifest", "class_names"),
    "select": ("manifest", "select"),
    "encode_labels": ("manifest", "encode_labels"),
    "hide_labels": ("labels", "hide_labels"),
    "check_labels": ("labels", "check_labels"),
    "load_pictures": ("pictures", "load"),
    "batches": ("pipeline", "batches"),
    "steps_per_epoch": ("pipeline", "steps_per_epoch"),
}
_MODULES = ("labels", "manifest", "pictures", "pipeline")

__all__ = [*_NAMES]


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"sskeras.data.{name}")
    if name in _NAMES:
        module, function = _NAMES[name]
        return getattr(importlib.import_module(f"sskeras.data.{module}"), function)
    raise AttributeError(f"module 'sskeras.data' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_NAMES, *_MODULES])
