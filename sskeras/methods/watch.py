"""What `fit` watches for: losses that are no numbers, and a network that gives up."""

import warnings

import keras
import numpy as np

FEW = 100  # Images of which nothing can be said.


class Watch(keras.callbacks.Callback):
    """Stops a training that has broken down, and says so where one has collapsed.

    Every method adds it to what `fit` is given. When a loss is NaN or infinite, the
    weights become those after the last whole epoch again.

    Raises:
        RuntimeError: If a loss is no number, with the step and the likely cause.
    """

    def on_train_begin(self, logs=None):
        self.keep()
        self.began = False
        self.epochs_of_one_class = 0

    def keep(self):
        """Remembers what the model has learned so far."""
        self.good = [v.numpy() for v in self.model.variables]

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.model.calls.assign(np.zeros(self.model.num_classes, "float32"))

    def on_train_batch_end(self, batch, logs=None):
        if not self.began:
            self.began = True
            self.check_range()
        logs = {name: float(value) for name, value in logs.items()}
        if np.isfinite(logs["loss"]):
            return
        for variable, value in zip(self.model.variables, self.good, strict=True):
            variable.assign(value)
        since = f"after epoch {self.epoch}" if self.epoch else "of the beginning"
        shown = ", ".join(
            f"{name} {value:.4g}"
            for name, value in logs.items()
            if name in self.model.loss_names or name.endswith("_weight")
        )
        raise RuntimeError(
            f"The loss is {logs['loss']:g} at step {batch + 1} of epoch "
            f"{self.epoch + 1} ({shown}). {self.cause(logs)} The weights are those "
            f"{since} again."
        )

    def check_range(self):
        """Warns of pictures that were scaled already, or have 16 bits.

        Pictures that were resized may lie a little outside of 0 to 255.
        """
        low, high = self.model.grays.numpy()
        if low < high and (low < -64 or high < 20 or high > 320):
            warnings.warn(
                f"The grays of the first batch lie between {low:.3g} and {high:.3g}. "
                "Networks and views expect 0 to 255 and scale the pictures "
                "themselves: leave out what divides or standardizes them, multiply "
                "those in 0 to 1 by 255, and divide 16-bit ones by 257.",
                stacklevel=2,
            )

    def cause(self, logs):
        """The likely reason for a loss that is no number."""
        if not np.all(np.isfinite(self.model.grays.numpy())):
            return "The pictures hold NaN or infinite values: repair or remove them."
        if any(layer.compute_dtype == "float16" for layer in self.model.network.layers):
            return (
                "The network computes in float16, which ends at 65,504: take float32 "
                "or mixed_bfloat16, or a lower learning rate."
            )
        others = [n for n in self.model.loss_names if n != "supervised"]
        if np.isfinite(logs["supervised"]) and others:
            return "The supervised loss is sound: take a smaller λ or a longer ramp."
        return (
            "The usual cause is a learning rate that is too high: take a tenth of it."
        )

    def on_epoch_end(self, epoch, logs=None):
        self.keep()
        calls = self.model.calls.numpy()
        one_class = calls.sum() >= FEW and calls.max() == calls.sum()
        self.epochs_of_one_class = one_class * (self.epochs_of_one_class + 1)
        if self.epochs_of_one_class == 2:
            names = self.model.class_names or range(len(calls))
            warnings.warn(
                f"In epochs {epoch} and {epoch + 1} all {calls.sum():.0f} images were "
                f"called '{names[calls.argmax()]}': the network has given up on the "
                "other classes. Try a smaller λ or a longer ramp, a lower learning "
                "rate, or `labeled_per_batch` with `class_balanced`.",
                stacklevel=2,
            )
