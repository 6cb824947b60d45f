# %% [markdown]
# # Solutions to [lesson 4](../04_baselines.ipynb)
#
# They read the films anew and train six small networks. About 1 minute.

# %%
import os

os.chdir("..")

import keras
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from data_tools import phantom
from sskeras import data, evaluate, methods, networks
from sskeras.experiments import paper

FAST = "SSKERAS_FAST" in os.environ  # Set by our own tests: too short to learn much.
FOLDER, FILMS, DRAWN = ("films-240-32", 240, 32) if FAST else ("films-2400", 2400, 64)
EPOCHS, NARROW, WIDE = (1, (4, 8), (8, 16)) if FAST else (12, (8, 16), (16, 32))
FEW, MORE = (0.5, 0.7) if FAST else (0.05, 0.2)
SIZE, BATCH = 32, 64

# %%
table = data.read_manifest(phantom.write(FOLDER, count=FILMS, seed=0, size=DRAWN))
classes = data.class_names(table)
train, test = data.select(table, "train"), data.select(table, "test")
x, x_test = (data.load_pictures(t.path, SIZE, progress=False) for t in (train, test))
truth, y_test = (data.encode_labels(t, classes) for t in (train, test))
steps = 1 if FAST else data.steps_per_epoch(truth, BATCH)


def score(probabilities):
    patients = {"weight": test.weight, "patient_id": test.patient_id}
    return evaluate.scores(y_test, probabilities, classes, **patients)


def learn(share, seed=0, filters=NARROW, **options):
    keras.utils.set_random_seed(seed)
    model = methods.Supervised(networks.resnet((SIZE, SIZE, 1), 3, filters))
    rate = keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * steps)
    model.compile(keras.optimizers.Adam(rate), run_eagerly=FAST)
    y = data.hide_labels(truth, share, seed)
    batches = data.batches(x, y, BATCH, seed=seed, **options)
    model.fit(batches, epochs=EPOCHS, steps_per_epoch=steps, verbose=0)
    return score(model.predict(x_test, verbose=0))


# %% [markdown]
# ## 1. Three seeds

# %%
seeds = {f"seed {seed}": learn(FEW, seed) for seed in range(3)}
print({name: evaluate.cell(found["accuracy"]) for name, found in seeds.items()})
mean = evaluate.over_seeds([found["accuracy"]["value"] for found in seeds.values()])
print("mean over seeds:", evaluate.cell(mean))

# %% [markdown]
# 6.4 points between the lowest and the highest. The interval of a single run holds the
# choice of test patients and nothing else; that of the mean holds labels, initial weights
# and order. It is the wider one here: three seeds are few. Both belong to a result.

# %% tags=["check"]
if not FAST:
    one = seeds["seed 0"]["accuracy"]
    assert mean["high"] - mean["low"] > one["high"] - one["low"]

# %% [markdown]
# ## 2. The penalty
#
# Cross-validation leaves out a fifth of the *labeled training* films in turn, all films of a
# patient together. COVID-19 is left out: at 5 % it has too few films. The test films take no
# part in the choice; we look at them afterwards.

# %%
flat, flat_test = x.reshape(len(x), -1), x_test.reshape(len(x_test), -1)
penalties = (1e-4, 1e-3, 1e-2, 1e-1, 1)
columns = {}
with threadpool_limits(1):
    for share in (1, FEW):
        y = data.hide_labels(truth, share, 0)
        y[y == 2] = -1  # Too few of COVID-19 to leave some out; it is rare anyway.
        own, patients, y = flat[y >= 0], train.patient_id[y >= 0], y[y >= 0]
        folds = [*StratifiedGroupKFold(5).split(own, y, patients)]
        for C in penalties:
            logistic = LogisticRegression(C=C, max_iter=1000)
            model = make_pipeline(StandardScaler(), logistic)
            inside = cross_val_score(model, own, y, cv=folds).mean()
            right = model.fit(own, y).predict(flat_test) == y_test
            outside = np.average(right, weights=test.weight)
            columns[f"{100 * share:g} %", C] = {"left out": inside, "test": outside}
penalty = (100 * pd.DataFrame(columns).T.unstack(0)).round(1).rename_axis("C")
penalty

# %% [markdown]
# The films left out choose 0.1 with all labels, and 0.001 with 5 %: of 81 films it is a
# guess, and on the test films 0.01 is better. With all labels it stays beside the
# lesson's ResNet. With 5 % the choice costs four points: 60.2, just below the ResNet's
# interval, in which the lesson's 0.01 lay. With `C=0.0001` it loses eleven points, and
# the ResNet would have beaten it clearly. So with few labels the lesson's conclusion
# depends on the penalty. Give a baseline the care that you give to your own method.

# %% tags=["check"]
if not FAST:
    few = penalty["test", "5 %"]
    assert few[0.01] - few[0.0001] > 5 and abs(few[0.01] - few[0.1]) < 3
    assert penalty["left out", "5 %"].idxmax() in (1e-3, 1e-2, 1e-1)

# %% [markdown]
# ## 3. Blind for one class
#
# Two recalls of 100 % and one of 0: a macro recall of 66.7 %. The accuracy lacks only the
# share of COVID-19.

# %%
blind = np.eye(3)[np.where(y_test == 2, 1, y_test)]
{name: evaluate.cell(score(blind)[s]) for s, name in evaluate.SCORES.items()}

# %% tags=["check"]
np.testing.assert_allclose(score(blind)["macro_recall"]["value"], 2 / 3)
assert score(blind)["accuracy"]["value"] > 0.99

# %% [markdown]
# More than 99 % accurate, and blind for the disease that one looks for. (Its precision is
# undefined where a class is never predicted, and counts as 0.) So a macro recall below 67 %
# always raises a question: which class was missed?
#
# ## 4. Half of each batch is labeled
#
# An epoch is now a pass over the *unlabeled* films, of which a batch takes 32: nearly twice
# as many steps. We train with the steps of the lesson.

# %%
y = data.hide_labels(truth, FEW, 0)
print("steps:", steps, "with 32 labeled:", data.steps_per_epoch(y, BATCH, 32))
half = learn(FEW, labeled_per_batch=32)
pair = {"3 of 64 labeled": seeds["seed 0"], "32 of 64 labeled": half}
print(evaluate.table(pair))

# %% [markdown]
# No gain in accuracy: the intervals overlap, and the new one is the lower. (MacroP is
# high because the only film called COVID-19 is one; its interval says how little that
# means.) After as many steps each labeled film was drawn ten times as often, and the
# network had known them by heart before.

# %% tags=["check"]
if not FAST:
    assert data.steps_per_epoch(y, BATCH, 32) == 50
    assert half["accuracy"]["low"] < seeds["seed 0"]["accuracy"]["high"]
    assert half["accuracy"]["value"] < seeds["seed 0"]["accuracy"]["value"] + 0.02

# %% [markdown]
# ## 5. More weights or more labels?

# %%
trials = {
    "narrow, 5 %": seeds["seed 0"],
    "wide, 5 %": learn(FEW, filters=WIDE),
    "narrow, 20 %": learn(MORE),
}
print(evaluate.table(trials))

# %% [markdown]
# More labels. The wide network has nearly four times the weights, and its accuracy is about
# the same. Four times the labels give ten points.

# %% tags=["check"]
if not FAST:
    assert abs(trials["wide, 5 %"]["accuracy"]["value"] - mean["value"]) < 0.06
    narrow, wide, more = (found["accuracy"]["value"] for found in trials.values())
    assert more > max(narrow, wide) + 0.03

# %% [markdown]
# ## 6. Decode

# %%
for difference in (-0.1, 0, 0.1):
    c = paper.covid_found(0.93, 0.70, difference)
    print(f"p - n = {difference:4.1f}: {c:.2f} of 33")

# %% tags=["check"]
assert 7.5 < c < 8
assert abs(paper.covid_found(0.93, 0.6233)) < 0.1

# %% [markdown]
# About eight, 7.5 to 7.8, whatever the difference of the recalls. With $c = 0$ an
# accuracy of 93 % leads to a macro recall of 62 %.
