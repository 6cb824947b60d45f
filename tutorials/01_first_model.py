# %% [markdown]
# # 1. A first model
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sskeras/sskeras/blob/main/tutorials/01_first_model.ipynb)
#
# **Goal.** From films to a model that other programs can use, in ten cells after the
# imports: data, hidden labels, a supervised network, a semi-supervised one, a comparison,
# a SavedModel.
#
# **Time.** 1 minute on two processor cores. No graphics card, no download, no account.
#
# **You need** Python and the idea of a neural network. *Not for clinical use: the films
# are drawn, and the model is a lesson.*

# %%
# In Colab, once: %pip install git+https://github.com/sskeras/sskeras
import os

import keras
import matplotlib.pyplot as plt
import numpy as np

import sskeras
from data_tools import phantom
from sskeras import data, evaluate, methods, networks, plots

assert sskeras.__version__ >= "0.1"
assert [int(n) for n in keras.__version__.split(".")[:2]] >= [3, 10]
FAST = "SSKERAS_FAST" in os.environ  # Set by our own tests: too short to learn much.
FILMS, EPOCHS = (480, 1) if FAST else (2400, 12)
SIZE, SEED = 64, 0

# %% [markdown]
# ## The films
#
# A *phantom* is a drawn chest film. Nobody is on it, so that everybody may share it; and
# we know where each lesion is. Your own films need a manifest, a table with the columns
# `image`, `label` and `split`, best also `patient_id`: put its path in place of the next
# line. With the same three classes the rest stays as it is.

# %%
manifest = phantom.write(f"films-{FILMS}", count=FILMS, seed=SEED, size=SIZE)
table = data.read_manifest(manifest)
classes = data.class_names(table)
table.groupby(["split", "label"]).size().unstack()

# %% [markdown]
# Look at the data first, always. One row for each class:

# %%
train, test = data.select(table, "train"), data.select(table, "test")
figure, axes = plt.subplots(3, 6, figsize=(9, 4.8))
for row, name in zip(axes, classes, strict=True):
    paths = train[train.label == name].path[:6]
    films = data.load_pictures(paths, SIZE, progress=False)
    for ax, film in zip(row, films, strict=True):
        ax.imshow(film[..., 0], cmap="gray")
        ax.set(xticks=[], yticks=[])
    row[0].set_ylabel(name)

# %% [markdown]
# ## Few labels
#
# Films are there in thousands; a radiologist's minutes are not. We keep 20 % of the
# labels of each class and write -1 for the others: *nobody has looked at this film*.
#
# *Before you run the cell: 30 films of the training split are COVID-19. How many of their
# labels are left?*

# %%
SHARE = 0.2
x = data.load_pictures(train.path, SIZE, progress=False)
truth = data.encode_labels(train, classes)
y = data.hide_labels(truth, SHARE, SEED)
{name: int(np.sum(y == c)) for c, name in enumerate(classes)} | {
    "unknown": int(np.sum(y == -1))
}

# %% tags=["check"]
assert all(np.sum(y == c) == int(SHARE * np.sum(truth == c)) for c in range(3))

# %% [markdown]
# ## The number to beat
#
# Train the plain network first, on the labels alone. Without that number no gain means
# anything. The learning rate falls along a cosine, so that the last epoch does not jump.


# %%
def fit(model):
    steps = data.steps_per_epoch(y, 64)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * steps)
    model.compile(keras.optimizers.Adam(rate), metrics=["accuracy"])
    batches = data.batches(x, y, 64, seed=SEED)
    return model.fit(batches, epochs=EPOCHS, steps_per_epoch=steps, verbose=0).history


keras.utils.set_random_seed(SEED)
network = networks.resnet((SIZE, SIZE, 1), num_classes=3, filters=(8, 16))
supervised = methods.Supervised(network, class_weight=(1, 1, 2), class_names=classes)
curves = {"supervised": fit(supervised)}

# %% [markdown]
# ## Two paths
#
# SSResNet has a second path through the network. On every film, labeled or not, both
# paths should say the same; lesson 2 does this by hand. Everything else stays as it was:
# films, labels, batches, learning rate.

# %%
keras.utils.set_random_seed(SEED)
network = networks.two_path_resnet((SIZE, SIZE, 1), num_classes=3, filters=(8, 16))
ssresnet = methods.SSResNet(
    network,
    class_weight=(1, 1, 2),
    class_names=classes,
    consistency_space="probabilities",
)
curves["ssresnet"] = fit(ssresnet)

# %% [markdown]
# *Which of its two losses is the larger one, and which of them needs no label?*

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for name, history in curves.items():
    left.plot(history["accuracy"], label=name)
left.set(xlabel="epoch", title="accuracy on labeled training films")
left.legend()
for loss in ("supervised", "unsupervised"):
    right.semilogy(curves["ssresnet"][loss], label=loss)
right.set(xlabel="epoch", title="losses of ssresnet")
_ = right.legend()

# %% tags=["check"]
assert curves["ssresnet"]["supervised"][-1] > curves["ssresnet"]["unsupervised"][-1]

# %% [markdown]
# ## Compare
#
# On the test films, which no training has seen, with intervals: how far might a score
# move if other patients had come? *Guess before you run: does the network with the higher
# accuracy find more COVID-19?*

# %%
x_test = data.load_pictures(test.path, SIZE, progress=False)
y_test = data.encode_labels(test, classes)
scores = {
    name: evaluate.scores(
        y_test,
        model.predict(x_test, verbose=0),
        classes,
        weight=test.weight,
        patient_id=test.patient_id,
    )
    for name, model in {"supervised": supervised, "ssresnet": ssresnet}.items()
}
print(evaluate.table(scores))

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for ax, (name, found) in zip(axes, scores.items(), strict=True):
    plots.confusion_matrix(found["confusion_matrix"], classes, ax, name)

# %% [markdown]
# Neither finds COVID-19, and the accuracy does not tell, because COVID-19 is rare: the
# column `weight` counts each of its 40 test films as a tenth, so that they are 0.6 % of
# all, as in the paper. That is why the matrices show fractions of films. Six labeled films
# are few, and lessons 6 and 7 are about that. And one training of each network decides
# nothing about which is better (lesson 7 compares them film by film).

# %% tags=["check"]
if not FAST:
    assert all(found["recall"]["covid-19"]["value"] < 0.1 for found in scores.values())
    one, other = (found["accuracy"] for found in scores.values())
    assert max(one["low"], other["low"]) < min(one["high"], other["high"])

# %% [markdown]
# ## A mistake everybody makes once
#
# Keras's `fit` takes class weights, and a method refuses them. Read the message: it says
# where they belong.

# %%
try:
    ssresnet.fit(x, y, class_weight={0: 1, 1: 1, 2: 2})
except ValueError as error:
    print(error)

# %% [markdown]
# ## Take it away
#
# A SavedModel holds the network *and* its preprocessing. It is written, loaded in another
# process, and compared before it gets its name. To use it, one needs TensorFlow and
# neither sskeras nor this notebook.

# %%
import shutil

import tensorflow as tf

shutil.rmtree("saved_model", ignore_errors=True)  # From an earlier run of this cell.
sskeras.export.saved_model(ssresnet, "saved_model")
served = tf.saved_model.load("saved_model")
answer = served.serve_bytes(tf.constant([open(test.path.iloc[0], "rb").read()]))
{name: value.numpy().tolist() for name, value in answer.items()}

# %% tags=["check"]
expected = ssresnet.predict(x_test[:1], verbose=0)
np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-4)

# %% [markdown]
# ## Summary
#
# You hid most labels, trained a supervised network first and a semi-supervised one on the
# same films, compared them with intervals on test films, and exported one. Accuracy said
# little about the class one looks for.
#
# ## Exercises
#
# 1. Keep 5 % of the labels. How many COVID-19 films are labeled now, and what becomes of
#    the two accuracies?
# 2. Set the class weight of COVID-19 to 20. What becomes of its recall, and what of the
#    recall of the others?
# 3. Train the supervised network with three other seeds. How far do its accuracies lie
#    apart? Compare with the interval above.
# 4. Export the supervised network, too, and ask both SavedModels about the first COVID-19
#    film of the test split.
#
# [Solutions](solutions/01_first_model.ipynb)
