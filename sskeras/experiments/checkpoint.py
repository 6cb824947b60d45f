"""Checkpoints from which a training goes on to the very same weights."""

import json

import keras
import numpy as np

from sskeras.experiments.folder import whole


class Checkpoint(keras.callbacks.Callback):
    """Keeps the state of a training after every epoch.

    Unlike `keras.callbacks.BackupAndRestore` it includes the state of the dropout.
    Together with batches that are addressed by their step, the resumed training equals
    the undisturbed one to the bit.

    Args:
        path: An `.npz` file, replaced after each epoch.
        history: An empty list, filled with one dict of logs for each epoch done.
    """

    def __init__(self, path, history):
        super().__init__()
        self.path = path
        self.history = history

    def restore(self, model):
        """Sets the state of a compiled model, if there is one, and returns the epoch.

        Raises:
            ValueError: If the file is damaged.
        """
        if not self.path.exists():
            return 0
        try:
            with np.load(self.path) as stored:
                self.history[:] = json.loads(str(stored["history"]))
                values = [stored[str(i)] for i in range(len(stored.files) - 1)]
            for variable, value in zip(state(model), values, strict=True):
                variable.assign(value)
        except Exception as error:
            raise ValueError(
                f"The checkpoint '{self.path}' is damaged ({error}). Remove the file "
                "to train from the beginning."
            ) from error
        return len(self.history)

    def on_epoch_end(self, epoch, logs=None):
        logs = {name: float(value) for name, value in logs.items()}
        self.history.append({"epoch": epoch + 1, **logs})
        arrays = map(keras.ops.convert_to_numpy, state(self.model))
        values = {str(i): array for i, array in enumerate(arrays)}
        with whole(self.path) as partial, open(partial, "wb") as file:
            np.savez(file, history=json.dumps(self.history), **values)


def state(model):
    """All that a training changes: variables of the model and of its optimizer."""
    return [*model.variables, *model.optimizer.variables]
