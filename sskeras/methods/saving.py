"""Loading a saved method, which `sskeras.load_model` does."""

import json
import os
import zipfile

import keras

# Functions of these modules compute and do nothing else.
FUNCTIONS = (
    "builtins",
    "keras.activations",
    "keras.losses",
    "keras.metrics",
    "keras.ops",
)
# Classes of these are parts of a network, or of its training.
CLASSES = (
    "keras",
    "keras.constraints",
    "keras.dtype_policies",
    "keras.initializers",
    "keras.layers",
    "keras.losses",
    "keras.metrics",
    "keras.models",
    "keras.optimizers",
    "keras.optimizers.schedules",
    "keras.quantizers",
    "keras.random",
    "keras.regularizers",
)
VALUES = (
    "__bytes__",
    "__ellipsis__",
    "__keras_tensor__",
    "__numpy__",
    "__slice__",
    "__tensor__",
)
MAX_RATIO = 100  # Of what a file unpacks to, to its size; Keras does not compress.
MOST_SAID = 500  # Characters of an error.


def load_model(path):
    """Loads a method, see `sskeras.load_model`."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no model '{path}'.")
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
            if unpacked > MAX_RATIO * os.path.getsize(path):
                raise ValueError(f"it unpacks to {unpacked:,} bytes.")
            refuse_harm(json.loads(archive.read("config.json")))
        return keras.models.load_model(path)
    except Exception as error:  # Keras and HDF5 have many for a damaged file.
        cause = str(error).rpartition("Exception encountered: ")[2]  # Of many layers.
        reason = " ".join(cause.split())[:MOST_SAID]
        raise ValueError(
            f"'{path}' holds no model that sskeras can load, or a damaged one: {reason}"
        ) from error


def refuse_harm(config):
    """Raises an error if a configuration names what could do harm.

    The safe mode of Keras takes any public name of Keras that a file has, also for
    functions that write files or change settings, and calls them.
    """
    if isinstance(config, dict):
        if "class_name" in config and not _is_harmless(config):
            name = f"{config.get('module')}.{_name(config)}"
            raise ValueError(f"it names {name}, which could do harm.")
        config = [*config.values()]
    if isinstance(config, list):
        for part in config:
            refuse_harm(part)


def _name(part):
    return part["config" if part["class_name"] == "function" else "class_name"]


def _is_harmless(part):
    name, module = _name(part), part.get("module")
    if part["class_name"] == "function":
        return module in FUNCTIONS or _is_registered(name)
    if name in VALUES or _is_registered(part.get("registered_name", name)):
        return True
    if not isinstance(module, str):
        return "module" in part  # Without, Keras takes it for a file of old.
    if not f"{module}.".startswith("keras.") or module.startswith("keras.src."):
        return True  # Of these, Keras itself takes nothing but parts of networks.
    return module in CLASSES and isinstance(_public(module, name), type)


def _is_registered(name):
    return keras.saving.get_registered_object(str(name)) is not None


def _public(module, name):
    """What Keras has under a public name, or `None`."""
    found = keras
    for part in [*module.split(".")[1:], str(name)]:
        found = getattr(found, part, None)
    return found
