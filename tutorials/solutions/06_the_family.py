# %% [markdown]
# # Solutions to [lesson 6](../06_the_family.ipynb)
#
# The films, labels and steps of the lesson again, then nine trainings. About 2 minutes.

# %%
import os

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import ops

from data_tools import phantom
from sskeras import augment, data, losses, methods, networks, schedules

os.chdir("..")
FAST = "SSKERAS_FAST" in os.environ
tf.config.run_functions_eagerly(FAST)
FOLDER, FILMS, DRAWN = ("films-240-32", 240, 32) if FAST else ("films-2400", 2400, 64)
EPOCHS, FILTERS = (1, (4, 8)) if FAST else (10, (8, 16))
SIZE, SHARE, BATCH, SEED = 32, 0.1, 64, 0
OPTIONS = {"class_weight": (1, 1, 2)}

# %%
manifest = phantom.write(FOLDER, count=FILMS, seed=SEED, size=DRAWN)
table = data.read_manifest(manifest)
classes = data.class_names(table)
train, test = data.select(table, "train"), data.select(table, "test")
x, x_test = (data.load_pictures(t.path, SIZE, progress=False) for t in (train, test))
truth, y_test = (data.encode_labels(t, classes) for t in (train, test))
y = data.hide_labels(truth, SHARE, SEED)
steps = data.steps_per_epoch(y, BATCH)
total = EPOCHS * steps


# %%
def ramp(peak):
    return schedules.GaussianRampUp(peak, 0.3 * total)


def one_path():
    return networks.resnet((SIZE, SIZE, 1), len(classes), FILTERS)


def fit(make, seed=SEED):
    keras.utils.set_random_seed(seed)
    model = make()
    rate = keras.optimizers.schedules.CosineDecay(3e-3, total)
    model.compile(keras.optimizers.Adam(rate), metrics=["accuracy"])
    batches = data.batches(x, y, BATCH, seed=seed)
    plan = {"epochs": EPOCHS, "steps_per_epoch": steps, "verbose": 0}
    return model, model.fit(batches, **plan).history


def accuracy(model):
    right = model.predict(x_test, verbose=0).argmax(-1) == y_test
    return 100 * np.average(right, weights=test.weight)


# %% [markdown]
# ## 1. A lower threshold

# %%
model, history = fit(lambda: methods.FixMatch(one_path(), threshold=0.8, **OPTIONS))
passed = ["mask_rate", *(f"pseudo_labels_{c}" for c in range(len(classes)))]
print(f"accuracy {accuracy(model):.1f} %; unlabeled films that pass, in %:")
(100 * pd.DataFrame(history)[passed]).iloc[[0, EPOCHS // 2, -1]].round(1)

# %% [markdown]
# A fifth of the films passes in the end, in place of one in two hundred, and the accuracy
# is what it was, 64.6 in the lesson: more films, and more of them wrongly labeled. Look at
# the first row, too. At the start the network knows nothing, and most of the few films that
# pass do so as COVID-19.

# %% tags=["check"]
if not FAST:
    assert 0.1 < history["mask_rate"][-1] < 0.3 and 60 < accuracy(model) < 68
    assert history[passed[3]][0] > history[passed[1]][0] + history[passed[2]][0]

# %% [markdown]
# ## 2. A faster teacher
#
# With $\alpha = 0.9$ the teacher is an average of about ten students.

# %%
model, history = fit(
    lambda: methods.MeanTeacher(
        one_path(), unsupervised_weight=ramp(3), decay=0.9, **OPTIONS
    )
)
for name in ("teacher", "network"):
    called = getattr(model, name).predict(x_test, verbose=0).argmax(-1)
    right = 100 * np.average(called == y_test, weights=test.weight)
    share = np.bincount(called, minlength=3) / len(called)
    print(f"{name}: accuracy {right:.1f} %, called {np.round(100 * share)} %")

# %% [markdown]
# Better than with 0.99, where the teacher called nearly every film pneumonia (51.8), and
# still below the supervised one: $\lambda$ is as large as it was. Teacher and student now
# say the same. The learning rate has gone to 0, the student stands still, and ten steps
# later the teacher is there.

# %% tags=["check"]
if not FAST:
    both = [
        getattr(model, n).predict(x_test, verbose=0).argmax(-1)
        for n in ("teacher", "network")
    ]
    assert np.mean(both[0] == both[1]) > 0.97 and 54 < accuracy(model) < 65

# %% [markdown]
# ## 3. Strong views for everybody

# %%
model, history = fit(
    lambda: methods.Supervised(one_path(), weak=augment.Strong(), **OPTIONS)
)
print(f"supervised, strong views: {accuracy(model):.1f} %")

# %% [markdown]
# Without views it was 68.7, with weak ones 65.5, and FixMatch had 64.6: differences of two
# or three points, inside every interval of the lesson, so that nothing is left that must be
# the method's. (FixMatch shows strong views only of unlabeled films that pass, hardly any
# there.) A paper that compares a method with strong views
# to a supervised network without them compares two things at once.

# %% tags=["check"]
if not FAST:
    assert accuracy(model) > 62

# %% [markdown]
# ## 4. Entropy minimization
#
# The entropy is small where the network is sure, whatever it is sure of.


# %%
@keras.saving.register_keras_serializable("solution6")
class Entropy(methods.Method):
    """Every film should be called with confidence."""

    loss_names = ("supervised", "entropy")
    log_names = ("entropy_weight",)

    def __init__(self, network, class_weight=None, weight=0.1, **kwargs):
        super().__init__(network, class_weight, **kwargs)
        self.weight = weight

    def objective(self, x, y, training):
        logits = self.network(x, training=training)
        entropy = losses.cross_entropy(ops.softmax(logits), logits)
        supervised = losses.weighted_cross_entropy(y, logits, self.class_weight)
        return logits, {"supervised": supervised, "entropy": entropy}

    def loss_weights(self, step):
        return {"entropy_weight": self.weight}


def entropy(weight):
    return lambda: Entropy(one_path(), weight=weight, **OPTIONS)


for weight in (0.1, 1.0):
    model, history = fit(entropy(weight))
    called = np.bincount(model.predict(x_test, verbose=0).argmax(-1), minlength=3)
    print(
        f"weight {weight}: accuracy {accuracy(model):.1f} %, "
        f"entropy {history['entropy'][0]:.2f} to {history['entropy'][-1]:.2f}, "
        f"films called {dict(zip(classes, called.tolist(), strict=True))}"
    )

# %% [markdown]
# The entropy falls with either weight, but sure is not right. With a weight of 0.1
# nothing is gained (the supervised network has 68.7). With 1 the second loss, which all
# films feed, is stronger than the labels, and can be had at once by calling most films
# the same; which class it becomes, no label decides. It is the degenerate solution of the
# lesson in another dress.

# %% tags=["check"]
if not FAST:
    assert np.max(called) > 0.8 * np.sum(called) and accuracy(model) < 55
    assert history["entropy"][-1] < 0.6 * history["entropy"][0]

# %% [markdown]
# ## 5. Two more seeds


# %%
def supervised():
    return methods.Supervised(one_path(), **OPTIONS)


def ssresnet():
    network = networks.two_path_resnet((SIZE, SIZE, 1), len(classes), FILTERS)
    more = {"consistency_space": "probabilities", "unsupervised_weight": ramp(1)}
    return methods.SSResNet(network, **more, **OPTIONS)


seeds = (1, 2)
found = {
    make.__name__: {f"seed {seed}": accuracy(fit(make, seed)[0]) for seed in seeds}
    for make in (supervised, ssresnet)
}
pd.DataFrame(found).T.round(1)

# %% [markdown]
# With seed 0, in the lesson, it was 68.7 and 65.9. So SSResNet is below once, level once,
# above once: three seeds say nothing but that a seed moves the accuracy by five points and
# more. One training of each would have told a story, and which one depends on the seed.
# [Lesson 7](../07_weights_and_thresholds.ipynb) computes with such differences.

# %% tags=["check"]
if not FAST:
    every = [*found["supervised"].values(), 68.7]
    other = [*found["ssresnet"].values(), 65.9]
    assert max(every) - min(every) > 3 and max(other) - min(other) > 5
    assert max(every) > min(other) and max(other) > min(every)
