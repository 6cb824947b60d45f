"""Every method keeps the same promises. A new method only adds a line to `NEEDED`."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_methods import NEEDED, SHAPE, in_training, new, without_dropout

from sskeras import data, methods, networks
from sskeras.experiments.checkpoint import Checkpoint, state


def resnet():
    return networks.resnet(SHAPE, 3, filters=(4, 8), dropout=0.2)


def two_path():
    return networks.two_path_resnet(SHAPE, 3, filters=(4, 8), dropout=0.2)


@pytest.fixture(params=NEEDED)
def make(request):
    """Makes a compiled method from its own arguments."""

    def compiled(optimizer="adam", eager=True, jit_compile=False, seed=0, **kwargs):
        """Eagerly, unless the graph matters: a step or two need no tracing."""
        keras.utils.set_random_seed(seed)
        model = new(request.param, **kwargs)
        model.compile(
            optimizer,
            metrics=["accuracy"],
            run_eagerly=eager and not jit_compile,
            jit_compile=jit_compile,
        )
        return model

    return compiled


@functools.cache
def trained(name):
    """A method after two epochs of one step, by its graph, and their logs."""
    x = np.random.default_rng(0).integers(0, 256, (16, *SHAPE)).astype("uint8")
    y = np.where(np.arange(16) % 2, np.arange(16) // 2 % 3, -1)
    keras.utils.set_random_seed(0)
    model = new(name, class_names=("a", "b", "c"))
    model.compile("adam", metrics=["accuracy"])
    return model, fit(model, x, y, batch_size=16)


def fit(model, x, y, epochs=2, batch_size=8):
    return model.fit(
        x, y, epochs=epochs, batch_size=batch_size, shuffle=False, verbose=0
    ).history


def assert_same_weights(one, other, **tolerance):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


def test_every_method_is_listed_and_found():
    classes = {n for n, c in vars(methods).items() if isinstance(c, type)}
    assert classes - {"Method"} == set(NEEDED)
    for name in NEEDED:
        assert methods.find(name.lower()) is getattr(methods, name)
    assert methods.find("sskeras.methods:SSResNet") is methods.SSResNet
    with pytest.raises(ValueError, match="Expected one of .*'ssresnet'.*'nothing'"):
        methods.find("nothing")


def test_each_loss_moves_the_network(make, batch):
    """A loss that is constant is the quietest bug of this field."""
    x, y = batch
    model = make()
    model.objective(in_training(model, x), y, training=True)  # Fills the memories.
    for name in model.loss_names:
        with tf.GradientTape() as tape:
            _, losses, *_ = model.objective(in_training(model, x), y, training=True)
        assert set(losses) == set(model.loss_names)
        gradients = tape.gradient(losses[name], model.trainable_weights)
        norms = [float(tf.norm(g)) for g in gradients if g is not None]
        assert max(norms, default=0) > 1e-8, name


def test_training_lowers_the_supervised_loss(make, batch):
    x, y = batch
    x = np.where(y[:, None, None, None] == 1, x // 2, x)  # Something easy to learn.
    x = np.where(y[:, None, None, None] == 2, x // 4, x)
    model = make(keras.optimizers.Adam(0.03), eager=False, still=True)
    history = fit(model, x, y, epochs=40, batch_size=16)
    assert history["supervised"][-1] < 0.7 * history["supervised"][0]


@pytest.mark.parametrize("name", NEEDED)
def test_fit_logs_every_loss_and_what_weights_it(name):
    model, history = trained(name)
    per_class = {f"{log}_{name}" for log in model.class_log_names for name in "abc"}
    logs = {*model.loss_names, *model.log_names, *per_class}
    assert set(history) == {"loss", "accuracy", *logs}
    total = 0
    for name in model.loss_names:
        total += history.get(f"{name}_weight", [1])[0] * history[name][0]
    assert history["loss"][0] == pytest.approx(total, rel=1e-5)
    if "pseudo_labels" in model.class_log_names and "mask_rate" in history:
        shares = sum(history[f"pseudo_labels_{name}"][0] for name in "abc")
        assert shares == pytest.approx(history["mask_rate"][0], abs=1e-6)


def test_a_step_is_traced_once(batch, monkeypatch):
    """Each variable that a step creates, such as a metric, has it traced again."""
    traced = []
    for name in ("train_step", "test_step"):
        step = getattr(methods.Method, name)

        def counted(self, data, name=name, step=step):
            traced.append(name)
            return step(self, data)

        monkeypatch.setattr(methods.Method, name, counted)
    model = new("Supervised")
    model.compile("adam", metrics=["accuracy"])
    model.fit(*batch, batch_size=8, epochs=2, verbose=0)
    model.evaluate(*batch, batch_size=8, verbose=0)
    assert traced == ["train_step", "test_step"]


def test_labels_of_unlabeled_images_never_matter(make, batch):
    """Only -1 can stand there; whatever was there before must not be reachable."""
    x, y = batch
    changed = np.where(y < 0, -7, y)
    for training in (False, True):
        one, other = make(), make()
        _, expected, *_ = one.objective(in_training(one, x), y, training)
        _, found, *_ = other.objective(in_training(other, x), changed, training)
        for name, loss in expected.items():
            assert float(found[name]) == float(loss), name


def test_permuting_a_batch_does_not_matter(make, batch):
    x, y = batch
    order = np.random.default_rng(1).permutation(len(y))
    model = make()
    _, losses, *_ = model.objective(x, y, training=False)
    _, permuted, *_ = model.objective(x[order], y[order], training=False)
    for name, loss in losses.items():
        assert float(permuted[name]) == pytest.approx(float(loss), rel=1e-5), name


def test_no_label_in_the_batch_is_no_supervised_loss(make, batch):
    x, _ = batch
    nothing = np.full(16, -1)
    logs = make().evaluate(x, nothing, return_dict=True, verbose=0)
    assert logs["supervised"] == 0
    assert np.isfinite(logs["loss"])
    model = make()
    stream = tf.data.Dataset.from_tensors((in_training(model, x), nothing))
    history = model.fit(stream, verbose=0, shuffle=False).history
    assert history["supervised"] == [0]
    assert all(np.isfinite(values[0]) for values in history.values())
    assert all(np.all(np.isfinite(w)) for w in model.get_weights())


def test_all_labeled(make, batch):
    x, _ = batch
    model = make()
    history = fit(model, x, np.arange(16) % 3)
    assert all(np.all(np.isfinite(values)) for values in history.values())
    assert all(np.all(np.isfinite(w)) for w in model.get_weights())
    if "mask_rate" in model.log_names:
        assert not np.any(history["mask_rate"])


def test_accuracy_sees_labeled_images_only(make, batch):
    x, y = batch
    model = make()
    logs = model.evaluate(x, y, return_dict=True, verbose=0)
    right = model.predict(x, verbose=0).argmax(-1) == y
    assert logs["accuracy"] == pytest.approx(right[y >= 0].mean())


def test_class_weights_scale_the_loss_of_their_class(make, batch):
    x, _ = batch
    only = np.full(16, 2)
    plain = make(supervised_divisor="batch")
    weighted = make(supervised_divisor="batch", class_weight=(1, 1, 5))
    one, five = (
        float(m.objective(x, only, False)[1]["supervised"]) for m in (plain, weighted)
    )
    assert five == pytest.approx(5 * one, rel=1e-5)


@pytest.mark.parametrize("kind", ["labeled", "weight"])
def test_other_divisors(make, batch, kind):
    x, y = batch
    w = np.array([1, 1, 5])
    count = np.sum(y >= 0) if kind == "labeled" else np.sum(w[y[y >= 0]])
    model = make(class_weight=w, supervised_divisor="batch")
    by_batch = model.objective(x, y, training=False)[1]
    model = make(class_weight=w, supervised_divisor=kind)
    losses = model.objective(x, y, training=False)[1]
    expected = float(by_batch["supervised"]) * 16 / count
    assert float(losses["supervised"]) == pytest.approx(expected, rel=1e-5)


def test_save_load_and_go_on(make, batch, tmp_path):
    x, y = batch
    model = make(still=True, class_names=("a", "b", "c"), class_weight=(1, 1, 2))
    fit(model, x, y)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0)
    )
    assert loaded.class_names == ("a", "b", "c")
    assert int(loaded.steps) == int(model.steps) == 4
    assert loaded.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    if isinstance(model, methods.MixMatch):
        return  # It draws anew after loading, as dropout does.
    # Without dropout, training goes on identically.
    for trained in (model, loaded):
        without_dropout(trained).train_function = None
        fit(trained, x, y)
    assert_same_weights(loaded, model, rtol=1e-5, atol=1e-6)


def test_a_checkpoint_takes_up_the_training(make, batch, tmp_path):
    """To the bit: dropout, views, memories, averages and teachers included."""

    def train(model, checkpoint, first, last):
        stream = data.batches(
            *batch, batch_size=8, start=2 * first, with_index=model.needs_index
        )
        model.fit(
            stream,
            steps_per_epoch=2,
            initial_epoch=first,
            epochs=last,
            callbacks=[checkpoint],
            shuffle=False,
            verbose=0,
        )

    whole, begun, taken_up = (make(seed=seed) for seed in (0, 0, 1))
    train(whole, Checkpoint(tmp_path / "whole.npz", []), 0, 2)
    train(begun, Checkpoint(tmp_path / "halved.npz", []), 0, 1)
    checkpoint = Checkpoint(tmp_path / "halved.npz", [])
    assert checkpoint.restore(taken_up) == 1
    train(taken_up, checkpoint, 1, 2)
    assert_same_weights(taken_up, whole, rtol=0)


@keras.saving.register_keras_serializable("tests")
class Terse(methods.Method):
    """A method as most people would write it: the rest goes on by `**kwargs`."""

    def __init__(self, network, alpha=0.5, **kwargs):
        super().__init__(network, **kwargs)
        self.alpha = alpha

    def objective(self, x, y, training):
        logits = self.network(x, training=training)
        return logits, {"supervised": keras.ops.mean(logits) * self.alpha}


def test_arguments_of_the_base_survive_saving(tmp_path):
    names = ("a", "b", "c")
    model = Terse(resnet(), alpha=0.1, class_weight=(1, 1, 5), class_names=names)
    model.compile("adam")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    found = loaded.alpha, loaded.class_weight, loaded.class_names
    assert found == (0.1, (1, 1, 5), names)


def test_a_method_from_elsewhere_must_be_loadable(monkeypatch):
    assert methods.find("sskeras.methods.ssresnet:SSResNet") is methods.SSResNet
    monkeypatch.setattr(methods, "Mine", type("Mine", (methods.Method,), {}), False)
    with pytest.raises(ValueError, match="Decorate the class"):
        methods.find("sskeras.methods:Mine")


def test_batch_size_may_be_the_third_argument(batch):
    model = new("Supervised")
    model.compile("adam", run_eagerly=True)
    history = model.fit(*batch, 8, verbose=0)
    assert history.params["steps"] == 2


@pytest.mark.parametrize("weight", [-1, "much", [1, 2], float("nan"), True])
def test_weights_of_losses_are_numbers_or_schedules(weight):
    with pytest.raises(ValueError, match="`unsupervised_weight` must be a number"):
        methods.SSResNet(two_path(), unsupervised_weight=weight)


def test_call_predict_and_export_agree(make, batch, tmp_path):
    x, y = batch
    model = make()
    fit(model, x, y)
    probabilities = model.predict(x, verbose=0)
    assert probabilities.dtype == "float32"
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(model(x), probabilities, rtol=1e-5)
    model.export(tmp_path / "saved", verbose=False)
    reloaded = tf.saved_model.load(tmp_path / "saved")
    found = reloaded.serve(tf.cast(x, "float32"))
    np.testing.assert_allclose(found, probabilities, rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(make, batch, policy):
    x, y = batch
    exact = make()
    keras.config.set_dtype_policy(policy)
    try:
        model = make()
    finally:
        keras.config.set_dtype_policy("float32")
    model.set_weights(exact.get_weights())
    half = model.network.get_layer("shared_conv").compute_dtype
    assert policy == f"mixed_{half}"
    assert model.compute_dtype == "float32"  # averages of weights must not be rounded
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")
    probabilities = model.predict(x, verbose=0)
    assert probabilities.dtype == "float32"
    np.testing.assert_allclose(probabilities, exact.predict(x, verbose=0), atol=0.03)
    before = model.network.get_layer("shared_conv").get_weights()[0]
    history = fit(model, x, y)
    assert np.all(np.isfinite(history["loss"]))
    assert {w.dtype for w in model.weights} <= {"float32", "int32"}
    kernel = model.network.get_layer("shared_conv").kernel
    assert kernel.dtype == "float32"
    assert np.abs(kernel - before).max() > 0


# One for each kind: two paths, memory, teacher, thresholds.
@pytest.mark.parametrize(
    "name", ["SSResNet", "TemporalEnsembling", "SRCMT", "FlexMatch"]
)
def test_xla_gives_the_same_losses(name, batch):
    """Dropout draws differ under XLA, so the comparison is without it."""
    histories = []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(0)
        model = without_dropout(new(name, still=True))
        model.compile("sgd", jit_compile=jit_compile)
        histories.append(fit(model, *batch))
    expected, found = histories
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-3, err_msg=name)


@pytest.mark.parametrize("name", ["SSResNet", "FlexMatch", "MeanTeacher"])
def test_arrays_and_datasets_give_the_same_weights(name, batch):
    x, y = batch
    models = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        models.append(new(name))
        models[-1].compile("adam")
    arrays, stream = models
    fit(arrays, x, y)
    pairs = (in_training(stream, x), y)
    dataset = tf.data.Dataset.from_tensor_slices(pairs).batch(8)
    stream.fit(dataset, epochs=2, verbose=0, shuffle=False)
    assert_same_weights(stream, arrays, rtol=1e-4, atol=1e-5)


ELSEWHERE = """
import json
import sys
import sskeras
import numpy as np
import test_methods
for name in test_methods.NEEDED:
    model, history = test_methods.trained(name)
    values = [variable.numpy() for variable in test_methods.state(model)]
    np.savez(f"{sys.argv[1]}/{name}.npz", json.dumps(history), *values)
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """The folder of what every method came to in another process."""
    folder = tmp_path_factory.mktemp("elsewhere")
    line = [sys.executable, "-c", ELSEWHERE, str(folder)]
    subprocess.run(line, cwd=Path(__file__).parent, check=True)
    return folder


@pytest.mark.parametrize("name", NEEDED)
def test_same_seed_same_bits(name, elsewhere):
    """By the graph, in two processes: the logs, and all that training changes."""
    model, history = trained(name)
    with np.load(elsewhere / f"{name}.npz") as stored:
        logs, *values = (stored[key] for key in stored.files)
    assert json.loads(str(logs)) == history
    for value, variable in zip(values, state(model), strict=True):
        np.testing.assert_array_equal(value, variable.numpy())


def test_the_number_of_data_threads_does_not_matter(make, batch):
    models = []
    for threads in (1, 16):
        models.append(make())
        stream = data.batches(*batch, 8, with_index=models[-1].needs_index)
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        models[-1].fit(stream.with_options(options), steps_per_epoch=4, verbose=0)
    assert_same_weights(*models, rtol=0)


REFUSED = {
    "compile.*without `loss`": lambda model, x, y: model.compile("adam", "mse"),
    "must be a list": lambda model, x, y: model.compile("adam", metrics="accuracy"),
    r"class_weight=\(1, 1, 2\)": lambda model, x, y: model.fit(
        x, y, class_weight={0: 1.0}
    ),
    "does not take `sample_weight`": lambda model, x, y: model.fit(
        x, y, sample_weight=np.ones(16)
    ),
    "does not take `sample_weight`.": lambda model, x, y: model.evaluate(
        x, y, sample_weight=np.ones(16), verbose=0
    ),
    "does not take `sample_weight`. ": lambda model, x, y: model.fit(
        tf.data.Dataset.from_tensors((x, y, np.ones(16))), verbose=0
    ),
    "no `y`": lambda model, x, y: model.fit(x, verbose=0),
    "one-hot": lambda model, x, y: model.fit(x, np.eye(3)[y], verbose=0),
    "one-hot labels": lambda model, x, y: model.fit(
        tf.data.Dataset.from_tensors((x, np.eye(3)[y])), verbose=0
    ),
    "from 0 to 2.*Received: 3 in row 5": lambda model, x, y: model.fit(
        x, np.where(np.arange(16) == 5, 3, y)
    ),
    "Received: 4 in row 0": lambda model, x, y: model.evaluate(x, y * 0 + 4),
    "Received: 5 in row 0": lambda model, x, y: model.fit(
        x, y, validation_data=(x, y * 0 + 5)
    ),
    "No image is labeled": lambda model, x, y: model.fit(x, np.full(16, -1)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused_with_a_repair(batch, message):
    """By the base class, so one method stands for all."""
    model = new("Supervised")
    model.compile("adam")
    with pytest.raises(ValueError, match=message):
        REFUSED[message](model, *batch)


def test_a_class_without_labels_is_named(batch):
    x, y = batch
    model = new("Supervised", class_names=("normal", "pneumonia", "covid-19"))
    model.compile("adam", run_eagerly=True)
    with pytest.warns(UserWarning, match="cannot be learned: covid-19"):
        model.fit(x, np.where(y == 2, -1, y), verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"class_weight": (1, 2)}, "each of the 3 classes"),
        ({"class_weight": {0: 1}}, "not a dict"),
        ({"class_weight": (1, 1, -1)}, "not negative"),
        ({"class_names": ("a", "a", "b")}, "3 different names"),
        ({"supervised_divisor": "rows"}, "Expected one of .*'batch'"),
    ],
)
def test_wrong_arguments(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


def test_a_method_must_list_what_it_returns(batch):
    class Forgetful(methods.Method):
        def objective(self, x, y, training):
            return self.network(x), {"supervised": 0.0, "forgotten": 0.0}

    model = Forgetful(resnet())
    model.compile("adam")
    with pytest.raises(ValueError, match="`loss_names`.*Received: .*'forgotten'"):
        model.evaluate(*batch, verbose=0)


def test_wrong_number_of_paths():
    with pytest.raises(ValueError, match="two_path_resnet.*'resnet' with 1 output"):
        methods.SSResNet(resnet())
    with pytest.raises(ValueError, match="networks.resnet.*with 2 output"):
        methods.Supervised(two_path())
