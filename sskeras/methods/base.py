"""What every method shares: one training step and two hooks."""

import inspect

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from sskeras import losses as sskeras_losses
from sskeras.methods import checks, replicas
from sskeras.methods.watch import Watch

DIVISORS = ("batch", "labeled", "weight")  # Of the supervised loss.
# Where λ ramps up, it does so for 15 of the SSResNet paper's 50 epochs of 51 batches:
# the share of the training that Laine & Aila ramp up for.
RAMP_UP_STEPS = 15 * 51
BASE_ARGUMENTS = ("network", "class_weight", "class_names")
COMPILE_OPTIONS = ("optimizer", "run_eagerly", "steps_per_execution", "jit_compile")


class Method(keras.Model):
    """A network together with the way it learns.

    A method trains on batches `(x, y)`: pictures in 0-255 and integer labels in which
    -1 marks an image whose label is unknown. It predicts class probabilities.

    To add a method, subclass this, name its losses in `loss_names`, implement
    `objective` with `keras.ops` alone, and store each constructor argument under its
    own name. What moves after the optimizer, such as an average of the weights, goes
    into `after_update`. A method with `needs_index` gets `(pictures, index)` for `x`
    in training, the index being the row of each picture in the training set.

    Args:
        network: Functional model from pictures to logits.
        class_weight: One float per class, or `None` for ones.
        class_names: Names of the classes. They are saved with the model.
    """

    paper = ""  # Authors and year.
    needs = ""  # What the method asks for besides a network.
    paths = 1  # Outputs of the network that the method learns with.
    needs_index = False
    loss_names = ("supervised",)
    log_names = ()  # What `fit` logs besides the losses, such as their weights.
    class_log_names = ()  # The same, with one number for each class.
    peak_weight = 1.0  # λ, the weight of the unsupervised loss, ...
    ramp_up = None  # ... and the schedule by which it grows, if it does.

    def __init__(self, network, class_weight=None, class_names=None, **kwargs):
        # float32 outside, whatever the network computes in: probabilities, losses and
        # averages of weights must not be rounded to half precision.
        super().__init__(**{"dtype": "float32", **kwargs})
        self.network = checks.network(network, self)
        self.class_weight = checks.class_weight(class_weight, network)
        self.class_names = checks.class_names(class_names, network)
        self.steps = self.add_state((), "zeros", "int32", name="steps")
        per_class = [
            name for log in self.class_log_names for name in self.class_entries(log)
        ]
        self.trackers = {
            name: keras.metrics.Mean(name)
            for name in (*self.loss_names, *self.log_names, *per_class)
        }
        # What `Watch` sees: how often each class was called, smallest and largest gray.
        self.calls = replicas.local_variable(self.num_classes, "SUM")
        self.grays = replicas.local_variable(2, "MEAN")

    def add_state(self, shape, initializer, dtype="float32", *, name):
        """Adds a variable that no optimizer moves, the same on every replica.

        It is saved with the method. All replicas must assign it the same value.
        """
        return self.add_weight(
            shape=shape,
            dtype=dtype,
            initializer=initializer,
            trainable=False,
            aggregation="only_first_replica",
            name=name,
        )

    @classmethod
    def default_weight(cls, peak=None, steps=RAMP_UP_STEPS):
        """λ as the paper has it; `peak` is its last value, `steps` its way there."""
        peak = cls.peak_weight if peak is None else peak
        return cls.ramp_up(peak, steps) if cls.ramp_up else peak

    @property
    def num_classes(self):
        """C, the number of classes."""
        return checks.num_classes(self.network)

    def class_entries(self, log):
        """Names under which `fit` logs something that every class has one of."""
        names = self.class_names or range(self.num_classes)
        return [f"{log}_{name}" for name in names]

    def objective(self, x, y, training):
        """Returns the class logits and a dict of losses, one for each `loss_names`.

        A third result, a dict, is logged: numbers, or a vector with one for each class.
        """
        raise NotImplementedError

    def loss_weights(self, step):
        """Returns λ as a dict `{"NAME_weight": λ}`; losses left out have weight 1."""
        return {}

    def after_update(self):
        """Runs when the optimizer has moved the weights."""

    def logits(self, x, training=False):
        """The logits that classify: of a two-path network, those of the first path."""
        outputs = self.network(x, training=training)
        return outputs[0] if isinstance(outputs, (list, tuple)) else outputs

    def call(self, x, training=False):
        x, _ = checks.indexed(x, training=False)
        return ops.softmax(ops.cast(self.logits(x, training), "float32"))

    def train_step(self, data):
        x, y = checks.unpack(data, self, training=True)
        with tf.GradientTape() as tape:
            logits, losses, *logs = self.objective(x, y, training=True)
            weights = self.loss_weights(self.steps)
            loss = total(losses, weights)
            # Replicas sum their gradients, so each contributes its share.
            share = loss / self.distribute_strategy.num_replicas_in_sync
            scaled = self.optimizer.scale_loss(share)
        gradients = tape.gradient(scaled, self.trainable_weights)
        self.optimizer.apply(gradients, self.trainable_weights)
        self.steps.assign_add(1)
        self.after_update()
        loss = self.observed(x, logits, loss)
        return self.report(x, y, logits, loss, losses, weights, *logs)

    def observed(self, x, logits, loss):
        """Keeps what `Watch` wants to know of a step, and returns the loss.

        It is NaN where pictures are: ReLU may turn them into zeros, and no loss tells.
        """
        calls = ops.one_hot(ops.argmax(logits, axis=-1), self.num_classes)
        self.calls.assign_add(ops.sum(calls, axis=0))
        pictures, _ = checks.indexed(x, training=False)
        if pictures.dtype == "uint8":  # They cannot be outside of 0-255.
            return loss
        pictures = ops.cast(pictures, "float32")
        sound = ops.all(ops.isfinite(pictures))
        grays = ops.stack([ops.min(pictures), ops.max(pictures)])
        self.grays.assign(ops.where(sound, grays, float("nan")))
        return ops.where(sound, loss, float("nan"))

    def test_step(self, data):
        x, y = checks.unpack(data, self, training=False)
        logits, losses, *logs = self.objective(x, y, training=False)
        weights = self.loss_weights(self.steps)
        loss = total(losses, weights)
        return self.report(x, y, logits, loss, losses, weights, *logs)

    def report(self, x, y, logits, loss, *results):
        """Updates the metrics and returns them; unlabeled images have weight 0."""
        size = self.divisor(y)
        self._loss_tracker.update_state(loss, sample_weight=size)
        values = {name: v for part in results for name, v in part.items()}
        for log in self.class_log_names:
            per_class = ops.unstack(values.pop(log), self.num_classes)
            values |= zip(self.class_entries(log), per_class, strict=True)
        checks.logged(values, self)
        for name, value in values.items():
            self.trackers[name].update_state(value, sample_weight=size)
        labeled = sskeras_losses.is_labeled(y)
        probabilities = ops.softmax(logits)
        shown = self.compute_metrics(x, ops.maximum(y, 0), probabilities, labeled)
        return replicas.reducible(shown)

    def divisor(self, y, kind="batch"):
        """What a sum over the batch is divided by.

        It is the mean over the replicas, so that |B| means the global batch however
        unevenly its images fall on them.

        Args:
            y: Integer tensor of shape `(batch,)`.
            kind: "batch" for |B|, "labeled" and "unlabeled" for the number of such
                images, "weight" for the sum of the class weights of the labeled ones.

        Returns:
            Float scalar, 1 where there is nothing to divide.
        """
        if kind == "batch":
            count = ops.cast(ops.shape(y)[0], "float32")
        elif kind == "unlabeled":
            count = ops.sum(1.0 - sskeras_losses.is_labeled(y))
        else:
            weight = self.class_weight if kind == "weight" else None
            count = ops.sum(sskeras_losses.label_weight(y, weight))
        count = replicas.mean(count)
        return ops.where(count > 0, count, 1.0)

    def compile(
        self,
        optimizer="adam",
        loss=None,
        metrics=None,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile=False,
    ):
        """Configures the training, as `keras.Model.compile` does.

        Args:
            optimizer: Name or instance.
            loss: Must stay `None`: a method brings its losses.
            metrics: List of metrics of labels and probabilities, such as "accuracy".
                They see the labeled images only.
            run_eagerly: Boolean, to step through `objective` in a debugger.
            steps_per_execution: Integer, batches per call of the compiled step.
            jit_compile: Boolean. Off by default: XLA is slower on CPUs.
        """
        checks.no_loss(loss, self)
        checks.metrics(metrics)
        optimizer = with_loss_scale(keras.optimizers.get(optimizer), self.network)
        # Weighted metrics can skip the unlabeled images: their weight is 0.
        super().compile(
            optimizer,
            weighted_metrics=metrics,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
        )
        # A symbolic call builds the model: `fit`, then `export`, just works.
        self(keras.Input(self.network.input_shape[1:]))
        # Otherwise the first step creates variables, of the optimizer and of the
        # metrics, and is traced twice. Any batch will do.
        pictures = np.zeros((1, *self.network.input_shape[1:]), "float32")
        with self.distribute_strategy.scope():
            self._symbolic_build(data_batch=(pictures, np.zeros(1, "int32")))

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Does nothing: `compile` has built all.

        Keras would build the metrics with a mean of what all workers read, which fails
        (keras issue 20585).
        """

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        *,
        callbacks=None,
        class_weight=None,
        sample_weight=None,
        **kwargs,
    ):
        """As `keras.Model.fit`, with `y == -1` where the label is unknown."""
        checks.no_fit_weights(class_weight, sample_weight, self)
        checks.labels(y, self)
        checks.shares(x, batch_size, self)
        checks.enough_labels(y, self)
        if self.needs_index and y is not None:
            if not isinstance(x, tuple):
                x = (x, np.arange(len(x), dtype="int32"))
            checks.enough_memory(x[1], self)
        if isinstance(kwargs.get("validation_data"), (tuple, list)):
            checks.labels(kwargs["validation_data"][1], self)
        if isinstance(x, (tf.data.Dataset, tf.distribute.DistributedDataset)):
            kwargs.setdefault("shuffle", False)  # Keras says that it does not shuffle.
        return super().fit(x, y, batch_size, callbacks=watched(callbacks), **kwargs)

    def evaluate(self, x=None, y=None, batch_size=None, *args, **kwargs):
        """As `keras.Model.evaluate`; images with `y == -1` are not scored."""
        checks.labels(y, self)
        checks.shares(x, batch_size, self)
        return super().evaluate(x, y, batch_size, *args, **kwargs)

    def predict(self, x, batch_size=None, *args, **kwargs):
        """As `keras.Model.predict`: probabilities of shape `(images, classes)`."""
        checks.shares(x, batch_size, self)
        return super().predict(x, batch_size, *args, **kwargs)

    # Saving. Keras asks for the last method because `compile` is overridden.

    def get_config(self):
        names = {*inspect.signature(type(self)).parameters, *BASE_ARGUMENTS}
        names -= {"args", "kwargs"}
        own = {name: getattr(self, name) for name in sorted(names)}
        return super().get_config() | keras.saving.serialize_keras_object(own)

    @classmethod
    def from_config(cls, config):
        return cls(**keras.saving.deserialize_keras_object(config))

    def compile_from_config(self, config):
        config = keras.saving.deserialize_keras_object(config)
        self.compile(
            metrics=config["weighted_metrics"],
            **{name: config[name] for name in COMPILE_OPTIONS},
        )


def total(losses, weights):
    """Σ λ · loss, for example line 8 of Algorithm 1."""
    return sum(weights.get(f"{name}_weight", 1) * losses[name] for name in losses)


def watched(callbacks):
    """The callbacks that `fit` is given, and one that watches for a breakdown."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks
    return [Watch(), *keras.tree.flatten(callbacks or [])]


def with_loss_scale(optimizer, network):
    """Guards small gradients where the network computes in float16."""
    float16 = any(layer.compute_dtype == "float16" for layer in network.layers)
    if float16 and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
