# %% [markdown]
# # 8. What did it look at?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sskeras/sskeras/blob/main/tutorials/08_what_did_it_look_at.ipynb)
#
# **Goal.** Look behind a score: which films are missed, where a network looks, how far its
# maps can be trusted, and how to notice that it learned the hospital in place of the
# disease.
#
# **Time.** 2 minutes on two processor cores.
#
# **You need** [lesson 1](01_first_model.ipynb) and, for one section,
# [lesson 5](05_two_paths.ipynb). *Not for clinical use: the films are drawn.*

# %%
# In Colab, once: %pip install git+https://github.com/sskeras/sskeras
import os

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf
from PIL import Image
from sklearn.linear_model import LogisticRegression

import sskeras
from data_tools import phantom
from sskeras import data, evaluate, explain, methods, networks, plots

assert sskeras.__version__ >= "0.1"
assert [int(n) for n in keras.__version__.split(".")[:2]] >= [3, 10]
FAST = "SSKERAS_FAST" in os.environ  # Set by our own tests: too short to learn much.
FOLDER, FILMS, SIZE = ("films-360-32", 360, 32) if FAST else ("films-2400", 2400, 64)
EPOCHS, FILTERS = (1, (4, 8)) if FAST else (12, (8, 16))
SEED, SHARE = 0, 0.5 if FAST else 0.2
UNTRAINED = (1,) if FAST else (1, 2, 3)  # Seeds of networks without training.
NORMAL, PNEUMONIA, COVID = 0, 1, 2
STAGES = ("early", "developed", "late")
FRAME = SIZE // 6  # Pixels that we call the border of a film.
tf.get_logger().setLevel("ERROR")  # Else it warns that each network is compiled anew.

# %% [markdown]
# ## A network worth asking
#
# This lesson asks what a network looks at, so it should have learned something: all labels
# this time, and COVID-19 films in 15 % of each batch. (Your own manifest goes in place of
# `phantom.write(...)`; without the columns `stage` and `mask`, the sections that use them
# are for you to read.)

# %%
manifest = phantom.write(FOLDER, count=FILMS, seed=SEED, size=SIZE)
table = data.read_manifest(manifest)
classes = data.class_names(table)
train, test = data.select(table, "train"), data.select(table, "test")
x = data.load_pictures(train.path, SIZE, progress=False)
x_test = data.load_pictures(test.path, SIZE, progress=False)
y, y_test = data.encode_labels(train, classes), data.encode_labels(test, classes)
stage = test.get("stage", pd.Series("", test.index)).to_numpy()


# %%
def fit(model, x, y):
    share = {COVID: 0.15}
    steps = data.steps_per_epoch(y, 64, class_share=share)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * steps)
    model.compile(keras.optimizers.Adam(rate))
    batches = data.batches(x, y, 64, SEED, class_share=share)
    model.fit(batches, epochs=EPOCHS, steps_per_epoch=steps, verbose=0)
    return model


def untrained(seed=SEED):
    keras.utils.set_random_seed(seed)
    network = networks.resnet((SIZE, SIZE, 1), num_classes=3, filters=FILTERS)
    return methods.Supervised(network, class_weight=(1, 1, 2), class_names=classes)


model = fit(untrained(), x, y)
probabilities = model.predict(x_test, verbose=0)
called = probabilities.argmax(axis=1)
found = evaluate.scores(
    y_test, probabilities, classes, weight=test.weight, patient_id=test.patient_id
)
print(evaluate.table({"all labels": found}))

# %% [markdown]
# ## Who is missed?
#
# A recall is a mean over films that differ. The phantom knows the stage of each disease:
# early, developed, late. *Before you look: which stage of which disease is missed most?*


# %%
def recall_at(c, s):
    rows = (y_test == c) & (stage == s)
    some = evaluate.scores(
        y_test[rows],
        probabilities[rows],
        classes,
        patient_id=test.patient_id[rows],
    )
    return {"films": int(rows.sum()), **some["recall"][classes[c]]}


by_stage = pd.DataFrame(
    {(classes[c], s): recall_at(c, s) for c in (PNEUMONIA, COVID) for s in STAGES}
).T
by_stage.astype({"films": int}).round(2)

# %%
figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for k, (name, marker) in enumerate(((classes[1], "o"), (classes[2], "s"))):
    rows = 100 * by_stage.loc[name]
    reach = [rows.value - rows.low, rows.high - rows.value]
    place = np.arange(3) + 0.1 * k
    style = {"fmt": marker, "capsize": 4, "color": plots.COLORS[k]}
    ax.errorbar(place, rows.value, reach, label=name, **style)
ax.set(ylabel="recall (%), 95 % interval", ylim=(-3, 103), title="Recall by stage")
ax.set_xticks([0.05, 1.05, 2.05], STAGES)
_ = ax.legend(loc="lower right")

# %% [markdown]
# Early disease is what the network misses: the recall of a class is a mean of two quite
# different numbers. And look at the intervals: ten early COVID-19 films tell next to
# nothing.
#
# *What are the missed films taken for?*

# %%
diseased = y_test != NORMAL
taken_for = {
    (classes[c], s): np.bincount(called[(y_test == c) & (stage == s)], minlength=3)
    for c in (PNEUMONIA, COVID)
    for s in STAGES
}
pd.DataFrame(taken_for, index=[f"called {name}" for name in classes]).T

# %% tags=["check"]
if not FAST:
    value = by_stage.value
    assert (value[:, "early"] < 0.6).all() and (value[:, "developed"] > 0.65).all()
    assert value["pneumonia", "late"] > 0.9 and value["covid-19", "late"] > 0.5
    assert by_stage.high["covid-19", "early"] - by_stage.low["covid-19", "early"] > 0.3
    assert taken_for["covid-19", "early"].argmax() == NORMAL
    late = taken_for["covid-19", "late"]
    assert late[PNEUMONIA] > late[NORMAL]

# %% [markdown]
# Early COVID-19 is taken for normal, late COVID-19 for pneumonia if for anything. The
# phantom was drawn so, after the error analysis of Nwosu et al. (2021), who found these
# confusions in their own results.
#
# ## Look at them
#
# Three rows: films called rightly, wrongly, and the wrong ones of which the network was
# most certain. *Which row would you show to a radiologist first?*


# %%
wrong = np.flatnonzero(called != y_test)
sure = probabilities.max(axis=1)
rows = (
    np.concatenate(
        [np.flatnonzero((y_test == c) & (called == c))[:2] for c in range(3)]
    ),
    wrong[:: max(1, len(wrong) // 6)][:6],
    wrong[np.argsort(-sure[wrong])][:6],
)
figure, axes = plt.subplots(3, 6, figsize=(9, 6), dpi=80, layout="constrained")
for row, chosen in zip(axes, rows, strict=True):
    titles = [
        f"{stage[i]} {classes[y_test[i]]}\ncalled {classes[called[i]]}\n{sure[i]:.2f}"
        for i in chosen
    ]
    plots.contact_sheet(x_test[chosen], titles, axes=row[: len(chosen)])

# %% tags=["check"]
if not FAST:
    assert sure[wrong].max() > 0.9
    assert np.mean(stage[wrong][diseased[wrong]] == "early") > 0.7

# %% [markdown]
# Under each title stands the network's probability. The last row is the one to look at
# first: to be certain is not to be right. Most missed films are early, and in some of
# them you may see no lesion either. A mistake that you would not make yourself, such as a
# late stage called normal, says more about the network.
#
# ## Grad-CAM by hand
#
# The network ends with a feature map $F$ of 8×8 places and 16 channels, its mean over the
# places, and a dense layer $W$. Grad-CAM (Selvaraju et al., 2017) weights each channel with
# the mean gradient of the class's logit, and drops what is negative:
#
# $$\alpha_k = \frac{1}{HW}\sum_{ij}\frac{\partial z_c}{\partial F_{ijk}}, \qquad
# M_{ij} = \max\Big(0, \sum_k \alpha_k F_{ijk}\Big).$$
#
# Here $z_c = \frac{1}{HW}\sum_{ijk} F_{ijk} W_{kc} + b_c$, so that
# $\alpha_k = W_{kc}/HW$: no gradient is needed. The package stretches the map to the film and divides
# it by its largest value. *Does the bias matter?*

# %%
LAST = "supervised_last_relu"
network, film = model.network, x_test[:1]
until = keras.Model(network.input, network.get_layer(LAST).output)
F = until.predict(film, verbose=0)
W = network.get_layer("supervised_logits").kernel.numpy()
by_hand = tf.nn.relu(F @ W[:, [PNEUMONIA]])
by_hand = tf.image.resize(by_hand, (SIZE, SIZE)).numpy()[..., 0]
by_hand /= max(by_hand.max(), 1e-9)
heat = explain.grad_cam(model, film, [PNEUMONIA])
print("feature map", F.shape, " largest difference", np.abs(by_hand - heat).max())

# %% tags=["check"]
np.testing.assert_allclose(by_hand, heat, atol=1e-4)

# %% [markdown]
# The bias moves the logit and not the map. And the map answers the question that you ask:
# each class has one of its own.

# %%
lesions = np.zeros(x_test.shape[:3], bool)
for i in np.flatnonzero(test["mask"] != ""):
    lesions[i] = np.array(Image.open(manifest.parent / test["mask"].iloc[i])) > 0

# %%
late = [np.flatnonzero((y_test == c) & (stage == "late"))[0] for c in (1, 2)]
heat = explain.grad_cam(model, x_test[np.repeat(late, 3)], [0, 1, 2] * 2)
figure, axes = plt.subplots(2, 4, figsize=(9, 4.8), layout="constrained")
for row, i, maps in zip(axes, late, heat.reshape(2, 3, SIZE, SIZE), strict=True):
    plots.contact_sheet(x_test[[i]], [f"late {classes[y_test[i]]}"], axes=row[:1])
    row[0].contour(lesions[i], [0.5], colors=plots.COLORS[4], linewidths=1)
    for name, h, ax in zip(classes, maps, row[1:], strict=True):
        plots.overlay(x_test[i], h, ax)
        ax.set_title(f"what speaks for\n{name}", fontsize=10)

# %% [markdown]
# The blue line is the lesion, as the phantom drew it. The map for the film's own class is
# warm in the lesion or beside it. The other maps look as if they said something, too: each
# is divided by its own largest value, so that the faintest heat shines.
#
# ## Figure 6, in small
#
# Figure 6 of Nwosu et al. (2021) shows COVID-19 films that their network called right and
# wrong. Here are ours, and below each its map for what it was called.

# %%
covid = np.flatnonzero(y_test == COVID)
right = covid[called[covid] == COVID][::6][:4]
missed = covid[called[covid] != COVID][:4]
chosen = np.concatenate([right, missed])
titles = [f"{stage[i]}\ncalled\n{classes[called[i]]}" for i in chosen]
figure, axes = plt.subplots(
    2, len(chosen), figsize=(9, 3.2), layout="constrained", squeeze=False
)
plots.contact_sheet(x_test[chosen], titles, axes=axes[0])
for i, ax, heat in zip(
    chosen, axes[1], explain.grad_cam(model, x_test[chosen]), strict=True
):
    plots.overlay(x_test[i], heat, ax)
    ax.contour(lesions[i], [0.5], colors=plots.COLORS[4], linewidths=1)

# %% [markdown]
# Some warm spots lie in a lesion, others beside one or over the heart; films called right
# and wrong hardly differ in it. Such figures persuade, and eight films prove nothing. So
# count.
#
# ## A number for a map
#
# *Pointing game* (Zhang et al., 2016): does the warmest point lie in the lesion?
# *IoU*: how much do the lesion $A$ and the warm half $B$ (heat of at least 0.5) overlap,
# $|A \cap B| / |A \cup B|$?
#
# And what would chance give? Lesions lie in the lungs, so that a map which is warm in the
# lungs, of anybody, hits now and then. So we also score each map against the lesions of
# *other films of the same class*. Only what exceeds that speaks of this film.


# %%
def score_maps(heat, lesions):
    n = len(heat)
    point = heat.reshape(n, -1).argmax(axis=1)
    inside = lesions.reshape(n, -1)[:, point]  # (lesions, maps)
    warm, other = heat >= 0.5, np.roll(lesions, n // 2, axis=0)
    iou = [
        np.mean((warm & m).sum(axis=(1, 2)) / (warm | m).sum(axis=(1, 2)))
        for m in (lesions, other)
    ]
    return {
        "hits own": 100 * inside.diagonal().mean(),
        "hits another's": 100 * (inside.sum() - inside.trace()) / (n * n - n),
        "IoU own": 100 * iou[0],
        "IoU another's": 100 * iou[1],
    }


def maps_of(model, path=0):
    return explain.grad_cam(model, x_test[diseased], y_test[diseased], path)


truth, drawn = y_test[diseased], lesions[diseased]

# %% [markdown]
# Beside the trained network stand three untrained ones, with random weights (Adebayo et
# al., 2018): a method that draws fine maps for them draws the film, not the network.
# *Which of the columns should be equal for them?*

# %%
maps = {"trained": maps_of(model)}
maps |= {f"untrained, seed {s}": maps_of(untrained(s)) for s in UNTRAINED}
rows = {
    (classes[c], name): score_maps(heat[truth == c], drawn[truth == c])
    for c in (PNEUMONIA, COVID)
    for name, heat in maps.items()
}
map_scores = pd.DataFrame(rows).T
map_scores.round(1)

# %% tags=["check"]
if not FAST:
    gain = map_scores["hits own"] - map_scores["hits another's"]
    assert gain["pneumonia", "trained"] > 10 and gain["covid-19", "trained"] < 30
    assert gain.drop("trained", level=1).abs().max() < 12
    assert map_scores["IoU own"].max() < 35
    assert 15 < map_scores.loc[("pneumonia", "trained"), "hits own"] < 60
packaged = explain.mask_scores(maps["trained"][truth == COVID], drawn[truth == COVID])
ours = map_scores.loc[(classes[COVID], "trained")]
assert np.isclose(100 * packaged["pointing_game"], ours["hits own"])
assert np.isclose(100 * packaged["pointing_game_by_chance"], ours["hits another's"])
assert np.isclose(100 * packaged["iou"], ours["IoU own"])

# %% [markdown]
# The maps of untrained networks hit a film's own lesion as rarely as another's, up to a few
# films: as it should be. Those of the trained network know something of the film where it
# is pneumonia. But they miss more often than they hit, though four of five of these films
# are called rightly. For COVID-19 most of the success is that of the place: with patches
# in both lungs, another film's lesion is hit nearly as often. And the IoU is low
# throughout, for a warm spot made of 8×8 places cannot follow an outline.
#
# For maps of your own, `explain.mask_scores` has these numbers, and
# `explain.sanity_check` compares a map with that of the same network after its weights
# were shuffled.
#
# ## Two paths, two maps
#
# A two-path network has a map for each path; `path=1` asks the one that never sees a
# label. We train it as in lesson 5, with 20 % of the labels. *The paths agree on the
# answer. Must they agree on the place?*

# %%
keras.utils.set_random_seed(SEED)
network = networks.two_path_resnet((SIZE, SIZE, 1), 3, FILTERS)
ssresnet = methods.SSResNet(network, (1, 1, 2), consistency_space="probabilities")
fit(ssresnet, x, data.hide_labels(y, SHARE, SEED))
answers = [z.argmax(axis=1) for z in network.predict(x_test, verbose=0)]
maps = [maps_of(ssresnet, path) for path in (0, 1)]


def correlation(a, b):
    rows = zip(a.reshape(len(a), -1), b.reshape(len(b), -1), strict=True)
    return np.median([np.corrcoef(*row)[0, 1] for row in rows if all(map(np.ptp, row))])


same, shuffled = correlation(*maps), correlation(maps[0], np.roll(maps[1], 7, axis=0))
for path, seen in zip(("supervised", "unsupervised"), answers, strict=True):
    print(f"{path} path: {100 * np.mean(seen == y_test):.0f} % of the test films right")
print(f"the same answer: {100 * np.mean(answers[0] == answers[1]):.0f} %")
print(f"correlation of both maps {same:.2f}, with another film's {shuffled:.2f}")
of_pneumonia = [score_maps(m[truth == 1], drawn[truth == 1]) for m in maps]
pd.DataFrame(of_pneumonia, ["supervised path", "unsupervised path"]).round(1)

# %% tags=["check"]
if not FAST:
    assert shuffled < same < 0.7 and np.mean(answers[0] == answers[1]) > 0.7
    assert abs(np.mean(answers[0] == y_test) - np.mean(answers[1] == y_test)) < 0.15
    assert np.ptp([found["hits own"] for found in of_pneumonia]) > 5

# %% [markdown]
# Both paths are right equally often and mostly give the same answer, but their maps have
# little in common: 0.35, the median over films, is more than for maps of different films,
# and far from 1. Here only the path that never sees a label has maps that hit better than
# chance. One training is no rule. But a right answer does not make a good map, and a map
# speaks of one network, not of the disease.
#
# ## The disease or the hospital?
#
# In the paper's set every COVID-19 film comes from one collection and every normal film
# from another ([lesson 3](03_the_data.ipynb)). Anything that tells the collections apart
# tells the classes apart, and networks have been seen to use it (Zech et al., 2018;
# DeGrave et al., 2021). The phantom has no such shortcut, so we plant one: the hospital
# that sent the COVID-19 films stamps each with a small white square.


# %%
def stamp(films, row=SIZE - SIZE // 6, column=SIZE // 16):
    films, k = films.copy(), SIZE // 10
    films[:, row : row + k, column : column + k] = 0
    films[:, row + 1 : row + k - 1, column + 1 : column + k - 1] = 255
    return films


def stamped_where(rows, films):
    return np.where(rows[:, None, None, None], stamp(films), films)


x_hospital = stamped_where(y == COVID, x)
figure, axes = plt.subplots(1, 6, figsize=(9, 1.9), layout="constrained")
some = [np.flatnonzero(y == c)[k] for c in range(3) for k in (0, 1)]
_ = plots.contact_sheet(x_hospital[some], [classes[y[i]] for i in some], axes=axes)

# %% [markdown]
# We train as before, and test on films of the same hospitals. *What will the recall of
# COVID-19 be?*

# %%
fooled = fit(untrained(), x_hospital, y)
tests = {
    "same hospitals": stamped_where(y_test == COVID, x_test),
    "no stamps": x_test,
    "stamps on all": stamp(x_test),
}


def recalls(model, films):
    called = model.predict(films, verbose=0).argmax(axis=1)
    return {
        name: 100 * np.mean(called[y_test == c] == c) for c, name in enumerate(classes)
    }


pd.DataFrame({"same hospitals": recalls(fooled, tests["same hospitals"])}).T.round(1)

# %% [markdown]
# Every COVID-19 film is found, the early ones too. This is how a paper is written. *And
# now without the stamp? With a stamp on every film?*

# %%
rows = {
    (trained, name): recalls(m, films)
    for trained, m in {"honest films": model, "stamped films": fooled}.items()
    for name, films in tests.items()
}
shortcut = pd.DataFrame(rows).T.rename_axis(["trained on", "tested on"])
shortcut.round(1)

# %% tags=["check"]
if not FAST:
    bad = shortcut.loc["stamped films"]["covid-19"]
    assert bad["same hospitals"] > 95 > 10 > bad["no stamps"]
    assert bad["stamps on all"] > 95
    assert (shortcut.loc["stamped films", "stamps on all"][:2] < 10).all()
    good = shortcut.loc["honest films"]
    assert (good.max() - good.min()).max() < 10

# %% [markdown]
# The network of the stamped films knows nothing of COVID-19. Without the stamp it finds
# none, and with one it calls everybody COVID-19. Its recall was perfect because the test
# films had the same flaw. No interval and no further seed would have told. The network of
# the honest films hardly cares for stamps.
#
# ## Can the maps tell?
#
# *For COVID-19 this network looks at nothing but the stamp. Where will its maps be warm?*
# We ask for a second opinion, too. *Occlusion*: paint a gray patch over a part of the
# film, and see how far the probability falls. That is an experiment, and slow: each film
# is asked 225 times.


# %%
def occlude(model, films, c, patch=SIZE // 8, step=4):
    starts = range(0, SIZE - patch + 1, step)
    before = model.predict(films, verbose=0)[:, c]
    fall, times = np.zeros(films.shape[:3]), np.zeros((SIZE, SIZE))
    for i in starts:
        for j in starts:
            place = (slice(None), slice(i, i + patch), slice(j, j + patch))
            changed = films.copy()
            changed[place] = films[place].mean(axis=(1, 2), keepdims=True)
            after = keras.ops.softmax(model.network(changed))[:, c]
            fall[place] += np.reshape(before - after, (-1, 1, 1))
            times[place[1:]] += 1
    heat = np.maximum(fall / times, 0)
    largest = heat.max(axis=(1, 2), keepdims=True)
    return heat / np.maximum(largest, 1e-9)


# %%
some = covid[:: max(1, len(covid) // 5)][:5]
films = stamp(x_test[some])
opinions = {
    "Grad-CAM": explain.grad_cam(fooled, films, [COVID] * len(films)),
    "occlusion": occlude(fooled, films, COVID),
}
figure, axes = plt.subplots(
    3, len(some), figsize=(9, 5.8), dpi=80, layout="constrained"
)
plots.contact_sheet(films, [f"{stage[i]} covid-19" for i in some], axes=axes[0])
for row, (name, heat) in zip(axes[1:], opinions.items(), strict=True):
    for ax, film, h in zip(row, films, heat, strict=True):
        plots.overlay(film, h, ax)
        ax.set_title(name, fontsize=10)

# %% [markdown]
# Occlusion is warm on the stamp and right around it, as wide as its patches are, and
# nowhere else. Grad-CAM is warmest over the lung and
# the heart: you would believe that it sees a disease there. In numbers, how much of the
# heat lies in the corner with the stamp, a sixteenth of the film?

# %%
corner = SIZE - SIZE // 4
in_corner = {
    name: heat[:, corner:, : SIZE // 4].sum(axis=(1, 2)) / heat.sum(axis=(1, 2))
    for name, heat in opinions.items()
}
until = keras.Model(fooled.network.input, fooled.network.get_layer(LAST).output)
change = np.abs(
    until.predict(films, verbose=0) - until.predict(x_test[some], verbose=0)
)
places = (change.max(axis=-1) > 0.01 * change.max()).sum(axis=(1, 2))
print({name: f"{100 * np.mean(share):.0f} %" for name, share in in_corner.items()})
print(
    f"the stamp changes {places.mean():.0f} of the {change[0, ..., 0].size} places of F"
)

# %% tags=["check"]
if not FAST:
    assert np.mean(in_corner["occlusion"]) > 0.6 > 0.4 > np.mean(in_corner["Grad-CAM"])

# %% [markdown]
# Nothing is broken. Each place of $F$ has a field of view of 99 pixels (count: 7 for the
# first convolution, then 2 × 2 × 4, 2 × 2, 2 × 4, and 2 × 8 × 4), and the film has 64. So
# the stamp is seen in most places of $F$, and Grad-CAM shows where in $F$ the evidence
# ended up, not where in the film it came from. Grad-CAM gives ideas. To know, change the
# film and ask again.
#
# ## A control that costs a second
#
# Do not wait for a map. Ask beforehand what the films give away: a classifier that sees
# nothing but the border of each film, where hardly any lung is. It should be helpless.
# *How high is the mean of the three recalls if it is?*

# %%
border = np.ones((SIZE, SIZE), bool)
border[FRAME:-FRAME, FRAME:-FRAME] = False


def border_alone(films, films_test):
    judge = LogisticRegression(C=1e-3, class_weight="balanced", max_iter=200)
    judge.fit(films[:, border, 0] / 255, y)
    answers = judge.predict_proba(films_test[:, border, 0] / 255)
    return evaluate.scores(y_test, answers, classes, patient_id=test.patient_id)


control = {
    "honest films": border_alone(x, x_test),
    "stamped films": border_alone(x_hospital, tests["same hospitals"]),
}
print(evaluate.table(control))

# %% tags=["check"]
honest, stamped = control.values()
assert stamped["recall"]["covid-19"]["value"] > 0.95
if not FAST:
    assert 0.28 < honest["macro_recall"]["value"] < 0.45
    assert stamped["macro_recall"]["low"] > honest["macro_recall"]["high"] + 0.1

# %% [markdown]
# The mean of the recalls is MacroR. Guessing gives 33 %, and on the honest films the
# control is close to it; the rest is a rim of lung that the border still holds, or chance.
# On the stamped films it finds every COVID-19 film having seen hardly any lung. That is the
# alarm, and no network had to be trained for it.
#
# ## What to do about it
#
# The best cure is films of each class from each hospital, and a test on a hospital that
# the training has not seen. Where that cannot be had, take away what gives the hospital
# away. Here we know where it sits, so we cover the border of every film, in training and
# in use.


# %%
def cover(films):
    return np.where(border[..., None], np.uint8(0), films)


cured = fit(untrained(), cover(x_hospital), y)
rows = {name: recalls(cured, cover(films)) for name, films in tests.items()}
pd.DataFrame(rows).T.rename_axis("tested on").round(1)

# %% tags=["check"]
assert rows["same hospitals"] == rows["no stamps"] == rows["stamps on all"]
if not FAST:
    assert rows["no stamps"]["covid-19"] > 40

# %% [markdown]
# The three rows are equal: the stamp has no influence any more, and COVID-19 is found from
# the lungs, at least as often as by the network of the honest films (33 and 28 of 40
# films: no certain difference). It cures this shortcut
# alone, though. A hospital also differs in exposure, in the age of its patients, in how
# ill they are. So the control comes first, and a test on another hospital last.
#
# ## A mistake everybody makes once
#
# Not every network has a feature map to explain. Read the message:

# %%
pictures = keras.Input((SIZE, SIZE, 1))
flat = keras.layers.Dense(3)(keras.layers.Flatten()(pictures))
try:
    explain.grad_cam(methods.Supervised(keras.Model(pictures, flat)), x_test[:1])
except ValueError as error:
    print(error)

# %% [markdown]
# ## Summary
#
# Split a score by what you know of the films, look at the mistakes, and begin with the
# most certain ones. A map is an idea, not evidence: score it, against chance and against
# untrained networks, and test it by changing the film. A network that learned the hospital
# finds every COVID-19 film of that hospital; a classifier that sees hardly any lung finds
# out.
#
# ## Exercises
#
# 1. How do hits in the pointing game depend on the stage? Count for pneumonia.
# 2. Do maps of wrongly called films look different? Compare the pointing game on films
#    called rightly and wrongly, for pneumonia.
# 3. Move the stamp to the other corner, and to the middle of the film. Does the network of
#    the stamped films still call everybody COVID-19?
# 4. Stamp only half of the COVID-19 training films. What are the recalls with and without
#    stamps now?
# 5. Give the control the films shrunk to 8×8 pixels in place of the border. What does it
#    know about the honest films, and is that an alarm?
# 6. Let occlusion play the pointing game on COVID-19 films and the network of the honest
#    films. Is it the better map there, too?
#
# [Solutions](solutions/08_what_did_it_look_at.ipynb)
