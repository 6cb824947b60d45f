"""Loading a saved method, which `sskeras.load_model` does."""

import os

import keras


def load_model(path):
    """Loads a method, see `sskeras.load_model`."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no model '{path}'.")
    try:
        return keras.models.load_model(path)
    except Exception as error:  # Keras and HDF5 have many for a damaged file.
        raise ValueError(
            f"'{path}' holds no model that sskeras can load, or a damaged one: {error}"
        ) from error
