# %% [markdown]
# # 5. Two paths
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sskeras/sskeras/blob/main/tutorials/05_two_paths.ipynb)
#
# **Goal.** SSResNet from the inside: its network with a price on each part, its training
# step written by you and checked against ours, and a look at what the second path does to
# the first. You will see it do harm, and find out why.
#
# **Time.** 2 minutes on two processor cores.
#
# **You need** [lesson 1](01_first_model.ipynb); [lesson 2](02_algorithm_1.ipynb), where
# Algorithm 1 is done by hand; and what a gradient is. *Not for clinical use: the films
# are drawn, and the models are a lesson.*

# %%
# In Colab, once: %pip install git+https://github.com/sskeras/sskeras
import os

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf

import sskeras
from data_tools import phantom
from sskeras import augment, data, evaluate, methods, networks, plots, schedules

assert sskeras.__version__ >= "0.1"
assert [int(n) for n in keras.__version__.split(".")[:2]] >= [3, 10]
FAST = "SSKERAS_FAST" in os.environ  # Set by our own tests: too short to learn much.
tf.config.run_functions_eagerly(FAST)  # To compile does not pay for a few steps.
FILMS, SIZE, EPOCHS = (160, 32, 1) if FAST else (2400, 64, 12)
FILTERS = (4, 8) if FAST else (8, 16)
SHARE, BATCH, SEED = 0.1, 64, 0
WEIGHT = (1, 1, 2)  # Of the classes; one of the choices of the paper.
FIRST = 5 if FAST else 20  # Steps in which yours is compared with ours.

# %% [markdown]
# ## The films
#
# The drawn films of lesson 1; for films of your own, put the path of their manifest in
# place of the next line. We keep 10 % of the labels.

# %%
folder = f"films-{FILMS}-{SIZE}" if FAST else f"films-{FILMS}"
table = data.read_manifest(phantom.write(folder, count=FILMS, seed=SEED, size=SIZE))
classes = data.class_names(table)
train, test = data.select(table, "train"), data.select(table, "test")
x, x_test = (data.load_pictures(t.path, SIZE, progress=False) for t in (train, test))
truth, y_test = (data.encode_labels(t, classes) for t in (train, test))
y = data.hide_labels(truth, SHARE, SEED)
{name: int(np.sum(y == c)) for c, name in enumerate(classes)} | {"films": len(y)}

# %% [markdown]
# A training step sees a batch of 64 films, drawn at random. *How many of them have a
# label, do you think? And how often does a batch hold one of COVID-19?*

# %%
x_batch, y_batch = next(iter(data.batches(x, y, BATCH, seed=SEED)))
figure, axes = plt.subplots(4, 16, figsize=(9, 2.7), layout="constrained")
for ax, film, label in zip(axes.flat, x_batch, y_batch.numpy(), strict=True):
    ax.imshow(film[..., 0], cmap="gray")
    ax.set_title(classes[label][:6] if label >= 0 else "?", fontsize=8, pad=2)
    ax.set_axis_off()

# %% [markdown]
# On average six, by chance three in this one. The supervised loss learns from these
# alone; the others enter only by the loss that compares the two paths. And at most three
# of the 26 batches of an epoch hold a labeled film of COVID-19.

# %% tags=["check"]
assert 1 <= np.sum(y_batch >= 0) <= 15
if not FAST:
    assert np.sum(y_batch >= 0) == 3 and round(BATCH * np.mean(y >= 0)) == 6
    assert np.sum(y == 2) == 3 and data.steps_per_epoch(y, BATCH) == 26

# %% [markdown]
# ## One trunk, two paths
#
# The trunk makes of a film $x$ a stack of small pictures $z$. Two paths of equal shape
# look at the same $z$, and each makes three logits of it.

# %%
trunk, sup = "shared trunk\n$z = f_{sh}(x)$", "supervised path\n$z_{sup} = f_{sup}(z)$"
un, consistency = "unsupervised path\n$z_{un} = f_{un}(z)$", "consistency\non all films"
entropy = "cross entropy\non labeled films"
places = {"film\n$x$": (0, 1), trunk: (2, 1), sup: (4, 2), un: (4, 0)}
places |= {entropy: (6, 2), consistency: (6, 0)}
links = [("film\n$x$", trunk), (trunk, sup), (trunk, un)]
links += [(sup, entropy), (sup, consistency), (un, consistency)]
figure, ax = plt.subplots(figsize=(9, 2.5), layout="constrained")
for ends in links:
    ax.plot(*zip(*(places[end] for end in ends), strict=True), color="gray")
for name, place in places.items():
    box = {"boxstyle": "round,pad=0.6", "fc": "white", "ec": plots.COLORS[0]}
    ax.text(*place, name, ha="center", va="center", bbox=box)
ax.set(xlim=(-0.5, 7), ylim=(-0.7, 2.7))
ax.set_axis_off()

# %% [markdown]
# Read it from left to right. Only the box on the upper right needs labels.
#
# What does each part cost? Layers are named after their part, so that we can sum up:
# trainable weights, and multiply-adds for one film. *Guess first: which part has the most
# weights, the trunk or a path? And which does the most work?*


# %%
def cost(layer):
    weights = sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
    if not hasattr(layer, "kernel"):
        return weights, 0  # Normalization, ReLU, pooling: little beside the others.
    places = np.prod(layer.output.shape[1:-1])  # Where the kernel is put down.
    return weights, int(np.prod(layer.kernel.shape) * places)


def costs(network):
    parts = pd.Series([layer.name.split("_")[0] for layer in network.layers])
    numbers = pd.DataFrame(map(cost, network.layers), columns=["weights", "mult-adds"])
    return numbers.groupby(parts).sum().loc[["shared", "supervised", "unsupervised"]]


network = networks.two_path_resnet((SIZE, SIZE, 1), num_classes=3, filters=FILTERS)
small, large = costs(network), costs(networks.two_path_resnet())
pd.concat({"here": small, "default, 224×224 pixels": large}, axis=1).map("{:,}".format)

# %% [markdown]
# The trunk has few weights and works on large pictures; a path has many and works on
# small ones. Beside the network of a supervised learner, trunk and one path, the second
# path nearly doubles the weights, but adds little work:

# %%
(small.sum() / small.loc[["shared", "supervised"]].sum()).round(2).to_dict()

# %% tags=["check"]
for price in (small, large):
    more = price.sum() / price.loc[["shared", "supervised"]].sum()
    assert more["weights"] > 1.7 and more["mult-adds"] < 1.3
    assert 2 * price.weights["shared"] < price.weights["supervised"]
    assert price["mult-adds"]["shared"] > 2 * price["mult-adds"]["supervised"]
assert large.weights.sum() == 1_482_310

# %% [markdown]
# ## The training step, written from nothing
#
# Keras's `fit` hands each batch to `train_step`; whoever overrides it decides what
# training is. Algorithm 1 of Nwosu et al. (2021), for a batch $B$ with the labeled films
# $S$, the class weights $w$ and $C$ classes:
#
# $$L = \underbrace{-\frac{1}{|B|} \sum_{i \in B \cap S} w_{y_i}
# \log \mathrm{softmax}(z_{sup,i})_{y_i}}_{\text{supervised, line 6}} \; + \; \lambda(t)
# \underbrace{\frac{1}{C|B|} \sum_{i \in B} \| z_{sup,i} - z_{un,i}
# \|^2}_{\text{unsupervised, line 7}}$$
#
# A `GradientTape` records what is computed inside it and then gives the gradient of $L$
# for every weight. A label of -1 becomes a row of zeros in `one_hot`, so that films
# without a label leave line 6 by themselves, but not its divisor $|B|$.


# %%
def cross_entropy(y, z, class_weight):
    log_p = class_weight * tf.nn.log_softmax(z)
    return -tf.reduce_sum(tf.one_hot(y, len(classes)) * log_p, axis=-1)


class ByHand(keras.Model):
    def __init__(self, network, class_weight, ramp):
        super().__init__()
        self.network, self.class_weight, self.ramp = network, class_weight, ramp

    def train_step(self, batch):
        x, y = batch
        with tf.GradientTape() as tape:
            z_sup, z_un = self.network(x, training=True)  # Lines 3-5.
            each = cross_entropy(y, z_sup, self.class_weight)
            supervised = tf.reduce_mean(each)  # Line 6.
            unsupervised = tf.reduce_mean(tf.square(z_sup - z_un))  # Line 7.
            weight = self.ramp(self.optimizer.iterations)  # λ(t)
            loss = supervised + weight * unsupervised  # Line 8.
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply(gradients, self.trainable_weights)  # Line 9.
        return {"supervised": supervised, "unsupervised": unsupervised}


# %% [markdown]
# Does it do what `methods.SSResNet` does? Same initial weights, same batches, same
# dropout: `set_random_seed` fixes all of them. An epoch of one step lets `fit` report the
# losses of each step. *To how many digits should the two agree after 20 steps?*


# %%
def first_steps(make):
    keras.utils.set_random_seed(SEED)
    network = networks.two_path_resnet((SIZE, SIZE, 1), 3, FILTERS)
    model = make(network, WEIGHT, schedules.GaussianRampUp(peak=1.0, steps=10))
    model.compile(keras.optimizers.Adam(3e-3), jit_compile=False)
    batches = data.batches(x, y, BATCH, seed=SEED)
    history = model.fit(batches, epochs=FIRST, steps_per_epoch=1, verbose=0).history
    weights = np.concatenate([w.ravel() for w in network.get_weights()])
    return pd.DataFrame(history)[["supervised", "unsupervised"]], weights


losses, weights = first_steps(ByHand)
our_losses, our_weights = first_steps(methods.SSResNet)
both = pd.concat({"by hand": losses, "SSResNet": our_losses}, axis=1)
both.iloc[[0, 1, 4, FIRST // 2 - 1, FIRST - 1]]

# %%
gap = np.abs(weights - our_weights)
print(f"{gap.size:,} weights and moving averages")
print(f"largest difference after {FIRST} steps: {gap.max():.1e}")

# %% [markdown]
# Not a digit apart. (On a processor that takes the sums in another order the last digits
# may differ, and the difference then grows from step to step: exercise 1.)
#
# Twenty lines are the method. What ours has more: it checks labels, counts the accuracy
# on labeled films only, scales the loss in half precision, divides by the global batch
# on several devices, and saves. Read `sskeras/methods/ssresnet.py` now: you will know it.

# %% tags=["check"]
np.testing.assert_allclose(losses[:4], our_losses[:4], rtol=1e-3, atol=1e-5)
assert np.median(gap) < 1e-3

rng = np.random.default_rng(SEED)
some_y, some_z = np.arange(8) % 4 - 1, rng.normal(size=(8, 3)).astype("float32")
wanted = sskeras.losses.weighted_cross_entropy(some_y, some_z, WEIGHT)
found = tf.reduce_mean(cross_entropy(some_y, some_z, WEIGHT))
np.testing.assert_allclose(found, wanted, rtol=1e-5)

# %% [markdown]
# ## λ grows
#
# At first both paths say nothing of value, and agreeing would teach them nothing. So
# $\lambda$ starts at 0, follows half a Gaussian bell (Laine & Aila, 2017) up to its peak at
# step $T$, and stays there:
#
# $$\lambda(t) = \lambda_{max} \, e^{-5 (1 - t/T)^2}, \quad 0 < t < T.$$
#
# The paper names neither $T$ nor $\lambda_{max}$. The default of `SSResNet` is
# $\lambda_{max} = 1$ and $T = 765$ steps, 15 of the paper's 50 epochs. *Our training is
# shorter. What would $\lambda$ be at its end?*

# %%
steps = data.steps_per_epoch(y, BATCH)
total = EPOCHS * steps
ramps = {
    "Gaussian, T = 765 (default)": schedules.GaussianRampUp(1.0, 765),
    "Gaussian, T = 30 % of ours": schedules.GaussianRampUp(1.0, int(0.3 * total)),
    "linear, T = 30 % of ours": schedules.LinearRampUp(1.0, int(0.3 * total)),
}
figure, ax = plt.subplots(figsize=(9, 2.8), layout="constrained")
t = np.arange(0, max(total, 800), 5)
for color, (name, schedule) in zip(plots.COLORS, ramps.items(), strict=False):
    ax.plot(t, [schedule(int(step)) for step in t], color=color, label=name)
ax.axvline(total, color="black", linestyle=":", label="our training ends")
ax.set(xlabel="training step $t$", ylabel="λ(t)", title="Three ramps")
_ = ax.legend()

# %%
{name: round(float(schedule(total)), 2) for name, schedule in ramps.items()}

# %% [markdown]
# With the default the training would be over while $\lambda$ is still small. From here on
# we take the same share, 30 %, of our own steps. The Gaussian stays near 0 longer than
# a straight line, and then hurries.

# %% tags=["check"]
assert float(ramps["Gaussian, T = 30 % of ours"](total)) == 1
if not FAST:
    assert float(ramps["Gaussian, T = 765 (default)"](total)) < 0.25

# %% [markdown]
# ## The number to beat
#
# The trunk with the supervised path alone, on the same films, labels and batches. A
# callback notes after each epoch, on 256 films without a label, how far apart the logits
# of different films lie and how often the paths name the same class.

# %%
unlabeled = np.random.default_rng(SEED).permutation(x[y == -1])[:256]
RAMP = ramps["Gaussian, T = 30 % of ours"]


class Watch(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.spread, self.agreement = [], []

    def on_epoch_end(self, epoch, logs=None):
        z_sup, *others = keras.tree.flatten(self.model.network(unlabeled))
        self.spread.append(float(np.std(z_sup, axis=0).mean()))
        for z_un in others:
            same = np.argmax(z_sup, axis=-1) == np.argmax(z_un, axis=-1)
            self.agreement.append(float(np.mean(same)))


def fit(model, seed=SEED):
    rate = keras.optimizers.schedules.CosineDecay(3e-3, total)
    model.compile(keras.optimizers.Adam(rate), metrics=["accuracy"])
    batches, watch = data.batches(x, y, BATCH, seed=seed), Watch()
    plan = {"epochs": EPOCHS, "steps_per_epoch": steps, "verbose": 0}
    history = model.fit(batches, callbacks=[watch], **plan).history
    return history | vars(watch)


# %%
def supervised(seed=SEED):
    keras.utils.set_random_seed(seed)
    network = networks.resnet((SIZE, SIZE, 1), num_classes=3, filters=FILTERS)
    return methods.Supervised(network, class_weight=WEIGHT)


def two_paths(space, seed=SEED, dropout=0.5, ramp=RAMP, **options):
    keras.utils.set_random_seed(seed)
    network = networks.two_path_resnet((SIZE, SIZE, 1), 3, FILTERS, dropout)
    options = {"consistency_space": space, "unsupervised_weight": ramp, **options}
    return methods.SSResNet(network, class_weight=WEIGHT, **options)


models = {"supervised": supervised()}
curves = {"supervised": fit(models["supervised"])}

# %% [markdown]
# ## Agree on what?
#
# Line 7 compares the logits themselves; so the paper prints it, and that is our default.
# Its forerunner, the Π-model of Laine & Aila (2017), compares probabilities, that is
# `softmax` of the logits. We train both.
#
# *There are two ways to make $\| z_{sup} - z_{un} \|^2$ small: the paths say the same, or
# both say nearly nothing. Which one do you expect, and can the probabilities take the
# second way, too?*

# %%
for space in ("logits", "probabilities"):
    models[space] = two_paths(space)
    curves[space] = fit(models[space])

# %%
figure, axes = plt.subplots(2, 2, figsize=(9, 5.4), layout="constrained", sharex=True)
panels = {
    "supervised": "supervised loss",
    "unsupervised": "unsupervised loss, each in its own space",
    "spread": "spread of a logit over films",
    "agreement": "share of films on which the paths agree",
}
for ax, (quantity, title) in zip(axes.flat, panels.items(), strict=True):
    for color, (name, found) in zip(plots.COLORS, curves.items(), strict=False):
        if len(found.get(quantity, ())):
            ax.plot(range(1, EPOCHS + 1), found[quantity], color=color, label=name)
    ax.set_title(title)
axes[0, 1].set_yscale("log")
axes[0, 0].legend()
for ax in axes[1]:
    ax.set_xlabel("epoch")

# %% [markdown]
# Follow the orange curve. While $\lambda$ grows, in the first four epochs, the spread
# shrinks to nearly nothing: every film gets about the same logits. From then on the
# supervised loss hardly falls, and the paths come to agree on nearly every film.
# **Agreement is no success**: see what they agree on.

# %%
scores = {
    name: evaluate.scores(
        y_test,
        model.predict(x_test, verbose=0),
        classes,
        weight=test.weight,
        patient_id=test.patient_id,
    )
    for name, model in models.items()
}
print(evaluate.table(scores))

# %% [markdown]
# On logits, to the letter of the paper, the network has given up: it calls nearly all
# films pneumonia, the larger class. On probabilities the two paths are no better than the
# plain network; the intervals overlap. With these few labels the second path is no gift.

# %% tags=["check"]
if not FAST:
    plain, literal, bounded = (found["accuracy"] for found in scores.values())
    assert literal["high"] < min(plain["low"], bounded["low"])
    assert max(plain["low"], bounded["low"]) < min(plain["high"], bounded["high"])
    assert curves["logits"]["spread"][-1] < 0.5 * curves["probabilities"]["spread"][-1]
    assert curves["logits"]["agreement"][-1] > 0.8
    assert (
        curves["logits"]["supervised"][-1]
        > 1.5 * curves["supervised"]["supervised"][-1]
    )
    recall = scores["logits"]["recall"]
    assert recall["pneumonia"]["value"] > 0.7 > recall["normal"]["value"]

# %% [markdown]
# One number of each path tells which of the two large classes it leans to: the logit of
# pneumonia less that of normal. *Before you look: where do the films lie when the paths
# agree? When both say nothing?*


# %%
z_test = {
    name: models[name].network.predict(x_test, verbose=0)
    for name in ("logits", "probabilities")
}
figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained", sharey=True)
for ax, (name, paths) in zip(axes, z_test.items(), strict=True):
    lean = [z[:, 1] - z[:, 0] for z in paths]
    for c in (0, 1):
        points = [values[y_test == c] for values in lean]
        ax.plot(*points, "o^"[c], ms=3, color=plots.COLORS[c], label=classes[c])
    ax.axline((0, 0), slope=1, color="gray", lw=1)
    ax.set(title=f"agree on {name}", xlabel="supervised path", xlim=(-3.5, 3.5))
axes[0].set(ylabel="unsupervised path", ylim=(-3.5, 3.5))
_ = axes[1].legend(title="the truth")

# %% [markdown]
# Each point is a test film, normal or pneumonia; on the gray line both paths lean alike.
# On the right the films lie along it, and the unsupervised path is a little the shyer of
# the two. On the left all of them have been pressed into one spot.
#
# ## Why the logits shrink
#
# Take the derivative of both losses for the logits of one film:
#
# $$\frac{\partial}{\partial z_{sup}} \text{line 6} = \frac{w_y}{|B|}
# \, (\mathrm{softmax}(z_{sup}) - e_y), \qquad
# \frac{\partial}{\partial z_{sup}} \text{line 7} = \frac{2}{C|B|}
# \, (z_{sup} - z_{un}).$$
#
# The first is bounded and comes from the six labeled films of a batch. The second comes
# from all 64 and grows with the difference. But why should that press the logits
# together, if the paths could simply agree? Because of dropout. The last layer of a path
# is $W h + b$, and in training each path loses a random half of its $h$. Try what that
# does to two paths with the same weights. *Which of the four numbers is zero?*


# %%
def difference(dropout, same_weights):
    keras.utils.set_random_seed(SEED)
    one = networks.two_path_resnet((SIZE, SIZE, 1), 3, FILTERS)
    network = networks.two_path_resnet((SIZE, SIZE, 1), 3, FILTERS, dropout)
    network.set_weights(one.get_weights())  # The same at each rate.
    for layer in network.layers:
        if same_weights and layer.name.startswith("unsupervised"):
            twin = network.get_layer(layer.name.removeprefix("un"))
            layer.set_weights(twin.get_weights())
    z_sup, z_un = network(x_batch, training=True)
    return float(np.mean(np.square(z_sup - z_un)))


rows = {"own weights": False, "same weights": True}
found = [[difference(rate, same) for rate in (0, 0.5)] for same in rows.values()]
pd.DataFrame(found, rows, ["no dropout", "dropout 0.5"]).round(4)

# %% [markdown]
# Without dropout the paths differ by their initial weights alone, and two equal paths
# have nothing to tell each other. With dropout at rate 1/2, two equal paths still differ,
# on average by
#
# $$E \, (z_{sup,c} - z_{un,c})^2 = 2 \sum_j W_{cj}^2 h_j^2.$$
#
# No agreement makes that small, only small $W$ or small $h$ do. So line 7 with dropout
# has a second face, weight decay on the last layer, which all 64 films feed.
#
# An explanation should forecast something. This one says: *without dropout, the network
# on logits does not give up.* Test it.

# %% tags=["check"]
assert found[1][0] == 0 and found[0][1] > found[0][0] > 0 and found[1][1] > 0

# %%
models["logits, no dropout"] = two_paths("logits", dropout=0)
curves["logits, no dropout"] = fit(models["logits, no dropout"])


def accuracy(probabilities):
    right = np.argmax(probabilities, axis=-1) == y_test
    return 100 * np.average(right, weights=test.weight)


pd.DataFrame(
    {
        name: {
            "accuracy (%)": accuracy(model.predict(x_test, verbose=0)),
            "spread of a logit": curves[name]["spread"][-1],
        }
        for name, model in models.items()
    }
).T.round(2)

# %% [markdown]
# The forecast holds: the spread is many times that with dropout, and most of the accuracy
# is back. (A dropout layer draws a seed of its own, so that the initial weights differ,
# too.)

# %% tags=["check"]
if not FAST:
    spread = {name: found["spread"][-1] for name, found in curves.items()}
    assert spread["logits, no dropout"] > 4 * spread["logits"]
    accuracies = {n: accuracy(m.predict(x_test, verbose=0)) for n, m in models.items()}
    assert accuracies["logits, no dropout"] > accuracies["logits"] + 5

# %% [markdown]
# ## Which path answers?
#
# `predict` takes the supervised path, as the paper does. But the other path answers, too.
# *Its own layers have never seen a label. How good is it?*

# %%
answers = {}
for name, paths in z_test.items():
    p_sup, p_un = (np.array(keras.ops.softmax(z)) for z in paths)
    three = {"supervised path": p_sup, "unsupervised path": p_un, "mean": p_sup + p_un}
    answers[name] = {path: accuracy(p) for path, p in three.items()}
pd.DataFrame(answers).round(1)

# %% [markdown]
# All that its own layers know they have from agreeing, on a trunk that learned from labels,
# too; and where the paths agree on something of worth, it is
# as good as the first. Their mean adds little: two paths on one trunk make the same
# mistakes.

# %% tags=["check"]
if not FAST:
    one, other, mean = answers["probabilities"].values()
    assert abs(one - other) < 5 and mean < max(one, other) + 4

# %% [markdown]
# ## Who moves?
#
# When two paths disagree, which one gives in? In Algorithm 1 both do, and the trunk with
# them. `stop_gradient` takes one side out: its answer becomes a target that stands still.
# Here is the length of the gradient of line 7 in each part of a fresh network.


# %%
def pull(stop):
    model = two_paths("probabilities", stop_gradient=stop)
    with tf.GradientTape() as tape:
        losses = model.objective(x_batch, y_batch, training=True)[1]
    trained = model.network.trainable_weights
    gradients = tape.gradient(losses["unsupervised"], trained)
    squares = dict.fromkeys(small.index, 0.0)
    for weight, gradient in zip(trained, gradients, strict=True):
        if gradient is not None:
            squares[weight.path.split("_")[0]] += float(tf.reduce_sum(gradient**2))
    return {part: square**0.5 for part, square in squares.items()}


pulls = {stop: pull(stop) for stop in ("none", "supervised", "unsupervised")}
pd.DataFrame(pulls).rename_axis(columns="stop_gradient").round(3)

# %% [markdown]
# Stopped at the supervised path, the other follows it as a pupil. Stopped at the
# unsupervised path, nothing ever moves that path: the target is then a network with random
# weights on top of the trunk. Exercise 5 asks what comes of it.

# %% tags=["check"]
assert pulls["supervised"]["supervised"] == pulls["unsupervised"]["unsupervised"] == 0
assert all(pulls[stop]["shared"] > 0 for stop in pulls)
assert min(pulls["none"].values()) > 0

# %% [markdown]
# ## What else could differ
#
# Two answers teach only where they differ. Here they differ by path and dropout mask.
# The Π-model asks one path twice, with two *views* of a film, slightly turned and shifted,
# and with two masks. How much does each of these change the answer of our trained network?

# %%
network = models["probabilities"].network
view = augment.Weak(seed=SEED)
before = keras.Model(network.input, network.get_layer("supervised_pool").output)
last, drop = (network.get_layer(f"supervised_{n}") for n in ("logits", "dropout"))
h = before(unlabeled)
pairs = {
    "two paths": network(unlabeled),
    "two dropout masks": [last(drop(h, training=True)) for _ in range(2)],
    "two views": [network(view(unlabeled, training=True))[0] for _ in range(2)],
}
pairs = {name: [np.array(keras.ops.softmax(z)) for z in p] for name, p in pairs.items()}
sources = {
    name: {
        "mean squared difference": np.mean((p - q) ** 2),
        "same class (%)": 100 * np.mean(p.argmax(-1) == q.argmax(-1)),
    }
    for name, (p, q) in pairs.items()
}
pd.DataFrame(sources).T.round(4)

# %% tags=["check"]
if not FAST:
    apart = {name: found["mean squared difference"] for name, found in sources.items()}
    assert min(apart["two dropout masks"], apart["two views"]) > 2 * apart["two paths"]
    assert sources["two views"]["same class (%)"] < 85

# %% [markdown]
# The two paths have become near twins; a mask or a view changes the answer several times
# as much. So most of what line 7 still has to say in training is about dropout. That a
# film keeps its class when it is turned a little is a lesson of more use, and this network
# has not learned it; [lesson 6](06_the_family.ipynb) is about methods that teach it.
#
# ## A mistake
#
# The two-path method needs two paths. Read what it says to a network with one:

# %%
try:
    methods.SSResNet(networks.resnet((SIZE, SIZE, 1), num_classes=3))
except ValueError as error:
    print(error)

# %% [markdown]
# ## Summary
#
# You wrote the training step of SSResNet in twenty lines, and it gave the weights of ours.
# With 10 % of the labels the second path did not help. On logits its loss outweighed the
# labels, dropout made weight decay of it, and the network fell silent; on probabilities
# it did neither good nor harm. Paths that agree prove nothing: look at what they agree
# on, and at the supervised network beside them.
#
# ## Exercises
#
# 1. TensorFlow has line 6 in one function,
#    `tf.nn.sparse_softmax_cross_entropy_with_logits`. Use it in `cross_entropy`. How far
#    are the losses from ours after 2, 5, 10 and 20 steps?
# 2. Set $\lambda = 0$. Which earlier number must come back? Train and compare.
# 3. Check the formula for two equal paths: draw 1,000 pairs of masks for one film. What
#    does it become at a rate of 0.2?
# 4. It is the ratio of the two losses that counts. Train on logits with
#    `supervised_divisor="labeled"`, then with $\lambda = 0.1$, then on probabilities with
#    $\lambda = 10$. Which of them give up, and why are the first two much alike?
# 5. Train on probabilities with `stop_gradient="supervised"`, then `"unsupervised"`. What
#    are the two paths worth now?
# 6. One training decides nothing. With 20 % of the labels, train the supervised network
#    and the two paths on probabilities with three seeds each. Does the second path help?
#
# [Solutions](solutions/05_two_paths.ipynb)
