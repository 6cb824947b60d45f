"""A training that breaks down stops, says why, and keeps its last good weights."""

import keras
import numpy as np
import pytest
from small_methods import NEEDED, new, tiny

from sskeras import methods
from sskeras.methods.watch import Watch


@pytest.fixture(scope="module")
def films():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (128, 16, 16, 1)).astype("uint8")
    return x, rng.integers(-1, 3, 128)


def train(x, y, optimizer="sgd", name="SSResNet", fitting=None, **arguments):
    keras.utils.set_random_seed(0)
    model = new(name, True, **arguments)
    model.compile(optimizer)
    usual = {"batch_size": 32, "epochs": 2, "verbose": 0, "shuffle": False}
    model.fit(x, y, **usual | (fitting or {}))
    return model


class Spoil(keras.callbacks.Callback):
    """Spoils a weight in the second epoch, and remembers those after the first."""

    def on_epoch_end(self, epoch, logs=None):
        self.good = self.model.get_weights()

    def on_train_batch_begin(self, batch, logs=None):
        self.batches = getattr(self, "batches", 0) + 1
        if self.batches == 7:  # Of four in an epoch.
            kernel = self.model.trainable_weights[-1]
            kernel.assign(kernel * np.nan)


@pytest.mark.parametrize("name", NEEDED)
def test_the_weights_are_those_of_the_last_whole_epoch_again(films, name):
    x, y = (part[:16] for part in films)
    keras.utils.set_random_seed(0)
    arguments = {"num_images": 16} if "num_images" in NEEDED[name] else {}
    model, spoil = new(name, True, **arguments), Spoil()
    model.compile(keras.optimizers.SGD(0.01))
    with pytest.raises(RuntimeError, match="step 3 of epoch 2 .*after epoch 1 again"):
        model.fit(
            x, y, batch_size=4, epochs=3, verbose=0, shuffle=False, callbacks=[spoil]
        )
    for weight, expected in zip(model.get_weights(), spoil.good, strict=True):
        assert np.isfinite(weight).all()
        np.testing.assert_array_equal(weight, expected)


def test_a_high_learning_rate_is_named_with_the_losses(films):
    message = (
        r"step 2 of epoch 1 \(supervised (?:nan|inf).*learning rate.*of the beginning"
    )
    with pytest.raises(RuntimeError, match=message):
        train(*films, keras.optimizers.SGD(1e20))


def test_an_endless_weight_is_named(films):
    with pytest.raises(RuntimeError, match="unsupervised_weight inf.*smaller λ"):
        train(*films, unsupervised_weight=1e38)


def test_float16_is_named(films):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        network = tiny(2)
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(RuntimeError, match="float16, which ends at 65,504"):
        train(*films, keras.optimizers.SGD(1e20), network=network)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_pictures_that_are_no_numbers_are_named(films, wrong):
    x = films[0].astype("float32")
    x[70, 3, 3] = wrong
    with pytest.raises(RuntimeError, match="step 3 of epoch 1.*The pictures hold NaN"):
        train(x, films[1])


RANGES = {
    "between 0 and 1": lambda x: x / 255,
    "between -1 and 1": lambda x: x / 127.5 - 1,
    "between -2 and 2": lambda x: np.float16(x / 63.75 - 2),
    "between -124 and 131": lambda x: x.astype("int32") - 124,
    r"between 0 and 6.55e\+04": lambda x: x.astype("uint16") * 257,
}


@pytest.mark.parametrize("name", ["SSResNet", "TemporalEnsembling"])
@pytest.mark.parametrize("said", RANGES)
def test_pictures_of_another_range_are_said_at_the_first_batch(films, name, said):
    x, y = (part[:16].copy() for part in films)
    x[0, 0, :2, 0] = 0, 255
    before = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: before.append(len(seen))
    )
    fitting = {"batch_size": 4, "epochs": 3, "callbacks": [count]}
    with pytest.warns(
        UserWarning, match=f"grays of the first batch lie {said}"
    ) as seen:
        train(RANGES[said](x), y, name=name, fitting=fitting)
    assert before == [0] + 11 * [1] and len(seen) == 1


def test_pictures_that_were_resized_are_in_range(films):
    """A warning would be an error here."""
    x, y = (part[:16].astype("float32") for part in films)
    train(x * 1.1 - 12, y, fitting={"epochs": 1})


def test_a_collapse_is_said_once(films):
    x, y = films
    y = np.where(y > 0, -1, y)  # One class alone is ever seen.
    named = {"class_names": ("a", "b", "c")}
    with pytest.warns(UserWarning) as seen:
        train(x, y, keras.optimizers.SGD(0.5), **named, fitting={"epochs": 6})
    said = [str(s.message) for s in seen if "given up" in str(s.message)]
    assert len(said) == 1 and "all 128 images were called 'a'" in said[0]


def test_validation_images_do_not_count_as_calls(films):
    x, y = films
    model = new("Supervised", True)
    model.compile("sgd")
    counts = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: found.append(model.calls.numpy().sum())
    )
    found = []
    model.fit(x, y, epochs=2, verbose=0, validation_data=(x, y), callbacks=counts)
    assert found == [128, 128]


def test_every_fit_is_watched(films):
    seen = []

    class Look(keras.callbacks.Callback):
        def set_model(self, model):
            super().set_model(model)
            seen.append(model)

    x, y = (part[:16] for part in films)
    model = methods.Supervised(tiny())
    model.compile("sgd")
    model.fit(x, y, verbose=0, callbacks=Look())
    own = keras.callbacks.CallbackList([Watch()], model=model)
    model.fit(x, y, verbose=0, callbacks=own)
    assert seen == [model]
