"""Macro-averaged metrics of equations 13-19 and the matrix they are read from.

All of them count one confusion matrix, rows = truth, columns = prediction, and differ
only in what they read from it. Every class weighs the same, however rare it is.
A rate with nothing in its denominator is 0, as scikit-learn's `zero_division=0`: a
class that is never predicted costs precision instead of disappearing from the mean.

Reference:
    Nwosu et al., "Semi-supervised Learning for COVID-19 Image Classification via
    ResNet" (2021).
"""

import keras
from keras import ops


class _Confusion(keras.metrics.Metric):
    def __init__(self, num_classes, name=None, dtype=None):
        if num_classes < 2:
            raise ValueError(
                "A confusion matrix needs at least 2 classes. "
                f"Received: num_classes={num_classes}"
            )
        super().__init__(name=name, dtype=dtype)
        self.num_classes = num_classes
        # Not `floatx`: bfloat16 stops counting at 256.
        self.counts = self.add_variable(
            (num_classes, num_classes), "zeros", "float32", "sum", "counts"
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch to the counts.

        Args:
            y_true: Integers of shape `(batch,)` or `(batch, 1)`; -1 marks an unlabeled
                image, which is not counted. A label of `num_classes` or more turns
                the result into NaN.
            y_pred: Probabilities or logits of shape `(batch, num_classes)`.
            sample_weight: Floats of shape `(batch,)`, or `None` for ones.
        """
        size = self.num_classes
        y_pred = ops.convert_to_tensor(y_pred)
        if y_pred.shape[-1] != size:
            raise ValueError(
                f"`{self.name}` was made for {size} classes and expects predictions "
                f"of shape (batch, {size}). Received: y_pred.shape={y_pred.shape}"
            )
        y = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        weight = ops.cast(y >= 0, "float32")
        if sample_weight is not None:
            weight *= ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
        weight = ops.where(y < size, weight, float("nan"))
        cell = ops.clip(y, 0, size - 1) * size + ops.argmax(y_pred, axis=-1)
        # A product of one-hot matrices would round the weights to TF32 on a GPU.
        counts = ops.segment_sum(weight, cell, num_segments=size * size)
        self.counts.assign_add(ops.reshape(counts, (size, size)))

    def get_config(self):
        return super().get_config() | {"num_classes": self.num_classes}


@keras.saving.register_keras_serializable("sskeras")
class MacroPrecision(_Confusion):
    """Mean over the classes of the share of its predictions that are right.

    Args:
        num_classes: Integer, at least 2.
        name: Optional name in the logs.
        dtype: Optional dtype; the counts are float32 in any case.

    Example:
        >>> metric = MacroPrecision(num_classes=3)
        >>> metric([0, 1, 2], [[.9, .1, 0], [.2, .8, 0], [.7, .2, .1]])
        0.5
    """

    def __init__(self, num_classes, name="macro_precision", dtype=None):
        super().__init__(num_classes, name, dtype)

    def result(self):
        return ops.mean(_rate(self.counts, ops.sum(self.counts, axis=0)))


@keras.saving.register_keras_serializable("sskeras")
class MacroRecall(_Confusion):
    """Mean over the classes of the share of its images that are found.

    See `MacroPrecision` for the arguments.
    """

    def __init__(self, num_classes, name="macro_recall", dtype=None):
        super().__init__(num_classes, name, dtype)

    def result(self):
        return ops.mean(_rate(self.counts, ops.sum(self.counts, axis=1)))


@keras.saving.register_keras_serializable("sskeras")
class MacroF(_Confusion):
    """Mean over the classes of F, the harmonic mean of precision and recall.

    This is not the harmonic mean of macro precision and macro recall, which is larger
    where some classes are found and others are not. See `MacroPrecision` for the
    arguments.
    """

    def __init__(self, num_classes, name="macro_f", dtype=None):
        super().__init__(num_classes, name, dtype)

    def result(self):
        truth = ops.sum(self.counts, axis=1)
        predicted = ops.sum(self.counts, axis=0)
        # 2PR / (P + R), with the number of hits cancelled.
        return ops.mean(_rate(self.counts, (truth + predicted) / 2))


@keras.saving.register_keras_serializable("sskeras")
class ConfusionMatrix(_Confusion):
    """The weighted counts, float32 of shape `(num_classes, num_classes)`.

    Rows are the truth, columns the predictions. The progress bar of `fit` shows their
    mean; `evaluate(..., return_dict=True)` returns them all. See `MacroPrecision` for
    the arguments.
    """

    def __init__(self, num_classes, name="confusion_matrix", dtype=None):
        super().__init__(num_classes, name, dtype)

    def result(self):
        return ops.convert_to_tensor(self.counts)


def _rate(counts, total):
    return ops.divide_no_nan(ops.diagonal(counts), total)
