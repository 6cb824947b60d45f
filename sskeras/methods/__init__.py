"""Methods: how a network learns from labeled and unlabeled images.

This list is the registry: `sskeras train --method NAME` finds what stands here.
"""

import importlib
import inspect

import keras

# A saved method needs the layers and metrics that its network and `compile` use.
from sskeras import layers as layers
from sskeras import metrics as metrics
from sskeras.methods.adamatch import AdaMatch as AdaMatch
from sskeras.methods.base import Method as Method
from sskeras.methods.fixmatch import FixMatch as FixMatch
from sskeras.methods.flexmatch import FlexMatch as FlexMatch
from sskeras.methods.freematch import FreeMatch as FreeMatch
from sskeras.methods.mean_teacher import MeanTeacher as MeanTeacher
from sskeras.methods.mixmatch import MixMatch as MixMatch
from sskeras.methods.pi_model import PiModel as PiModel
from sskeras.methods.pseudo_label import PseudoLabel as PseudoLabel
from sskeras.methods.softmatch import SoftMatch as SoftMatch
from sskeras.methods.srcmt import SRCMT as SRCMT
from sskeras.methods.ssresnet import SSResNet as SSResNet
from sskeras.methods.supervised import Supervised as Supervised
from sskeras.methods.temporal_ensembling import (
    TemporalEnsembling as TemporalEnsembling,
)
from sskeras.methods.uda import UDA as UDA


def find(name):
    """Returns the class of a method.

    Args:
        name: Name of a class of this package, in any case, with `_` or without, or
            `"module:Class"` for a method that lives elsewhere.
    """
    if ":" in name:
        module, _, attribute = name.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"Cannot load the method {name!r}: {error}") from error
        return _usable(found, name)
    found = {method.__name__.lower(): method for method in listed()}
    wanted = name.lower().replace("_", "").replace("-", "")
    if wanted not in found:
        raise ValueError(
            f"Unknown method. Expected one of {sorted(found)}, or 'module:Class' for "
            f"your own. Received: {name!r}"
        )
    return found[wanted]


def listed():
    """The methods of this package, by the year of their papers."""
    found = [value for value in globals().values() if _is_one(value)]
    return sorted(found, key=lambda method: method.paper[-4:])


def overview():
    """A text about each method: name, paper, what it does and what it needs."""
    entries = []
    for method in listed():
        title = f"{method.__name__.lower():20} {method.paper}"
        summary = inspect.getdoc(method).splitlines()[0]
        entries.append(f"{title}\n    {summary}\n    Needs {method.needs}.")
    return "\n".join(entries)


def _usable(found, name):
    """Returns a method from elsewhere if a run could train, save and load it."""
    if not _is_one(found):
        raise ValueError(f"{name!r} is not a subclass of `sskeras.methods.Method`.")
    registered = keras.saving.get_registered_name(found)
    if keras.saving.get_registered_object(registered) is not found:
        raise ValueError(
            f"{name!r} could be saved but not loaded. Decorate the class with "
            '`@keras.saving.register_keras_serializable("your_package")`.'
        )
    return found


def _is_one(value):
    return isinstance(value, type) and issubclass(value, Method) and value != Method
