# %% [markdown]
# # 2. Algorithm 1 by hand
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sskeras/sskeras/blob/main/tutorials/02_algorithm_1.ipynb)
#
# **Goal.** One training step of SSResNet in numpy, line by line, on eight films; beside
# each number, that of the package. Then what λ does, and three mistakes that make no
# noise.
#
# **Time.** 1 minute on two processor cores.
#
# **You need** [lesson 1](01_first_model.ipynb), softmax, and derivatives.
# *Not for clinical use: the films are drawn.*
#
# Algorithm 1 is that of Nwosu et al. (2021). For a batch $B$, in which the films $S$ are
# labeled, it says (lines 3 to 9, in our words):
#
# | line | |
# |---|---|
# | 3–5 | send each film through the shared part, then through both paths: $z^{sup}_i$, $z^{un}_i$ |
# | 6 | WCEL: weighted cross entropy of $z^{sup}$, on the labeled films |
# | 7 | MSEL: squared difference of $z^{sup}$ and $z^{un}$, on all films |
# | 8 | $L = \mathrm{WCEL} + \lambda \, \mathrm{MSEL}$ |
# | 9 | update all weights along the gradient of $L$ |

# %%
# In Colab, once: %pip install git+https://github.com/sskeras/sskeras
import os

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sskeras
from data_tools import phantom
from sskeras import data, evaluate, losses, methods, networks, plots, schedules

assert sskeras.__version__ >= "0.1"
assert [int(n) for n in keras.__version__.split(".")[:2]] >= [3, 10]
FAST = "SSKERAS_FAST" in os.environ  # Set by our own tests: too short to learn much.
FOLDER, FILMS, DRAWN = ("films-240-32", 240, 32) if FAST else ("films-2400", 2400, 64)
EPOCHS, FILTERS = (1, (4, 8)) if FAST else (6, (8, 16))
SIZE, SEED, SHARE = 32, 0, 0.2
SHAPE, WEIGHT = (SIZE, SIZE, 1), (1, 1, 2)
LAMBDA, RATE = 0.5, 0.1  # λ and the learning rate, for the part by hand.

# %% [markdown]
# ## A batch of eight films
#
# One labeled film of each class, and five that nobody has looked at: -1. (Your own
# manifest goes in place of `phantom.write(...)`, as in lesson 1.) We shrink the films to
# 32×32, so that everything is quick.

# %%
manifest = phantom.write(FOLDER, count=FILMS, seed=SEED, size=DRAWN)
table = data.read_manifest(manifest)
classes = data.class_names(table)
train, test = data.select(table, "train"), data.select(table, "test")
x = data.load_pictures(train.path, SIZE, progress=False)
truth = data.encode_labels(train, classes)

# %%
rows = [np.flatnonzero(truth == c)[0] for c in range(3)]
rows += list(np.random.default_rng(SEED).choice(len(x), 5, replace=False))
films, y = x[rows], np.array([0, 1, 2, -1, -1, -1, -1, -1])
names = [classes[c] if c >= 0 else "unlabeled" for c in y]
figure, axes = plt.subplots(1, 8, figsize=(9, 1.5), layout="constrained")
for ax, film, name in zip(axes, films, names, strict=True):
    ax.imshow(film[..., 0], cmap="gray", vmin=0, vmax=255)
    ax.set_title(name, fontsize=9)
    ax.set(xticks=[], yticks=[])

# %% tags=["check"]
assert len(set(rows)) == 8

# %% [markdown]
# ## Lines 3 to 5: two answers for each film
#
# `training=True` has batch normalization use this batch, as a training step does. Dropout
# stays out for now: it draws anew in every call, and nobody can repeat that by hand.
#
# *No film has been learned from yet. Will the two paths agree?*

# %%
keras.utils.set_random_seed(SEED)
network = networks.two_path_resnet(SHAPE, 3, FILTERS, dropout=0)
z_sup, z_un = (np.array(z, "float64") for z in network(films, training=True))
for name, a, b in zip(names, z_sup, z_un, strict=True):
    print(f"{name:10}", np.round(a, 2), np.round(b, 2))

# %% [markdown]
# They do not: the paths have the same layers and other initial weights. These 48 numbers
# are all that lines 6 to 8 need.

# %% tags=["check"]
assert z_sup.size + z_un.size == 48 and np.abs(z_sup - z_un).max() > 0.1

# %% [markdown]
# ## Line 7: do the paths agree?
#
# $$\mathrm{MSEL} = \frac{1}{C|B|}\sum_{i \in B} \lVert z^{sup}_i - z^{un}_i \rVert^2$$
#
# *How many of the eight films take part?*

# %%
B, C = z_sup.shape
msel = sum(np.sum((z_sup[i] - z_un[i]) ** 2) for i in range(B)) / (C * B)
print(f"numpy   {msel:.6f}")
print(f"sskeras {losses.mean_squared_difference(z_sup, z_un):.6f}")

# %% tags=["check"]
np.testing.assert_allclose(losses.mean_squared_difference(z_sup, z_un), msel, rtol=1e-5)

# %% [markdown]
# All eight, for the formula has no label in it.
#
# ## Line 6: is it right?
#
# $$\mathrm{WCEL} = -\frac{1}{|B|}\sum_{i \in B \cap S} \log \varphi(z^{sup}_i)[y_i w_i]$$
#
# φ is softmax, $w_i$ the weight of the film's class: 2 for COVID-19, 1 for the others. So
# the paper prints it. *Take the index to the letter: what happens at the COVID-19 film?*


# %%
def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


phi = softmax(z_sup)
try:
    print(np.log(phi[2])[y[2] * WEIGHT[2]])
except IndexError as error:
    print(error)

# %% [markdown]
# Class 2 times weight 2 is class 4, and there is none. So $w_i$ must stand elsewhere:
# inside the logarithm, $\log(w_i \varphi)$, or in front, $w_i \log\varphi$. What counts is
# how hard a film pulls at its logit. Measure it: nudge the logit of COVID-19 up and
# down, and divide the change of the loss by the change of the logit. *Which of the two
# readings makes a weight of 2 pull twice as hard?*


# %%
def inside(z, w):
    return -np.log(w * softmax(z)[2])


def in_front(z, w):
    return -w * np.log(softmax(z)[2])


h, pull = np.array([0, 0, 1e-5]), {}
for reading in (inside, in_front):
    pull[reading.__name__] = [
        (reading(z_sup[2] + h, w) - reading(z_sup[2] - h, w)) / 2e-5 for w in (1, 2)
    ]
    print(f"{reading.__name__:8}  weights 1, 2:", np.round(pull[reading.__name__], 4))

# %% tags=["check"]
ratios = [pull[name][1] / pull[name][0] for name in ("inside", "in_front")]
np.testing.assert_allclose(ratios, [1, 2], rtol=1e-4)

# %% [markdown]
# Inside, $\log(w\varphi) = \log w + \log\varphi$: a constant is added, and a constant pulls
# at nothing. So $w_i$ stands in front, as it does in the paper's equation 10. Line 6, then:

# %%
wcel = sum(-WEIGHT[y[i]] * np.log(phi[i, y[i]]) for i in range(B) if y[i] != -1) / B
print(f"numpy   {wcel:.6f}")
print(f"sskeras {losses.weighted_cross_entropy(y, z_sup, WEIGHT):.6f}")

# %% tags=["check"]
ours = losses.weighted_cross_entropy(y, z_sup, WEIGHT)
np.testing.assert_allclose(ours, wcel, rtol=1e-5)

# %% [markdown]
# A last digit may differ: numpy computes in float64, the package in float32.
#
# ## Why $1/|B|$?
#
# Three films are labeled, and line 6 divides by eight. Others divide by the number of
# labeled films, $M$, or by the sum of their weights. `SSResNet` has the argument
# `supervised_divisor` for it. *By what factors do the three values differ?*

# %%
divisors = {"batch": B, "labeled": 3, "weight": 1 + 1 + 2}
for name, divisor in divisors.items():
    value = losses.weighted_cross_entropy(y, z_sup, WEIGHT, divisor)
    print(f"supervised_divisor={name!r:10}  1/{divisor}  WCEL = {value:.3f}")

# %% [markdown]
# Line 7 stays as it is, so the divisor moves the balance between the two losses. Take
# $M/|B|$ out of line 8:
#
# $$\frac{1}{|B|}\sum_S \ldots + \lambda\,\mathrm{MSEL} = \frac{M}{|B|}\Big(\frac{1}{M}\sum_S \ldots +
# \lambda\frac{|B|}{M}\,\mathrm{MSEL}\Big)$$
#
# The factor in front scales the whole gradient; Adam, which divides by the gradient's
# size, hardly notices. The factor beside λ stays. *5 % of the films are labeled, and your
# λ is 1: which λ does the same for somebody who divides by $M$?*

# %%
for share in (1, 0.2, 0.05):
    print(f"{100 * share:3.0f} % labeled: λ = 1 acts like λ = {1 / share:.0f}")

# %% tags=["check"]
by_labeled = losses.weighted_cross_entropy(y, z_sup, WEIGHT, 3)
np.testing.assert_allclose(
    wcel + 1.0 * msel, 3 / B * (by_labeled + B / 3 * msel), rtol=1e-5
)

# %% [markdown]
# A λ of one paper says nothing about another before you know both divisors. And with
# $1/|B|$, the fewer labels, the smaller λ must be.
#
# The third divisor has a trap of its own. *Let the COVID-19 film be the only labeled one
# of the batch: what becomes of its weight?*

# %%
alone = np.array([-1, -1, 2, -1, -1, -1, -1, -1])
for weight in ((1, 1, 1), (1, 1, 2), (1, 1, 10)):
    by_number, by_weights = (
        float(losses.weighted_cross_entropy(alone, z_sup, weight, divisor))
        for divisor in (1, weight[2])
    )
    print(
        f"weight {weight[2]:2}:  by number {by_number:6.3f}  by weights {by_weights:.3f}"
    )

# %% tags=["check"]
plain = losses.weighted_cross_entropy(alone, z_sup, None, 1)
np.testing.assert_allclose(by_weights, plain, rtol=1e-5)
np.testing.assert_allclose(by_number, 10 * plain, rtol=1e-5)

# %% [markdown]
# It cancels: divided by their sum, weights only say how much a film counts beside the
# other labeled films of its batch.
#
# ## The gradient, three times
#
# With $e_{y}$ for the one-hot label, and $w_i = 0$ for a film without one:
#
# $$\frac{\partial L}{\partial z^{sup}_i} = \frac{w_i}{|B|}\big(\varphi(z^{sup}_i) - e_{y_i}\big) +
# \frac{2\lambda}{C|B|}\big(z^{sup}_i - z^{un}_i\big), \qquad
# \frac{\partial L}{\partial z^{un}_i} = -\frac{2\lambda}{C|B|}\big(z^{sup}_i - z^{un}_i\big)$$
#
# First these formulas:

# %%
w = np.array([1, 1, 2, 0, 0, 0, 0, 0])
from_6 = w[:, None] / B * (phi - np.eye(C)[y])
from_7 = 2 * LAMBDA / (C * B) * (z_sup - z_un)
formula = np.stack([from_6 + from_7, -from_7])  # (paths, films, classes)

# %% [markdown]
# Second, without any calculus: nudge each of the 48 numbers up and down, and look at the
# loss. (`np.eye(C)[-1]` above is a trap, too: an unlabeled film gets the last class. The
# weight 0 saves us.)


# %%
def loss_of(z):
    a, b = z
    log_phi = np.log(softmax(a))
    supervised = sum(-w[i] * log_phi[i, y[i]] for i in range(B)) / B
    return supervised + LAMBDA * np.sum((a - b) ** 2) / (C * B)


z = np.stack([z_sup, z_un])
nudged = np.zeros_like(z)
for place in np.ndindex(z.shape):
    h = np.zeros_like(z)
    h[place] = 1e-5
    nudged[place] = (loss_of(z + h) - loss_of(z - h)) / 2e-5

# %% [markdown]
# Third, the package's losses and TensorFlow's tape. *By how much will the three differ?*

# %%
with tf.GradientTape() as tape:
    a, b = tf.Variable(z_sup), tf.Variable(z_un)
    loss = losses.weighted_cross_entropy(y, a, WEIGHT)
    loss += LAMBDA * losses.mean_squared_difference(a, b)
taped = np.stack(tape.gradient(loss, [a, b]))
print(f"largest entry of the gradient:   {np.abs(formula).max():.6f}")
print(f"formula and nudges differ by     {np.abs(formula - nudged).max():.1e}")
print(f"formula and package differ by    {np.abs(formula - taped).max():.1e}")

# %% tags=["check"]
np.testing.assert_allclose(nudged, formula, atol=1e-8)
np.testing.assert_allclose(taped, formula, atol=1e-6)

# %% [markdown]
# The larger one is float32 again. Now look at the gradient. *Which of its three parts has
# empty rows?*

# %%
figure, axes = plt.subplots(1, 3, figsize=(9, 3.3), layout="constrained", sharey=True)
limit = np.abs([from_6, from_7]).max()
titles = ("line 6 on z_sup", "line 7 on z_sup", "line 7 on z_un")
for ax, title, part in zip(axes, titles, (from_6, from_7, -from_7), strict=True):
    shown = ax.imshow(part, cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto")
    ax.set(title=title, xlabel="logit of")
    ax.set_xticks(range(3), classes, fontsize=9)
    ax.set_yticks(range(8), names)
_ = figure.colorbar(shown, ax=axes, label="gradient of L (no unit)")

# %% [markdown]
# On the left, the last five rows are empty: no label, no cross entropy. In the first
# three, the film's own class is orange or brown: a step goes against the gradient, so
# that this logit rises. Middle and right are each other's negative: the paths move
# towards each other. Nothing in line 7 says whether they meet at the right answer.

# %% tags=["check"]
assert not from_6[3:].any() and from_7.all()
assert np.array_equal(from_6[:3] < 0, np.eye(3, dtype=bool))

# %% [markdown]
# ## Three mistakes that make no noise
#
# Each of these lines runs, and gives a number that looks like a loss. *Which class does
# numpy take for the label -1?*

# %%
ce = -np.log(phi[np.arange(B), np.maximum(y, 0)])  # (8,)
known = (y >= 0).astype(float)  # (8,)
correct = np.mean(known * ce)
index = np.mean(-np.log(phi[np.arange(B), y]))  # phi[i, -1] is the last class
columns = np.mean(known[:, None] * ce)  # (8, 1) times (8,) is (8, 8)
twice = np.mean(known * -np.log(softmax(phi))[np.arange(B), np.maximum(y, 0)])
print(f"line 6 without class weights        {correct:.3f}")
print(f"-1 as an index: COVID-19            {index:.3f}")
print(f"labels of shape (8, 1)              {columns:.3f}")
print(f"softmax of a softmax                {twice:.3f}")

# %% tags=["check"]
ours = losses.weighted_cross_entropy(y, z_sup)
np.testing.assert_allclose(ours, correct, rtol=1e-5)
assert index > 1.5 * correct
assert all(0.01 < abs(wrong / correct - 1) < 0.2 for wrong in (columns, twice))
np.testing.assert_allclose(columns, known.mean() * ce.mean())

# %% [markdown]
# The first takes every unlabeled film for COVID-19. The second multiplies every film with
# every mask, so that the unlabeled ones are learned from, as class 0. The third squeezes
# all answers towards the middle. Second and third even come close to the right number,
# for this network knows nothing yet. *What does a perfect answer cost?*

# %%
perfect = np.array([10.0, 0.0, 0.0])
print(f"softmax once:  {-np.log(softmax(perfect)[0]):.3f}")
print(f"softmax twice: {-np.log(softmax(softmax(perfect))[0]):.3f}")

# %% tags=["check"]
assert abs(-np.log(softmax(softmax(perfect))[0]) - 0.5514) < 1e-3

# %% [markdown]
# With the softmax taken twice, a labeled film never costs less than 0.55, and no number of
# epochs helps. Eight films and a value computed by hand find all three mistakes at once.
#
# ## Lines 8 and 9: a step of the package
#
# Now `SSResNet` itself, with plain gradient descent: a step subtracts `RATE` times the
# gradient. Three weights can be followed by hand: the bias $b$ of the supervised path's
# last layer is added to every $z^{sup}_i$, so that
# $\partial L/\partial b = \sum_i \partial L/\partial z^{sup}_i$. *Which of its numbers do you
# know already?*

# %%
model = methods.SSResNet(network, WEIGHT, unsupervised_weight=LAMBDA)
model.compile(keras.optimizers.SGD(RATE), run_eagerly=True)
bias = network.get_layer("supervised_logits").bias
before = bias.numpy()
logs = model.train_on_batch(films, y, return_dict=True)
moved = bias.numpy() - before
by_hand = {"supervised": wcel, "unsupervised": msel, "loss": wcel + LAMBDA * msel}
for name, value in by_hand.items():
    print(f"{name:14} numpy {value:.6f}   sskeras {logs[name]:.6f}")
print("bias moved by  numpy", np.round(-RATE * formula[0].sum(axis=0), 6))
print("             sskeras", np.round(moved, 6))

# %% tags=["check"]
for name, value in by_hand.items():
    np.testing.assert_allclose(logs[name], value, rtol=1e-4)
np.testing.assert_allclose(moved, -RATE * formula[0].sum(axis=0), atol=1e-6)

# %% [markdown]
# The other weights follow by the chain rule, and that is the tape's work. Open
# `sskeras/methods/ssresnet.py`: `objective` is what you have just done, and `train_step` in
# `base.py` is line 9.
#
# ## λ = 0
#
# *Take line 7 away: what is left?* Two networks with the same initial weights, five steps
# each:

# %%
two_paths = networks.two_path_resnet(SHAPE, 3, FILTERS, dropout=0)
one_path = networks.resnet(SHAPE, 3, FILTERS, dropout=0)
for layer in one_path.layers:
    layer.set_weights(two_paths.get_layer(layer.name).get_weights())

# %%
pair = {
    "Supervised": methods.Supervised(one_path, WEIGHT),
    "SSResNet, λ=0": methods.SSResNet(two_paths, WEIGHT, unsupervised_weight=0),
}
curves = {}
for name, model in pair.items():
    model.compile(keras.optimizers.SGD(RATE), run_eagerly=True)
    steps = [model.train_on_batch(films, y, return_dict=True) for _ in range(5)]
    curves[name] = [float(logs["supervised"]) for logs in steps]
    print(f"{name:14}", np.round(curves[name], 5))

# %% tags=["check"]
one, other = curves.values()
np.testing.assert_allclose(one, other, rtol=1e-3)
assert one[-1] < one[0]

# %% [markdown]
# Supervised learning, number for number.
#
# ## λ from 0 to 10
#
# Now the training films, 20 % of them labeled, with dropout. Two ways to set λ: the same
# from the first step to the last, or up to it along the *Gaussian ramp* of Laine and Aila
# (2017), $\lambda e^{-5(1 - t/T)^2}$ at step $t < T$ and $\lambda$ from $T$ on, with $T$
# at 30 % of the steps. The paper wants the labels learned first, and gives neither λ nor
# a ramp.

# %%
labels = data.hide_labels(truth, SHARE, SEED)
x_test = data.load_pictures(test.path, SIZE, progress=False)
y_test = data.encode_labels(test, classes)
steps = 1 if FAST else data.steps_per_epoch(labels, 64)  # In each epoch.


# %%
def learn(weight, labels=labels, **options):
    """Trains with λ = weight, and returns the logits of the test films."""
    keras.utils.set_random_seed(SEED)
    network = networks.two_path_resnet(SHAPE, 3, FILTERS)
    model = methods.SSResNet(network, WEIGHT, unsupervised_weight=weight, **options)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * steps)
    model.compile(keras.optimizers.Adam(rate), run_eagerly=FAST)
    batches = data.batches(x, labels, 64, seed=SEED)
    model.fit(batches, epochs=EPOCHS, steps_per_epoch=steps, verbose=0)
    return np.array(model.logits(x_test))


# %% [markdown]
# *Before you run it: is a large λ safe if it grows slowly?*

# %%
T = int(0.3 * EPOCHS * steps)
found = {f"λ = {peak}": learn(peak) for peak in (0, 0.1, 1, 10)}
for peak in (1, 10):
    found[f"λ up to {peak}"] = learn(schedules.GaussianRampUp(peak, T))


# %%
def score(z):
    patients = {"weight": test.weight, "patient_id": test.patient_id}
    return evaluate.scores(y_test, softmax(z), classes, **patients)


scores = {name: score(z) for name, z in found.items()}
print(evaluate.table(scores))

# %%
figure, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
for c, color in enumerate(plots.COLORS[:2]):
    shown = [(z[:, 1] - z[:, 0])[y_test == c] for z in found.values()]
    places = np.arange(len(found)) + 0.3 * c - 0.15
    boxes = ax.boxplot(shown, positions=places, widths=0.25, sym="", patch_artist=True)
    plt.setp(boxes["boxes"], facecolor=color)
    boxes["boxes"][0].set_label(f"{classes[c]} films")
    plt.setp(boxes["medians"], color="white")
ax.axhline(0, color="black", linewidth=0.8)
ax.set_xticks(range(len(found)), found)
ax.set(ylabel="logit: pneumonia − normal", title="What z_sup says of the test films")
_ = ax.legend()

# %% tags=["check"]
if not FAST:
    accuracy = {name: s["accuracy"] for name, s in scores.items()}
    none, little = accuracy["λ = 0"], accuracy["λ = 0.1"]
    assert max(none["low"], little["low"]) < min(none["high"], little["high"])
    constant = max(np.average(y_test == c, weights=test.weight) for c in range(3))
    for name in ("λ = 1", "λ = 10", "λ up to 10"):
        assert accuracy[name]["high"] < none["low"], name
        assert accuracy[name]["low"] < constant, name
    middle = accuracy["λ up to 1"]["value"]
    assert accuracy["λ = 1"]["value"] < middle < none["value"]
    assert max(r["value"] for r in scores["λ = 10"]["recall"].values()) > 0.85
    spread = {name: np.std(z[:, 1] - z[:, 0]) for name, z in found.items()}
    assert spread["λ = 0"] > spread["λ = 0.1"] > 5 * max([*spread.values()][2:])

# %% [markdown]
# Look at the boxes first. At λ = 0 the orange box lies higher than the blue one, though
# they overlap, and both are tall: the network says different things of different films.
# In the last four they are lines. Two paths can agree in two ways: both are right, or
# both say nearly the same of every film, with small logits. The second is cheaper: no
# film need be looked at.
#
# Then the table:
#
# - λ = 0.1: its interval overlaps with that of supervised learning, and it is one
#   training: no gain is shown, and no loss.
# - λ = 1 and 10 from the first step: *collapse*. The accuracy is no better than that of
#   one answer for all films (pneumonia: 52 %). λ = 10 calls every film COVID-19, which
#   makes the recall of COVID-19 100 %: never read one recall alone. On another processor
#   it may be another class.
# - The ramp up to 1 saves a part, and the ramp up to 10 saves nothing. It gives the labels
#   a start, and then the same λ arrives.
#
# This is the literal Algorithm 1, and logits have no bound. The paths of lesson 1 agreed
# on probabilities; [lesson 5](05_two_paths.ipynb) compares the two.
#
# ## Summary
#
# You computed line 6, line 7, the gradient and one bias of a step in numpy, and the package
# gave the same numbers. Line 6 divides by all films of the batch, so that few labels make λ
# large in effect. λ = 0 is supervised learning; with too large a λ the paths agree by
# saying next to nothing.
#
# ## Exercises
#
# 1. Give the fourth film its label, `truth[rows[3]]`. Which of WCEL and MSEL changes?
#    Compute it by hand, then with the package.
# 2. How does the step move the bias of the *other* path, `unsupervised_logits`? Predict it
#    from `formula`, then take the step with a fresh network.
# 3. Write a test for line 6: the logits of an unlabeled film must not matter. Which of the
#    three mistakes does it find?
# 4. Train with the first mistake, `learn(0, np.where(labels < 0, 2, labels))`. How many of
#    the test films are called COVID-19?
# 5. `learn(1, supervised_divisor="labeled")` and `learn(0.2)`: by the formula above, they
#    should do the same. Do they?
# 6. Train with `consistency_space="probabilities"` and λ = 1, then 10. What is the largest
#    MSEL now? Does the network still collapse?
#
# [Solutions](solutions/02_algorithm_1.ipynb)
