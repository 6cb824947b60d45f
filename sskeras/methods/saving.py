"""Loading a saved method, which `sskeras.load_model` does."""

import json
import os
import zipfile

import keras

# Functions of these modules compute and do nothing else.
HARMLESS = (
    "builtins",
    "keras.activations",
    "keras.losses",
    "keras.metrics",
    "keras.ops",
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
            refuse_functions(json.loads(archive.read("config.json")))
        return keras.models.load_model(path)
    except Exception as error:  # Keras and HDF5 have many for a damaged file.
        cause = str(error).rpartition("Exception encountered: ")[2]  # Of many layers.
        reason = " ".join(cause.split())[:MOST_SAID]
        raise ValueError(
            f"'{path}' holds no model that sskeras can load, or a damaged one: {reason}"
        ) from error


def refuse_functions(config):
    """Raises an error if a configuration names a function that could do harm.

    The safe mode of Keras calls any public function of Keras that a file names, also
    those that write files or change settings.
    """
    if isinstance(config, dict):
        if config.get("class_name") == "function" and not _is_harmless(config):
            name = f"{config.get('module')}.{config.get('config')}"
            raise ValueError(f"it names the function {name}, which could do harm.")
        config = [*config.values()]
    if isinstance(config, list):
        for part in config:
            refuse_functions(part)


def _is_harmless(function):
    if function.get("module") in HARMLESS:
        return True
    name = function.get("registered_name")
    return keras.saving.get_registered_object(str(name)) is not None
