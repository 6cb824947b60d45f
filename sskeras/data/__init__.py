"""From a manifest to batches of `(x, y)`; each name is loaded when first used.

- `read_manifest`   the table of pictures, checked row by row
- `check_pictures`  are all its files there?
- `class_names`     the classes, in the order that `class_weight` follows
- `select`          the rows of one split
- `encode_labels`   class names to integers, −1 = unknown
- `hide_labels`     keep 5 % of the labels of every class, hide the rest
- `check_labels`    warn about classes without a single label
- `load_pictures`   files to one uint8 array, in memory or in a cache file
- `Shards`          pictures packed by `python -m data_tools shards`, left on disk
- `open_pictures`   the one or the other, as the manifest says
- `batches`         endless, shuffled, resumable stream of `(x, y)`
- `steps_per_epoch` how many of these batches see every image once

The modules are `manifest`, `labels`, `pictures` (`decode` and `resize`, which the
exported model uses too), `loading`, `shards` and `pipeline`. The first two work
without TensorFlow.
"""

import importlib

_MODULE_OF = {
    "read_manifest": "manifest",
    "check_pictures": "manifest",
    "class_names": "manifest",
    "select": "manifest",
    "encode_labels": "manifest",
    "hide_labels": "labels",
    "check_labels": "labels",
    "load_pictures": "loading",
    "Shards": "shards",
    "open_pictures": "shards",
    "batches": "pipeline",
    "steps_per_epoch": "pipeline",
}
_MODULES = ("labels", "loading", "manifest", "pictures", "pipeline", "shards")

__all__ = [*_MODULE_OF]


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"sskeras.data.{name}")
    if name in _MODULE_OF:
        module = importlib.import_module(f"sskeras.data.{_MODULE_OF[name]}")
        return getattr(module, name)
    raise AttributeError(f"module 'sskeras.data' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_MODULE_OF, *_MODULES])
