"""Checkpoints from which a training goes on to the very same weights."""

import json
import os
import warnings

import keras
import numpy as np

from sskeras.experiments.folder import whole


class Checkpoint(keras.callbacks.Callback):
    """Keeps the state of a training after every epoch, and the one before it.

    Unlike `keras.callbacks.BackupAndRestore` it includes the state of the dropout.
    Together with batches that are addressed by their step, the resumed training equals
    the undisturbed one to the bit. The file is a zip archive, which knows the checksum
    of each array: a damaged one is noticed, and the one before it is used.

    Args:
        path: An `.npz` file, replaced after each epoch; the one before it is kept
            beside it, as `NAME_before.npz`.
        history: An empty list, filled with one dict of logs for each epoch done.
    """

    def __init__(self, path, history):
        super().__init__()
        self.path = path
        self.before = path.with_stem(f"{path.stem}_before")
        self.history = history
        self.is_damaged = False

    def restore(self, model):
        """Sets the state of a compiled model, if there is one, and returns the epoch.

        Raises:
            ValueError: If what is there is damaged.
        """
        damaged = []
        for path in (self.path, self.before):
            if not path.exists():
                continue
            try:
                self.history[:], values = read(path, state(model))
            except Exception as error:
                damaged.append(f"'{path}' is damaged ({error})")
                continue
            if damaged:
                self.is_damaged = True
                warnings.warn(f"{damaged[0]}. The one before it is used.", stacklevel=2)
            for variable, value in zip(state(model), values, strict=True):
                variable.assign(value)
            return len(self.history)
        if damaged:
            raise ValueError(
                f"The checkpoint {' and '.join(damaged)}. Remove the file to train "
                "from the beginning."
            )
        return 0

    def on_epoch_end(self, epoch, logs=None):
        logs = {name: float(value) for name, value in logs.items()}
        self.history.append({"epoch": epoch + 1, **logs})
        values = {str(i): v.numpy() for i, v in enumerate(state(self.model))}
        try:
            with whole(self.path) as partial:
                with open(partial, "wb") as file:
                    np.savez(file, history=json.dumps(self.history), **values)
                    file.flush()
                    os.fsync(file.fileno())
                if self.path.exists() and not self.is_damaged:
                    os.replace(self.path, self.before)
            self.is_damaged = False
        except OSError as error:
            raise OSError(
                f"The checkpoint after epoch {epoch + 1} cannot be written to "
                f"'{self.path.parent}' ({error.strerror}); the one before is intact. "
                "Make room and repeat the command to go on after it."
            ) from error


def read(path, variables):
    """Returns the history and the values for variables that a checkpoint holds."""
    with open(path, "rb") as file, np.load(file) as stored:
        history = json.loads(str(stored["history"]))
        values = [stored[str(i)] for i in range(len(stored.files) - 1)]
    shapes = [value.shape for value in values]
    if shapes != [tuple(variable.shape) for variable in variables]:
        raise ValueError("it is of another network or method")
    return history, values


def state(model):
    """All that a training changes: variables of the model and of its optimizer."""
    return [*model.variables, *model.optimizer.variables]
