# %% [markdown]
# # 7. Class weights and the threshold
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sskeras/sskeras/blob/main/tutorials/07_weights_and_thresholds.ipynb)
#
# **Goal.** Make a network call the rare class, in training by a weight or afterwards by a
# threshold; and tell a difference from an accident of patients and seeds.
#
# **Time.** 4 minutes on two processor cores.
#
# **You need** [lesson 1](01_first_model.ipynb), and what a mean and a standard deviation
# are. *Not for clinical use: the films are drawn, and no threshold found here suits a
# patient.*

# %%
# In Colab, once: %pip install git+https://github.com/sskeras/sskeras
import os

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_curve, roc_auc_score, roc_curve

import sskeras
from data_tools import phantom
from sskeras import data, evaluate, methods, networks, plots
from sskeras.experiments import table5

assert sskeras.__version__ >= "0.1"
assert [int(n) for n in keras.__version__.split(".")[:2]] >= [3, 10]
FAST = "SSKERAS_FAST" in os.environ  # Set by our own tests: too short to learn much.
FILMS, COUNT, SIZE = ("films-240-32", 240, 32) if FAST else ("films-2400", 2400, 64)
EPOCHS, FILTERS = (1, (4, 8)) if FAST else (12, (8, 16))
WEIGHTS = (2, 10) if FAST else (1, 2, 10, 50)  # The paper tries 2, 5 and 10.
SEEDS = (0, 1) if FAST else (0, 1, 2)
SHARE, WEIGHT, COVID = 0.5, 10, 2

# %% [markdown]
# ## The films
#
# For your own films put the path of a manifest with the columns `split`, `patient_id` and
# `weight` in place of `phantom.write(…)`. Look at the test films first: how many are there,
# and of how many people?

# %%
table = data.read_manifest(phantom.write(FILMS, count=COUNT, seed=0, size=SIZE))
classes = data.class_names(table)
train, test = data.select(table, "train"), data.select(table, "test")
x, x_test = (data.load_pictures(t.path, SIZE, progress=False) for t in (train, test))
truth, y_test = (data.encode_labels(t, classes) for t in (train, test))
test.groupby("label").agg(
    films=("image", "size"),
    patients=("patient_id", "nunique"),
    weight=("weight", "mean"),
)

# %% [markdown]
# *Below are six films of COVID-19. Cover the titles: how many patients do you see?* Films
# of one patient resemble each other, so that forty films of eighteen patients tell less
# than forty patients would.

# %%
sick = np.flatnonzero(y_test == COVID)[:6]
figure, axes = plt.subplots(1, len(sick), figsize=(9, 1.9), layout="constrained")
patients = [f"patient {name[-2:]}" for name in test.patient_id.iloc[sick]]
_ = plots.contact_sheet(x_test[sick], patients, axes=axes)

# %% [markdown]
# ## Why accuracy lies
#
# The paper of this course (Nwosu et al., 2021, Table I) tests on 2,656 normal films, 2,876
# of pneumonia and 33 of COVID-19. *How accurate can a network be that never says
# COVID-19?*

# %%
normal, pneumonia, covid = 2656, 2876, 33
total = normal + pneumonia + covid
print(f"{100 * (1 - covid / total):.1f} %")

# %% [markdown]
# The paper prints accuracy $A$ and macro recall $M$, the mean of the three recalls. Call
# the recalls of the two large classes $n$ and $p$, and the COVID-19 films found $c$:
#
# $$5565\,A = 2656\,n + 2876\,p + c \qquad\qquad 3\,M = n + p + c/33$$
#
# Three unknowns, two equations; but if $n$ and $p$ differ by 0.1, $c$ moves by 0.13 films.
# So take $n = p$ and solve. Below are $100 A$ and $100 M$ of some of its rows, to about a
# tenth. *SSResNet with the weight 2 has a lower accuracy than the first two. Which of the
# three finds most COVID-19?*

# %%
published = {
    "ResNet, 9 % of the labels": (90.1, 60.4),
    "SRC-MT, 5 %": (90.6, 60.7),
    "SSResNet, weight 2, 5 %": (84.9, 66.75),
    "SRC-MT, 9 %": (92.8, 79.2),
    "SSResNet, weight 10, 9 %": (81.8, 71.0),
}
left = np.array([[normal + pneumonia, 1], [2, 1 / covid]])  # times (n, c)
for name, (a, m) in published.items():
    n, c = np.linalg.solve(left, [total * a / 100, 3 * m / 100])
    print(f"{name:26} {round(c):2} of 33 COVID-19 films found")

# %% tags=["check"]
from sskeras.experiments import paper

found = [paper.covid_found(a / 100, m / 100) for a, m in published.values()]
np.testing.assert_allclose(found, (0, 0, 10, 17, 16), atol=0.4)
np.testing.assert_allclose(found[-1], c, atol=1e-6)
assert abs(paper.covid_found(0.8, 0.7, 0.1) - paper.covid_found(0.8, 0.7)) < 0.14

# %% [markdown]
# With nine of ten films right, two of these systems find none of the class that the paper
# is about. Now all of its Table V that can be solved: (weight, labeled share) and films
# found.

# %%
table5.FOUND

# %% [markdown]
# At the weight 2, more labels go with fewer films found: 10, 7, 4. In the rows that the
# paper puts in its Table IV, the weight rises with the labels, and they are 10, 11, 16. It
# looks as if the weight finds them rather than the labels. What does a weight do?

# %% tags=["check"]
assert [table5.FOUND[2, share] for share in (0.05, 0.07, 0.09)] == [10, 7, 4]
rows = ((2, 0.05), (5, 0.07), (10, 0.09))
assert [table5.FOUND[row] for row in rows] == [10, 11, 16]

# %% [markdown]
# ## Weights in training
#
# A class weight multiplies the loss of the labeled films $S$ of its class (equation 10;
# $q_c(x)$ is the network's probability of class $c$):
#
# $$L = -\frac{1}{|B|}\sum_{i \in B \cap S} w_{y_i} \log q_{y_i}(x_i)$$
#
# We train SSResNet with four weights of COVID-19 on half of the labels; of COVID-19 that
# is fifteen films.


# %%
def untrained(method, weight):
    options = {"class_weight": (1, 1, weight), "class_names": classes}
    build = networks.resnet if method == "supervised" else networks.two_path_resnet
    network = build((SIZE, SIZE, 1), num_classes=3, filters=FILTERS)
    if method == "supervised":
        return methods.Supervised(network, **options)
    return methods.SSResNet(network, consistency_space="probabilities", **options)


# %% [markdown]
# A seed stands for all that is left to chance: which half of the labels, the initial
# weights, the order of the films. What comes back are the answers to the test films.


# %%
def trained(method, weight, seed):
    keras.utils.set_random_seed(seed)
    y = data.hide_labels(truth, SHARE, seed)
    steps = 2 if FAST else data.steps_per_epoch(y, 32)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * steps)
    model = untrained(method, weight)
    model.compile(keras.optimizers.Adam(rate))
    batches = data.batches(x, y, 32, seed=seed)
    model.fit(batches, epochs=EPOCHS, steps_per_epoch=steps, verbose=0)
    return model.predict(x_test, verbose=0)


# %%
answers = {weight: trained("ssresnet", weight, seed=0) for weight in WEIGHTS}


# %% [markdown]
# *Which weight gives the best accuracy, and which the best recall of COVID-19?*


# %%
def score(probabilities, weight=test.weight, patient_id=test.patient_id):
    return evaluate.scores(
        y_test, probabilities, classes, weight=weight, patient_id=patient_id
    )


scores = {f"weight {weight}": score(answer) for weight, answer in answers.items()}
print(evaluate.table(scores))

# %%
figure, ax = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
for name, color in zip(classes, plots.COLORS, strict=False):
    recall = pd.DataFrame([found["recall"][name] for found in scores.values()]) * 100
    error = (recall.value - recall.low, recall.high - recall.value)
    style = {"marker": "o", "capsize": 3, "color": color}
    ax.errorbar(WEIGHTS, recall.value, error, label=name, **style)
ax.set(xscale="log", xticks=WEIGHTS, xticklabels=WEIGHTS, ylim=(-3, 103))
ax.set(xlabel="class weight of COVID-19", ylabel="recall in %", title="ssresnet")
_ = ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))

# %% [markdown]
# Bars are 95 % intervals over the patients. The networks with the weights 1 and 2 never
# say COVID-19, and their accuracy is the best. A weight of 50 finds most, and the other two
# classes pay for it. Mind the intervals of no width at 0: the bootstrap cannot see what
# never happened. Nothing found in 18 patients means *below about 3/18*, not zero.

# %% tags=["check"]
recalls = {w: scores[f"weight {w}"]["recall"] for w in WEIGHTS}
accuracy = {w: scores[f"weight {w}"]["accuracy"]["value"] for w in WEIGHTS}
if not FAST:
    assert test.patient_id[y_test == COVID].nunique() == 18
    assert max(recalls[w]["covid-19"]["value"] for w in (1, 2)) < 0.05
    assert recalls[50]["covid-19"]["value"] > 0.4
    assert recalls[50]["covid-19"]["value"] > recalls[10]["covid-19"]["value"] - 0.2
    for name in ("normal", "pneumonia"):
        assert recalls[50][name]["value"] < recalls[2][name]["value"] - 0.1
    assert min(accuracy[1], accuracy[2]) > accuracy[10] - 0.03 > accuracy[50]

# %% [markdown]
# ## A threshold after training
#
# Let $p_c(x)$ be the true probabilities of film $x$. The weighted loss is smallest where
# $q_c(x) \propto w_c\,p_c(x)$. And the network calls the film COVID-19 if
#
# $$r(x) = \frac{q_2(x)}{\max(q_0(x),\,q_1(x))} > 1$$
#
# ($q_2$ is that of COVID-19). So a weight of 10 makes every $r$ ten times larger, and
# $r > 1$ with it is $r > 1/10$ without. In theory one need not train again: move the
# threshold, or add $\log w$ to the logit, which is the same (Elkan, 2001; Menon et al.,
# 2021).
#
# *The network with the weight 2 never says COVID-19. Does it know nothing about it?*


# %%
def ratio(q):
    return q[:, COVID] / q[:, :COVID].max(axis=-1)


is_covid = y_test == COVID
r = ratio(answers[2])
bins = np.geomspace(1e-4, 10, 31)
figure, ax = plt.subplots(figsize=(8, 3), layout="constrained")
for name, rows in {"other films": ~is_covid, "COVID-19": is_covid}.items():
    share = np.full(rows.sum(), 100 / rows.sum())
    ax.hist(r[rows], bins, weights=share, alpha=0.6, label=name)
ax.axvline(1, color="black", label="r = 1")
ax.axvline(1 / 10, color="black", linestyle="--", label="r = 1/10")
ax.set(xscale="log", xlabel="r", ylabel="% of these films", title="ssresnet, weight 2")
_ = ax.legend(frameon=False, loc="upper left")

# %% [markdown]
# It knows a good deal: most COVID-19 films stand to the right of most others. But no film
# reaches the solid line. *How many does the dashed line find, and who pays?* In theory it
# makes a network with the weight 20 of this one.


# %%
def moved(q, factor):
    """Probabilities as a weight larger by this factor would have them, in theory."""
    q = q * np.where(np.arange(len(classes)) == COVID, factor, 1)
    return q / q.sum(axis=-1, keepdims=True)


late = score(moved(answers[2], 10))
print(evaluate.table(scores | {"weight 2, r > 1/10": late}))

# %% tags=["check"]
called = moved(answers[2], 10).argmax(-1) == COVID
np.testing.assert_array_equal(called, r > 1 / 10)
if not FAST:
    assert np.mean(r > 1) < 0.01
    assert np.median(r[is_covid]) > np.quantile(r[~is_covid], 0.7)
    assert late["recall"]["covid-19"]["value"] > 0.3
    assert late["accuracy"]["value"] < accuracy[2]
    assert late["accuracy"]["value"] > accuracy[50] + 0.05

# %% [markdown]
# The network that never said COVID-19 now finds many of them, and is still far more
# accurate than the one trained with the weight 50.
#
# All thresholds at once are a curve: sensitivity, which is the recall of COVID-19, against
# false alarms, the share of the other films that are called COVID-19. A dot is a network
# as it was trained, $r > 1$. *If theory were all, where would the four curves and the four
# dots lie?*

# %%
figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for (weight, q), color in zip(answers.items(), plots.COLORS, strict=False):
    alarms, found, _ = roc_curve(is_covid, ratio(q))
    area = roc_auc_score(is_covid, ratio(q))
    label = f"weight {weight}, area {area:.2f}"
    ax.plot(100 * alarms, 100 * found, color=color, label=label)
    dot = [100 * np.mean(ratio(q)[rows] > 1) for rows in (~is_covid, is_covid)]
    size = 14 if weight == 1 else 8  # Two dots lie in the lower left corner.
    ax.plot(*dot, "o", color=color, markersize=size, clip_on=False)
ax.set(xlabel="false alarms in %", ylabel="sensitivity in %")
ax.set(xlim=(0, 60), ylim=(0, 100), title="lines: all thresholds, dots: r > 1")
_ = ax.legend(frameon=False, loc="lower right")

# %% [markdown]
# In theory all curves would be one, and the dots would walk along it to the upper right.
# The dots do walk. The curves differ, for two reasons. Each training ends elsewhere, and
# forty films draw a rough curve. And a weight changes what is learned. Forbid the networks
# to say COVID-19: how many of the other films do they call rightly?

# %%
others = y_test[~is_covid]
right = {
    w: np.mean(q[~is_covid, :COVID].argmax(-1) == others) for w, q in answers.items()
}
pd.Series(right, name="called rightly").round(2)

# %% [markdown]
# Fifteen films that count fifty times drown out what the others teach, and no threshold
# brings that back. Too small a weight has a price, too: from few films the class may not be
# learned at all (exercise 1). And a network that fits every label may end at the same place
# whatever the weights (Byrd & Lipton, 2019).
#
# So take a moderate weight, with which the class is learned, and decide with the threshold:
# it costs a second, a weight costs a training. Choose it on films that neither the training
# nor the test has seen (exercise 2).

# %% tags=["check"]
if not FAST:
    dots = [
        [np.mean(ratio(q)[rows] > 1) for rows in (~is_covid, is_covid)]
        for q in answers.values()
    ]
    assert np.all(np.diff(dots, axis=0) >= (-0.01, -0.2))
    assert roc_auc_score(is_covid, r) > 0.7
    assert right[50] < min(right[w] for w in (1, 2, 10)) - 0.04

# %% [markdown]
# ## A mistake everybody makes once
#
# `evaluate.scores` wants probabilities, of which it takes the largest. Whoever moves a
# threshold by hand has decisions in place of them:

# %%
try:
    score(np.where(r > 1 / 10, COVID, answers[2][:, :COVID].argmax(-1)))
except ValueError as error:
    print(error)

# %% [markdown]
# Hand over `moved(q, 10)`, as above: its largest probability is the decision.
#
# ## How rare is rare?
#
# Of our test films 40 in 740 show COVID-19, of the paper's 33 in 5,565. Sensitivity $s$ and
# false alarms $f$ each look at one kind of film, however many there are. Precision, the
# share of calls that are right, looks at both. With the prevalence $\pi$ it is
#
# $$\text{precision} = \frac{\pi s}{\pi s + (1 - \pi) f}$$
#
# The manifest's `weight` counts each COVID-19 film as a tenth, which makes the prevalence
# that of the paper. *Of ten films that are called COVID-19 at the threshold 1/10, how many
# are rightly, at either prevalence?*

# %%
both = np.ones(len(test)), test.weight.to_numpy()
prevalences = {f"{np.average(is_covid, weights=w):.1%} ill": w for w in both}
for name, weight in prevalences.items():
    found = score(moved(answers[2], 10), weight)["precision"]["covid-19"]
    print(f"{name}: precision {evaluate.cell(found)} %")

# %%
figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
for (name, weight), color in zip(prevalences.items(), plots.COLORS, strict=False):
    precision, recall, _ = precision_recall_curve(is_covid, r, sample_weight=weight)
    ax.plot(100 * recall, 100 * precision, color, label=name)
ax.set(xlabel="recall of COVID-19 in %", ylabel="precision in %", ylim=(0, 103))
ax.set(title="ssresnet, weight 2, all thresholds")
_ = ax.legend(frameon=False)

# %% [markdown]
# Pick a recall above 20 % and read both curves. It is one network; only the share of the
# ill among the films changed. Where few are ill, most calls are false alarms. So say for
# which prevalence a precision holds.
#
# If you know the prevalence where the network will work, multiply each $q_c$ by
# $\pi_c^\text{new} / (w_c \, \pi_c^\text{old})$, where $\pi_c^\text{old}$ is the share of
# the class in the films that it learned from, and scale the sum to 1 (Saerens et al.,
# 2002): a threshold moved once more. What a missed patient costs, no prevalence tells;
# see exercise 3.

# %% tags=["check"]
both = [score(moved(answers[2], 10), w) for w in prevalences.values()]
s, f = np.mean(r[is_covid] > 0.1), np.mean(r[~is_covid] > 0.1)
for found, prior in zip(both, (40 / 740, 33 / 5565), strict=True):
    if not FAST:
        expected = prior * s / (prior * s + (1 - prior) * f)
        assert abs(found["precision"]["covid-19"]["value"] - expected) < 0.01
if not FAST:
    high, low = (found["precision"]["covid-19"]["value"] for found in both)
    assert high > 3 * low and low < 0.2

# %% [markdown]
# ## Other patients
#
# An interval says how far a score would move if something came anew. First, the patients:
# `scores` draws whole patients, 2,000 times. *Is the interval wider than if it drew films?*

# %%
for kind, ids in {"films": None, "patients": test.patient_id}.items():
    found = score(answers[WEIGHT], patient_id=ids)
    cells = [evaluate.cell(s) for s in (found["accuracy"], found["recall"]["covid-19"])]
    print(f"drawing {kind:8}: accuracy {cells[0]}, recall of COVID-19 {cells[1]}")

# %% [markdown]
# A little. Here is the same by hand, since we shall need the draws. Each row of `counts`
# says how often each film stands in one draw, times its weight: all films of a patient are
# drawn alike.

# %%
number, names = pd.factorize(test.patient_id)
even = np.full(len(names), 1 / len(names))
times = np.random.default_rng(0).multinomial(len(names), even, size=2000)
counts = times[:, number] * test.weight.to_numpy()  # (draws, films)


def drawn(q, rows=slice(None)):
    """Share of these films that are called rightly, in each draw."""
    right = q.argmax(axis=-1) == y_test
    return counts[:, rows] @ right[rows] / counts[:, rows].sum(axis=-1)


low, high = np.quantile(drawn(answers[WEIGHT]), (0.025, 0.975))
print(f"{100 * low:.1f}–{100 * high:.1f}")

# %% tags=["check"]
if not FAST:
    interval = score(answers[WEIGHT])["accuracy"]
    assert abs(low - interval["low"]) < 0.01 and abs(high - interval["high"]) < 0.01
    narrow, wide = (
        score(answers[WEIGHT], patient_id=i) for i in (None, test.patient_id)
    )
    for one, other in ((narrow, wide), (narrow["recall"], wide["recall"])):
        one, other = (s.get("accuracy", s.get("covid-19")) for s in (one, other))
        assert other["high"] - other["low"] > 0.97 * (one["high"] - one["low"])

# %% [markdown]
# ## Other seeds
#
# Then the training. We train two methods with the weight 10 and three seeds each.

# %%
trainings = {("ssresnet", 0): answers[WEIGHT]}
for seed in SEEDS:
    for method in ("supervised", "ssresnet"):
        if (method, seed) not in trainings:
            trainings[method, seed] = trained(method, WEIGHT, seed)

# %%
runs = pd.DataFrame(
    {
        "method": method,
        "seed": seed,
        "accuracy": 100 * score(q)["accuracy"]["value"],
        "COVID-19": 100 * score(q)["recall"]["covid-19"]["value"],
    }
    for (method, seed), q in trainings.items()
)
runs.pivot(index="seed", columns="method").round(1)

# %% [markdown]
# *Look down the column of one method's COVID-19. How much of what you read off the figure of
# the weights was the seed?* Causes that know nothing of each other add up as squares:
#
# $$\sigma^2 = \sigma^2_\text{patients} + \sigma^2_\text{seeds}$$

# %%
of_seeds = runs[runs.method == "ssresnet"][["accuracy", "COVID-19"]].std()
of_patients = [
    100 * drawn(answers[WEIGHT], rows).std() for rows in (y_test >= 0, is_covid)
]
spread = pd.DataFrame({"patients": of_patients, "seeds": of_seeds})
spread.assign(both=np.hypot(spread.patients, spread.seeds)).round(1)

# %% [markdown]
# These are standard deviations, in points; twice the last column is about how far one
# training and one set of patients may lie from the truth. For the rare class that is a
# great deal. Two networks can be compared more closely than that.

# %% tags=["check"]
if not FAST:
    assert spread.patients["COVID-19"] > 2 * spread.patients["accuracy"]
    assert np.hypot(*spread.loc["COVID-19"]) > 5

# %% [markdown]
# ## In pairs
#
# Both methods are tested on the same films. Where both are right or both are wrong, there is
# nothing to compare. McNemar's test (1947) looks at the films that one of them alone gets
# right. If neither were better, each such film would be a toss of a coin. *Will all three
# seeds prefer the same method?*

# %%
alone = {}
for seed in SEEDS:
    one = trainings["ssresnet", seed].argmax(-1) == y_test
    other = trainings["supervised", seed].argmax(-1) == y_test
    first, second = alone[seed] = np.sum(one & ~other), np.sum(other & ~one)
    p = binomtest(first, max(first + second, 1)).pvalue
    print(
        f"seed {seed}: ssresnet alone {first}, supervised alone {second}, p = {p:.2f}"
    )

# %% tags=["check"]
if not FAST:
    sides = [
        np.sign(a - b) for a, b in alone.values() if binomtest(a, a + b).pvalue < 0.05
    ]
    assert len(sides) < len(SEEDS) or abs(sum(sides)) < len(SEEDS)

# %% [markdown]
# With seed 0 alone this page could have reported a significant difference ($p < 0.05$). The
# other seeds do not confirm it. The test answers a question about *these two trained
# networks*, not about two methods. (On your machine other numbers may come out: rounding is
# enough for that.)
#
# The test also takes each film for another patient. The *paired bootstrap* does not: it
# takes the difference in each draw of patients. What makes a draw hard is hard for both,
# and cancels.

# %%
draws = {training: 100 * drawn(q) for training, q in trainings.items()}
gap = {seed: draws["ssresnet", seed] - draws["supervised", seed] for seed in SEEDS}
unpaired = np.hypot(draws["ssresnet", 0].std(), draws["supervised", 0].std())
print(f"seed 0, as if unpaired: ± {2 * unpaired:.1f} points")
print(f"seed 0, paired:         ± {2 * gap[0].std():.1f} points")

# %% tags=["check"]
assert FAST or gap[0].std() < 0.9 * unpaired

# %% [markdown]
# That is for two networks. For two methods take the mean difference over the seeds, with
# Student's interval (`over_seeds`): 4.3 standard errors for three seeds, because three
# numbers hardly tell their own spread. The patients join by the squares. *Is there a
# difference between the methods?*

# %%
wide = runs.pivot(index="seed", columns="method", values="accuracy")
difference = wide.ssresnet - wide.supervised
mean = evaluate.over_seeds(difference)
of_patients = 2 * np.mean(list(gap.values()), axis=0).std()
reach = np.hypot(mean["high"] - mean["value"], of_patients)
rows = {
    f"seed {s}, patients": (difference[s], *np.quantile(gap[s], (0.025, 0.975)))
    for s in SEEDS
}
rows["mean, seeds"] = mean["value"], mean["low"], mean["high"]
rows["mean, both"] = mean["value"], mean["value"] - reach, mean["value"] + reach
intervals = pd.DataFrame(rows, index=["value", "low", "high"]).T

# %%
figure, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
colors = [plots.COLORS[name.startswith("mean")] for name in intervals.index]
ax.hlines(intervals.index, intervals.low, intervals.high, colors, linewidth=2)
ax.scatter(intervals.value, intervals.index, color=colors)
ax.axvline(0, color="black", linewidth=0.8)
ax.invert_yaxis()
_ = ax.set(xlabel="accuracy of ssresnet less that of supervised in points")

# %% [markdown]
# The last interval holds 0: three seeds show no difference between the methods, and leave
# room for one of a few points either way. If the lower two are nearly alike, it is seeds
# that are wanting, not patients. For whole tables of runs,
# `sskeras.experiments.results.difference` pairs the seeds.

# %% tags=["check"]
if not FAST:
    both = intervals.loc["mean, both"]
    assert both.low < 0 < both.high and both.high - both.low > 2

# %% [markdown]
# ## Four of 33
#
# The paper's test set has 33 films of COVID-19. Each is found or not, so that the number
# found is binomial, and its exact interval needs no network. *Ten of 33 against 7 against
# 4: do the intervals overlap?*

# %%
for count in (0, 3, 4, 7, 10, 16, 17):
    low, high = binomtest(count, 33).proportion_ci()
    print(f"{count:2} of 33: {count / 33:4.0%}, from {low:.0%} to {high:.0%}")

# %% [markdown]
# They do, and 4 of 33 may be 3 % or 28 %. So our audit above is one of printed numbers, not
# of methods: 10, 7 and 4 of 33 are within what chance does, and 16 against 17 decides
# nothing. And this takes every film for another patient.

# %% tags=["check"]
bounds = {k: binomtest(k, 33).proportion_ci() for k in (3, 4, 10)}
assert bounds[4].high > bounds[10].low
assert round(100 * bounds[3].low) == 2 and round(100 * bounds[3].high) == 24

# %% [markdown]
# ## Summary
#
# Accuracy does not see a rare class. A class weight trades false alarms for sensitivity; so
# does a threshold, after training and for nothing, if the class was learned. Precision
# belongs to a prevalence. A difference between methods is one that stays with other patients
# *and* other seeds, compared in pairs.
#
# ## Exercises
#
# 1. Keep 20 % of the labels, six films of COVID-19. Train the weights 2 and 50. Can a
#    threshold still do what the weight does?
# 2. Choose the threshold on half of the test patients: the largest one that finds 80 % of
#    COVID-19. What does it find among the other half? Repeat with 200 halves.
# 3. A missed COVID-19 costs as much as $k$ false alarms. Which threshold is cheapest at the
#    paper's prevalence, for $k$ = 1, 10, 100, 1000?
# 4. Undo the weight of 50: move its threshold back by a factor of 1/50. Is it the network
#    with the weight 1 now?
# 5. A recall near 50 % is to be known to ± 5 points. How many patients with COVID-19 must
#    the test set have? And how many to tell 10 of 33 from 4 of 33?
#
# [Solutions](solutions/07_weights_and_thresholds.ipynb)
