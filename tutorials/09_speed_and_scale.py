# %% [markdown]
# # 9. Speed and scale
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sskeras/sskeras/blob/main/tutorials/09_speed_and_scale.ipynb)
#
# **Goal.** Know how fast a training could be, see where its time goes, compute in half
# precision, and train on several devices and in several processes with the same code, on
# one laptop.
#
# **Time.** 2 minutes on two processor cores. Close other programs: they take time from
# what you measure.
#
# **You need** [lesson 1](01_first_model.ipynb); [lesson 5](05_two_paths.ipynb) helps in the
# section on several devices. *Not for clinical use: the films are drawn.*

# %% [markdown]
# sskeras comes before TensorFlow here: it turns on a library that makes TensorFlow faster
# on older processors.

# %%
# In Colab, once: %pip install git+https://github.com/sskeras/sskeras
import sskeras

assert sskeras.__version__ >= "0.1"

# %%
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import ml_dtypes
import numpy as np
import pandas as pd
import tensorflow as tf

from data_tools import phantom
from sskeras import data, evaluate, methods, networks, plots
from sskeras.experiments import workers

assert [int(n) for n in keras.__version__.split(".")[:2]] >= [3, 10]
FAST = "SSKERAS_FAST" in os.environ  # Set by our own tests: too short to show much.
tf.config.run_functions_eagerly(FAST)
FOLDER, FILMS, DRAWN = ("films-240-32", 240, 32) if FAST else ("films-2400", 2400, 64)
EPOCHS, FILTERS = (1, (4, 8)) if FAST else (8, (16, 32))
SIZES = (1, 16) if FAST else (1, 4, 16, 64, 256)  # Films in a batch.
BUDGET, MATRIX = (0, 128) if FAST else (1, 512)  # Seconds for each measurement.
SIZE, BATCH, SEED = 32, 64, 0

# %% [markdown]
# ## The films
#
# The drawn films of lesson 1, shrunk to 32×32 so that a step of training is short enough
# to repeat. For films of your own, put the path of their manifest in place of
# `phantom.write(...)`. All labels are kept, since this lesson is about time.

# %%
manifest = phantom.write(FOLDER, count=FILMS, seed=SEED, size=DRAWN)
table = data.read_manifest(manifest)
classes = data.class_names(table)
train, test = data.select(table, "train"), data.select(table, "test")
train = train.sample(frac=1, random_state=SEED)  # The manifest has class after class.
x, x_test = (data.load_pictures(t.path, SIZE, progress=False) for t in (train, test))
y, y_test = (data.encode_labels(t, classes) for t in (train, test))
figure, axes = plt.subplots(1, 8, figsize=(9, 1.5))
for ax, film, label in zip(axes, x, y, strict=False):
    ax.imshow(film[..., 0], cmap="gray")
    ax.set_title(classes[label], fontsize=9)
    ax.set(xticks=[], yticks=[])

# %% [markdown]
# They wait in memory as bytes, and become other numbers only in the network. *How many
# times larger would they be as float32?*

# %%
f"{x.shape} of {x.dtype}: {x.nbytes / 1e6:.1f} MB; float32: {4 * x.nbytes / 1e6:.1f} MB"

# %% [markdown]
# ## How fast could it be?
#
# Before you measure, know the limit. A convolution with a kernel of $k \times k$ goes from
# $c_\text{in}$ to $c_\text{out}$ channels and has $h \times w$ places to stand. At each it
# multiplies the whole kernel:
#
# $$k^2 \, c_\text{in} \, c_\text{out} \, h \, w \quad\text{multiplications.}$$
#
# The first layer has 7×7 kernels and moves in steps of two. *Work it out on paper, then
# run the cell.*

# %%
keras.utils.set_random_seed(SEED)
network = networks.resnet((SIZE, SIZE, 1), num_classes=3, filters=FILTERS)
7 * 7 * 1 * FILTERS[0] * (SIZE // 2) ** 2

# %% [markdown]
# And now every layer that has a kernel; a dense layer has one place:


# %%
def count(network):
    """Multiplications for one film, layer by layer."""
    found = {}
    for layer in network.layers:
        if hasattr(layer, "kernel"):
            places = np.prod(layer.output.shape[1:-1])  # 1 for a dense layer
            found[layer.name] = int(places * np.prod(layer.kernel.shape))
    return pd.Series(found)


multiplications = count(network)
print(f"{multiplications.sum():,} multiplications a film")
multiplications

# %% [markdown]
# Each product is added to a sum, so there are twice as many *operations*. Training does
# this three times: forward, for the gradient of the kernel, and for the gradient of what
# came in. Only the first layer can skip the last: films need no gradient.

# %%
operations = 2 * (3 * multiplications.sum() - multiplications.iloc[0])
print(f"{operations / 1e6:.1f} million operations for a film in training")

# %% tags=["check"]
assert multiplications.iloc[0] == 7 * 7 * 1 * FILTERS[0] * (SIZE // 2) ** 2
assert len(multiplications) == 11


# %% [markdown]
# What can this machine do? A product of two matrices is what processors are best at. Take
# the least time of many tries: what else runs on the machine can only add to it.


# %%
def seconds(work, budget=BUDGET):
    """How long a function takes, again and again until the budget is spent."""
    taken = []
    while not taken or sum(taken) < budget:
        start = time.perf_counter()
        work()
        tf.test.experimental.sync_devices()  # A graphics card may not be done yet.
        taken.append(time.perf_counter() - start)
    return np.array(taken)


a = tf.random.normal((MATRIX, MATRIX))
peak = 2 * MATRIX**3 / seconds(lambda: tf.matmul(a, a), 3 * BUDGET).min()
limit = peak / operations
print(f"{peak / 1e9:.0f} billion operations/s: at most {limit:,.0f} films/s")

# %% [markdown]
# ## Measure
#
# *Guess: which share of this limit does a real training step reach? And how does the very
# first step compare with the others?* We take 30 steps with 64 films, then one with 48, as
# at the end of an epoch, and then go on.

# %%
model = methods.Supervised(network, class_names=classes)
model.compile(keras.optimizers.Adam(1e-3), metrics=["accuracy"])
many = 3 if FAST else 30
sizes = [BATCH] * many + [48] + [BATCH] * many
steps = [seconds(lambda b=b: model.train_on_batch(x[:b], y[:b]), 0)[0] for b in sizes]

figure, ax = plt.subplots(figsize=(9, 2.8), layout="constrained")
ax.semilogy(np.arange(1, len(steps) + 1), np.multiply(steps, 1000), "o-", markersize=3)
_ = ax.set(xlabel="step", ylabel="milliseconds", title="steps of one training")

# %% [markdown]
# The first step took many times as long. In it TensorFlow walks through the Python code
# once and writes down a *graph* of what to compute; later steps run the graph. The batch
# with another size made it write a second one, for batches of any size. So: leave the first
# step out of what you measure, and let all batches have one size. Those of `data.batches`
# have.

# %%
step = np.array(steps[1:many])
print(f"first step {1000 * steps[0]:.0f} ms, the step with 48 {1000 * steps[many]:.0f}")
low, middle, high = 1000 * np.quantile(step, (0, 0.5, 1))
print(f"others: {low:.1f} at least, median {middle:.1f}, {high:.1f} at most")
rate = BATCH / step.min()
print(f"{rate:,.0f} films/s, {rate / limit:.0%} of the limit")

# %% [markdown]
# The median tells how long you will wait, the minimum what the machine can do. We compare
# minima, mostly, and show the spread once: a single time tells neither.

# %% tags=["check"]
if not FAST:
    assert min(steps[0], steps[many]) > 10 * step.min()
    assert 0.01 < rate / limit < 1


# %% [markdown]
# ## Where the time goes
#
# The step stays below the limit. Who takes the rest? First the parts of a step. *By the
# count above, how many times as long as the forward pass should forward and backward
# take?*


# %%
@tf.function(reduce_retracing=True)
def forward(x, y):
    return model.objective(x, y, training=True)[1]["supervised"]


@tf.function(reduce_retracing=True)  # A second graph is for batches of any size.
def gradient(x, y):
    with tf.GradientTape() as tape:
        loss = model.objective(x, y, training=True)[1]["supervised"]
    return tape.gradient(loss, model.trainable_weights)


batch = tf.constant(x[:BATCH]), tf.constant(y[:BATCH])
parts = {
    "forward": lambda: forward(*batch),
    "forward, backward": lambda: gradient(*batch),
    "whole step": lambda: model.train_on_batch(*batch),
}
for work in parts.values():
    work()  # Write the graph.
parts = pd.Series({name: 1000 * seconds(work).min() for name, work in parts.items()})

# %% [markdown]
# Then the layers of the forward pass, each alone. Nearly all multiplications are those of
# convolutions. *Which share of the time is theirs?*

# %%
large = x[: SIZES[-1]]
outputs = [layer.output for layer in network.layers]
values = keras.Model(network.inputs[0], outputs)(large, training=True)
value_of = {id(output): value for output, value in zip(outputs, values, strict=True)}
kinds = dict.fromkeys(("Conv2D", "BatchNormalization", "ReLU", "others"), 0)
for layer in network.layers[1:]:
    given = tf.nest.map_structure(lambda tensor: value_of[id(tensor)], layer.input)
    run = tf.function(layer, autograph=False)
    run(given, training=True)
    kind = type(layer).__name__
    least = seconds(lambda r=run, z=given: r(z, training=True), BUDGET / 10).min()
    kinds[kind if kind in kinds else "others"] += 1000 * least
kinds = pd.Series(kinds)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained")
left.barh(parts.index, parts, color=plots.COLORS[0])
left.set(title=f"a step with {BATCH} films", xlabel="milliseconds")
right.barh(kinds.index, kinds, color=plots.COLORS[1])
right.set(title=f"layers, forward, {len(large)} films", xlabel="milliseconds")
for ax in (left, right):
    ax.invert_yaxis()
counted = operations / (2 * multiplications.sum())
print(
    f"forward and backward: {parts.iloc[1] / parts.iloc[0]:.1f} times forward", end=""
)
print(f", by the count {counted:.1f}")
print(f"convolutions: {kinds.Conv2D / kinds.sum():.0%} of the time of the layers")

# %% [markdown]
# Batch normalization and ReLU multiply next to nothing, but they read and write every
# number, and memory is slower than arithmetic. So count and clock differ, and a network can
# be far from the limit though no part of it is badly made. (TensorFlow's profiler shows each
# operation on a time line: `keras.callbacks.TensorBoard(profile_batch=...)`.)

# %% tags=["check"]
if not FAST:
    assert 1.2 < parts.iloc[1] / parts.iloc[0] < 6
    assert kinds.Conv2D < 0.8 * kinds.sum()
    conv = sum(n for name, n in multiplications.items() if "conv" in name)
    assert conv > 0.99 * multiplications.sum()

# %% [markdown]
# ## Does the network wait for films?
#
# How fast do batches come if nobody learns from them? *Guess, in films/s.*

# %%
stream = iter(data.batches(x, y, BATCH, seed=SEED))
next(stream)
taken = seconds(lambda: [next(stream) for _ in range(100)])  # More than lie ready.
alone = taken.sum() / (100 * len(taken))
print(f"{BATCH / alone:,.0f} films/s, {step.min() / alone:.0f} times what a step takes")

# %% tags=["check"]
assert FAST or alone < 0.5 * step.min()

# %% [markdown]
# From memory, films are no bottleneck. Now let them come from far away: each batch takes
# $t_\text{in}$ = 40 ms longer. If the network waits for it and then computes, a step takes
# $t_\text{in} + t_\text{step}$. If the next batch is fetched *while* the network computes,
# it takes $\max(t_\text{in}, t_\text{step})$. That is what `prefetch` does.


# %%
def late(films):
    time.sleep(0.04)
    return films


def from_far_away(films, labels):
    found = tf.numpy_function(late, [films], films.dtype)
    return tf.ensure_shape(found, films.shape), labels


slow = data.batches(x, y, BATCH, seed=SEED).map(from_far_away)
waits = {}
for name, batches in {"without": slow, "with": slow.prefetch(2)}.items():
    stream = iter(batches)
    taken = seconds(lambda s=stream: model.train_on_batch(*next(s)), 2 * BUDGET)
    waits[name] = 1000 * np.median(taken)
    print(f"{name} prefetch: {waits[name]:.0f} ms a step")

# %% tags=["check"]
if not FAST:
    assert waits["with"] < 0.85 * waits["without"]

# %% [markdown]
# `data.batches` prefetches, and [lesson 3](03_the_data.ipynb) compares files, memory and
# shards. *What would prefetching help if each batch took a second?*
#
# ## Batch size
#
# Larger batches keep the cores busier. *How many more films/s do you expect with 256 than
# with one?*

# %%
times = {}
for size in SIZES:
    model.train_on_batch(x[:size], y[:size])
    times[size] = seconds(lambda b=size: model.train_on_batch(x[:b], y[:b])).min()
times = pd.Series(times)
(times.index / times).round().rename("films/s")

# %% [markdown]
# But speed is not all. The gradient of a batch stands for that of all films. We draw a
# dozen batches of each size from 16 on: how far do their gradients lie apart? If films
# were drawn independently, by $1/\sqrt{|B|}$.

# %%
rng = np.random.default_rng(SEED)


def some_gradient(size):
    rows = rng.choice(len(x), size, replace=False)
    found = gradient(tf.constant(x[rows]), tf.constant(y[rows]))
    return np.concatenate([part.numpy().ravel() for part in found])


spread = {}
for size in [size for size in SIZES if size > 4]:
    draws = np.array([some_gradient(size) for _ in range(3 if FAST else 12)])
    spread[size] = np.sqrt(draws.var(axis=0, ddof=1).sum())
spread = pd.Series(spread)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
left.loglog(times.index, times.index / times, "o-")
left.set(title="speed", ylabel="films/s")
speeds = times.index / times
left.set_yticks(speeds, [f"{value:,.0f}" for value in speeds])
right.loglog(spread.index, spread, "o-", label="measured")
ideal = spread.iloc[0] * np.sqrt(spread.index[0] / spread.index)
right.loglog(spread.index, ideal, "k--", label=r"as $1/\sqrt{|B|}$")
right.set(title="noise of the gradient", ylabel="standard deviation")
right.legend()
right.set_yticks(spread, [f"{value:.2f}" for value in spread])
for ax, shown in ((left, times.index), (right, spread.index)):
    ax.set(xlabel="films in a batch, $|B|$")
    ax.set_xticks(shown, shown)
    ax.minorticks_off()

# %% [markdown]
# Left: the curve flattens once the cores have enough to do. Right: four times the films
# halve the noise. So a larger batch buys less noise, and less and less speed; and an epoch
# then has fewer steps to learn in. Whoever enlarges a batch must look at the
# learning rate, too (exercise 3).

# %% tags=["check"]
if not FAST:
    assert times[1] > 0.01 * times[256] and 64 / times[64] > 5 / times[1]
    assert 256 / times[256] < 3 * 64 / times[64]
    assert 256 / times[256] < limit
    assert 2.5 < spread[16] / spread[256] < 6.5

# %% [markdown]
# ## Three kinds of numbers
#
# A number has bits for its size (the exponent) and bits for its digits. Half as many
# bits are half as many bytes to move, and there are two ways to share them out:

# %%
formats = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
known = {name: ml_dtypes.finfo(kind) for name, kind in formats.items()}
pd.DataFrame(
    {
        "bytes": {name: info.bits // 8 for name, info in known.items()},
        "largest": {name: f"{float(info.max):.1e}" for name, info in known.items()},
        "smallest": {
            name: f"{float(info.smallest_subnormal):.1e}"
            for name, info in known.items()
        },
        "next after 1": {
            name: f"1 + {float(info.eps):.1e}" for name, info in known.items()
        },
    }
)

# %% [markdown]
# bfloat16 reaches as far as float32, with two to three digits. float16 has three to four,
# and a short reach. *Two sums and two products in each: which go wrong, and how?*

# %%
rows = {}
with np.errstate(over="ignore"):
    for name, kind in formats.items():
        rows[name] = {
            "256 + 1": kind(256) + kind(1),
            "1 + 0.001": kind(1) + kind(0.001),
            "300 · 300": kind(300) * kind(300),
            "0.0001 · 0.0001": kind(1e-4) * kind(1e-4),
        }
pd.DataFrame(rows).T.astype(float).map("{:.7g}".format)

# %% tags=["check"]
one, two, three = (rows[name] for name in formats)
assert two["256 + 1"] == 256 and two["1 + 0.001"] == 1 and one["1 + 0.001"] > 1
assert np.isinf(three["300 · 300"]) and three["0.0001 · 0.0001"] == 0
assert two["0.0001 · 0.0001"] > 0 and three["256 + 1"] == 257

# %% [markdown]
# `1 + 0.001` is what an optimizer does to a weight. So weights and sums must stay float32,
# and only the layers compute in half precision: *mixed* precision. The last column is what
# may happen to a gradient in float16. Does it? Here are the gradients of the loss for the
# output of a convolution, in float32:

# %%
keras.utils.set_random_seed(SEED)
fresh = networks.resnet((SIZE, SIZE, 1), num_classes=3, filters=FILTERS)
taps = [fresh.get_layer("shared_block1_conv1").output, fresh.outputs[0]]
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
with tf.GradientTape() as tape:
    features, logits = keras.Model(fresh.inputs[0], taps)(large, training=True)
    loss = cross_entropy(y[: len(large)], logits)
gradients = tape.gradient(loss, features).numpy()
gradients = gradients[gradients != 0]

# %% [markdown]
# We round them to each format. *How many are then wrong by more than 1 %, and how many are
# 0? And if they are multiplied by $2^{15}$ before and divided afterwards?*

# %%
SCALE = 2.0**15


def damage(kind, scale=1):
    rounded = (gradients * scale).astype(kind).astype(np.float64) / scale
    wrong = np.abs(rounded - gradients) > 0.01 * np.abs(gradients)
    return {"wrong (%)": 100 * np.mean(wrong), "zero (%)": 100 * np.mean(rounded == 0)}


lost = {name: damage(kind) for name, kind in formats.items()}
lost["float16, scaled"] = damage(np.float16, SCALE)
lost = pd.DataFrame(lost).T
lost.round(1)

# %%
figure, ax = plt.subplots(figsize=(9, 2.8), layout="constrained")
powers = np.log10(np.abs(gradients))
bins = np.arange(-12, 3, 0.25)
ax.hist(powers, bins, color=plots.COLORS[0], label="as they are")
style = {"histtype": "step", "linewidth": 2, "color": plots.COLORS[1]}
ax.hist(powers + np.log10(SCALE), bins, **style, label="times $2^{15}$")
float16 = known["float16"]
gone = float(float16.smallest_subnormal) / 2  # What is smaller is rounded to 0.
zero, normal = np.log10([gone, float(float16.tiny)])
ax.axvspan(bins[0], zero, color="0.7", zorder=0, label="0 in float16")
ax.axvspan(zero, normal, color="0.9", zorder=0, label="fewer digits")
ax.axvline(np.log10(float(float16.max)), color="k", label="largest of float16")
ax.set(xlabel="gradient, power of ten", ylabel="how many", xlim=(bins[0], 5.5))
_ = ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))

# %% [markdown]
# Light gray: the numbers there have fewer than float16's three digits. Dark gray: they are
# gone. The remedy is *loss scaling*: multiply the loss by $2^{15}$, so that by the chain
# rule every gradient is multiplied, and divide before the optimizer. There is room on the
# right. bfloat16 needs no such thing. (Two humps? On the left are the places that ReLU
# switches off; they matter only through the mean and variance of the normalization.)

# %% tags=["check"]
if not FAST:
    assert lost.loc["float16", "wrong (%)"] > 10 and lost.loc["float16", "zero (%)"] > 1
    assert lost.loc["float16, scaled", "wrong (%)"] < 1
assert (lost.loc[["float32", "bfloat16"]] == 0).all(axis=None)
assert (np.abs(gradients) * SCALE).max() < 65504 / 10

# %% [markdown]
# A method looks after it. *Under which policy is the optimizer wrapped?*

# %%
for policy in ("float32", "mixed_bfloat16", "mixed_float16"):
    keras.config.set_dtype_policy(policy)
    made = methods.Supervised(networks.resnet((SIZE, SIZE, 1), filters=FILTERS))
    made.compile("adam")
    layer = made.network.get_layer("shared_conv")
    name = type(made.optimizer).__name__
    print(f"{policy:15} computes in {layer.compute_dtype}, weights", end=" ")
    print(f"{layer.kernel.dtype}, logits {made.network.outputs[0].dtype}, {name}")

# %% tags=["check"]
assert isinstance(made.optimizer, keras.optimizers.LossScaleOptimizer)
assert layer.kernel.dtype == made.network.outputs[0].dtype == "float32"

# %% [markdown]
# ## Which one is fast here?
#
# Half the bytes are not twice the speed by themselves: the processor must have
# instructions for the format. "auto" looks for them. (The matrices are smaller than those
# of the limit above, and so are the speeds.)

# %%
chosen = sskeras.set_precision("auto")
half = MATRIX // 2
for name in formats:
    a = tf.cast(tf.random.normal((half, half)), name)
    tf.matmul(a, a)  # The first one prepares.
    speed = 2 * half**3 / seconds(lambda a=a: tf.matmul(a, a)).min()
    print(f"{name:9} {speed / 1e9:7.1f} billion operations/s")

# %% [markdown]
# Another machine has another order. A processor without bfloat16 instructions converts
# each number to float32 and back, and takes many times as long; then "auto" stays with
# float32. *Now train both ways: what becomes of the
# accuracy, and of the time?*


# %%
def train_with(policy):
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(SEED)
    network = networks.resnet((SIZE, SIZE, 1), num_classes=3, filters=FILTERS)
    model = methods.Supervised(network, class_names=classes)
    steps, ends = data.steps_per_epoch(y, BATCH), []
    rate = keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * steps)
    model.compile(keras.optimizers.Adam(rate), metrics=["accuracy"])
    clock = keras.callbacks.LambdaCallback(
        on_batch_end=lambda step, logs: ends.append(time.perf_counter())
    )
    batches = data.batches(x, y, BATCH, seed=SEED)
    options = {"epochs": EPOCHS, "steps_per_epoch": steps, "verbose": 0}
    model.fit(batches, **options, callbacks=[clock])
    return model, np.diff(ends).min()


def score(model):
    seen = model.predict(x_test, verbose=0)
    options = {"weight": test.weight, "patient_id": test.patient_id}
    return evaluate.scores(y_test, seen, classes, **options)


trained, found = {}, {}
for name, policy in {"float32": "float32", "auto": chosen}.items():
    trained[name], least = train_with(policy)
    found[name] = score(trained[name])
    print(f"{name:8} {1000 * least:.1f} ms a step")
keras.config.set_dtype_policy("float32")
print(evaluate.table(found))

# %% [markdown]
# The scores differ by no more than the intervals allow. Whether the time differs depends
# on the machine, and on the network: in one as small as this, much of a step is fixed
# cost, which no format makes smaller. (If "auto" is float32 here, both rows are one
# training, repeated.) Accuracy and recall of COVID-19 tell two stories here as well;
# [lesson 7](07_weights_and_thresholds.ipynb) is about that.

# %% tags=["check"]
one, other = (found[name]["accuracy"] for name in ("float32", "auto"))
assert FAST or max(one["low"], other["low"]) < min(one["high"], other["high"])

# %% [markdown]
# ## A batch in two halves
#
# Two devices share a batch: each computes with its half, and the gradients are summed. It
# is easy to get this wrong. *The loss of a batch is the mean over its labeled films. Is
# it the mean of the means of the halves?*

# %%
loss = np.array([0.2, 0.4, 0.3, 0.1, 0.3, 0.2, 0.4, 2.0])
label_known = np.array([True, True, True, False, False, False, False, True])
halves = [np.mean(loss[part][label_known[part]]) for part in (slice(4), slice(4, 8))]
print(f"whole {loss[label_known].mean():.3f}, mean of the halves {np.mean(halves):.3f}")

# %% [markdown]
# The single labeled film of the second half counted three times as much as each of the
# others. In semi-supervised batches this is the rule. Every divisor in `sskeras`,
# $|B|$ or the number of labeled films, is that of the *whole* batch.
#
# Batch normalization has the same trouble: it needs the mean and the variance of the
# whole batch. Let $\bar x_i$ and $v_i$ be those of the halves. *What is missing in
# $(v_1 + v_2)/2$?*
#
# $$v = \frac{v_1 + v_2}{2} + \left(\frac{\bar x_1 - \bar x_2}{2}\right)^2$$

# %%
order = np.argsort(x[:BATCH].mean((1, 2, 3)))  # The worst case: first the dark films.
one, other = np.split(x[:BATCH][order] / 255, 2)
whole, mean_of_halves = (x[:BATCH] / 255).var(), (one.var() + other.var()) / 2
by_formula = mean_of_halves + ((one.mean() - other.mean()) / 2) ** 2
print(
    f"whole {whole:.4f}, halves {mean_of_halves:.4f}, by the formula {by_formula:.4f}"
)

# %% tags=["check"]
np.testing.assert_allclose(loss[label_known].mean(), 0.725)
np.testing.assert_allclose(whole, by_formula, rtol=1e-6)
assert mean_of_halves < 0.99 * whole

# %% [markdown]
# The layers of our networks exchange count, mean and variance in every step and join
# them by this formula, for shares of any size (`sskeras/layers/fused.py`).
#
# ## The same training, three ways
#
# A `tf.distribute` strategy says where the copies of a network, its *replicas*, live. The
# script below trains SSResNet on one device and on two: two logical devices that share
# the processor, as if they were two graphics cards. If `TF_CONFIG` is set, it is one of
# several processes. All that differs is the strategy. It needs a process of its own,
# since TensorFlow must know of its devices before it computes anything.

# %%
SCRIPT = """\
import os
import time

import sskeras
import tensorflow as tf

tf.config.set_visible_devices([], "GPU")  # So that it is the same on every laptop.
if "TF_CONFIG" in os.environ:
    strategies = {"process": tf.distribute.MultiWorkerMirroredStrategy()}
else:
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    strategies = {"one device": tf.distribute.get_strategy()}
    strategies |= {"two devices": mirrored, "each its own mean": mirrored}

import keras
import numpy as np
from sskeras import data, methods, networks

films = np.load("films.npz")
x, y, steps = films["x"], films["y"], int(films["steps"])
for name, strategy in strategies.items():
    keras.utils.set_random_seed(0)
    with strategy.scope():
        network = networks.two_path_resnet(x.shape[1:], filters=(8, 16), dropout=0)
        model = methods.SSResNet(network, consistency_space="probabilities")
        model.compile(keras.optimizers.SGD(0.01))
    for layer in network.layers:
        if name == "each its own mean" and hasattr(layer, "synchronized"):
            layer.synchronized = False
    several = strategy if strategy.num_replicas_in_sync > 1 else None
    batches = data.batches(x, y, 64, strategy=several)
    weights, times = [], []

    def keep(batch, logs=None):
        times.append(time.perf_counter())
        found = [variable.numpy().ravel() for variable in model.trainable_weights]
        weights.append(np.concatenate(found))

    clock = keras.callbacks.LambdaCallback(on_batch_begin=keep)
    model.fit(batches, steps_per_epoch=steps, callbacks=[clock], verbose=0)
    np.savez(f"{name}{os.environ.get('NUMBER', '')}", weights=weights, times=times)
"""
runs = Path("runs", "lesson-9")
runs.mkdir(parents=True, exist_ok=True)
(runs / "train.py").write_text(SCRIPT)
labels = data.hide_labels(y, 0.2, SEED)
np.savez(runs / "films.npz", x=x, y=labels, steps=3 if FAST else 12)

# %% [markdown]
# Note `strategy=` in `data.batches`: each replica reads its own films of every batch and no
# others. (No dropout here: masks are random, and each replica draws its own.) For
# "each its own mean" we break the exchange of batch normalization on purpose. *Which
# trainings will come to the same weights? Which is the fastest?*


# %%
def start(number, **environment):
    with open(runs / f"log-{number}.txt", "w") as log:
        options = {"stdout": log, "stderr": log, "env": os.environ | environment}
        return subprocess.Popen([sys.executable, "train.py"], cwd=runs, **options)


def finish(*processes):
    try:
        codes = [process.wait(timeout=600) for process in processes]
    finally:
        for process in processes:  # One that waits for another must not stay.
            process.kill()
    assert not any(codes), f"see the logs in {runs}"


finish(start(0))

# %% [markdown]
# Several processes, on one machine or on many, find one another by the variable
# `TF_CONFIG`. It lists all of them, and says which one this is:

# %%
addresses = [f"localhost:{port}" for port in workers.free_ports(2)]


def configuration(index):
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": addresses}, "task": task})


print(configuration(1))
finish(*(start(i, TF_CONFIG=configuration(i), NUMBER=str(i)) for i in range(2)))

# %%
ways = ("one device", "two devices", "each its own mean", "process0", "process1")
files = {name: np.load(runs / f"{name}.npz") for name in ways}
weights = {name: file["weights"] for name, file in files.items()}
one = weights["one device"]
moved = np.abs(one - one[0]).max(axis=1)
apart = {name: np.abs(weights[name] - one).max(axis=1) for name in ways[1:]}
figure, ax = plt.subplots(figsize=(9, 3.2), layout="constrained")
done = np.arange(1, len(one))
ax.semilogy(done, moved[1:], "k:", label="moved since the start")
for (name, found), mark in zip(apart.items(), ("o-", "v-", "x", "+"), strict=True):
    ax.semilogy(done, found[1:], mark, label=f"{name}, apart from one", markersize=5)
ax.set(xlabel="steps", ylabel="largest difference of a weight")
_ = ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))

# %% [markdown]
# Two devices and two processes (circles and crosses) differ from one by rounding, since sums
# are taken in another order. (Over more steps it grows, as rounding does in any training.)
# Without the exchange (triangles) the difference is a fifth of the way that the weights have
# gone (dotted) after the first step and a tenth after the last, at first hundreds of times
# that of rounding: that is another training.

# %%
for name, file in files.items():
    print(f"{name:18} {1000 * np.diff(file['times'][1:]).min():5.0f} ms a step")

# %% [markdown]
# And the time? One device already used all cores. Two share them, and exchange gradients
# and statistics in every step besides: on one laptop this is for learning, not for speed.

# %% tags=["check"]
assert all((weights[name][0] == one[0]).all() for name in ways)
good = np.array([apart[name] for name in ways if name in apart and "mean" not in name])
assert good[:, 1].max() < 1e-5 and good.max() < 0.02 * moved[-1]
assert apart["each its own mean"][1] > 30 * good[:, 1].max()
assert apart["each its own mean"][1] > 0.05 * moved[1]
pace = [np.diff(file["times"][1:]).min() for file in files.values()]
assert FAST or min(pace[1:]) > 0.8 * pace[0]

# %% [markdown]
# For whole trainings there is nothing to write: `sskeras train --workers 2` starts the
# processes, and on a cluster the same command reads `TF_CONFIG` (exercise 5). The package's
# `distributed.md` tells how schedulers set it.
#
# ## A mistake everybody makes once
#
# Copy `TF_CONFIG` to all machines and forget to say which one each is. The message shows
# what a whole one looks like:

# %%
os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}})
try:
    workers.cluster()
except ValueError as error:
    print(str(error).replace("Received", "\nReceived"))
finally:
    del os.environ["TF_CONFIG"]

# %% [markdown]
# ## How far does it scale?
#
# Real machines have their own cores. Is a batch of 256 on 16 of them 16 times as fast? Each
# gets 16 films, and we know what a step with 16 takes. So without any measurement on a
# cluster, no speedup can be larger than
#
# $$\frac{t(256)}{t(256/n)}.$$
#
# Amdahl's law (1967) says why it stops: with a share $s$ of the work that cannot be divided,
# $n$ machines are faster by $1/(s + (1-s)/n)$. Here $s \approx t(1)/t(256)$: a step with one
# film is nearly all fixed cost. Then there is the cable. In each step the gradients of
# all weights must be summed, for which each machine sends and receives
# $2\frac{n-1}{n}$ times their bytes (Patarasuk and Yuan, 2009). *Where does the curve bend?*

# %%
largest = times.index[-1]
n = largest // times.index.to_numpy()[::-1]
within = times[::-1].to_numpy()  # Of a step with largest / n films.
s = within[-1] / within[0]
sent = 2 * (n - 1) / n * 4 * network.count_params()  # Bytes.
GIGABIT = 1e9 / 8  # Bytes/s.
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ax.loglog(n, n, "k:", label="ideal")
fine = np.geomspace(1, n[-1], 50)
ax.loglog(fine, 1 / (s + (1 - s) / fine), "--", color="gray", label="Amdahl's law")
ax.loglog(n, within[0] / within, "o-", label="measured steps")
slow_link = within[0] / (within + sent / GIGABIT)
ax.loglog(n, slow_link, "s-", label="and a cable of 1 Gbit/s")
ax.set(xlabel="machines that share a batch of 256", ylabel="times as fast as one")
ax.set_xticks(n, n)
ax.minorticks_off()
ax.legend()
print(f"s = {s:.3f}: never more than {1 / s:.1f} times as fast")

# %% [markdown]
# So small a network leaves little to divide. What helps is a larger batch, at the price
# above, or more work for each film: larger films, more filters. More weights, however, take
# longer on the cable. Each machine sends nearly twice the bytes of all gradients where many
# add them up in a ring:

# %%
for name, made in {
    "this one": network,
    "two_path_resnet": networks.two_path_resnet((SIZE, SIZE, 1)),
}.items():
    bits = 2 * 32 * made.count_params()
    for link in (1, 100):
        print(f"{name:16} {made.count_params():9,} weights, {link:3} Gbit/s:", end=" ")
        print(f"{1000 * bits / (link * 1e9):6.2f} ms a step")

# %% tags=["check"]
if not FAST:
    assert (
        within[0] / within[-1] < 0.7 * n[-1] and (slow_link <= within[0] / within).all()
    )

# %% [markdown]
# Real cables also have a delay, and batch normalization waits for it in every layer.
# Measure, then, before you rent: the first number to know is that of one machine.
#
# ## Summary
#
# A count of multiplications and a product of matrices give the limit; a clock, used after
# the first step and with the least of many tries, gives the share of it. Mixed precision
# keeps weights and sums in float32, scales the loss for float16, and is fast where the
# processor has instructions for it. Two devices or processes train as one if every mean is
# over the whole batch. How far that scales, the time of small batches tells.
#
# ## Exercises
#
# 1. Count the multiplications of `networks.two_path_resnet` with the same filters. How much
#    longer should a step of SSResNet take than one of the supervised network? Measure it.
# 2. Add 0.001 to 1 a thousand times, as an optimizer would, in each of the formats. What
#    comes out? And if the sum is float32 and only the steps are bfloat16?
# 3. Train with batches of 256 and the same epochs, once with the learning rate of the lesson
#    and once with four times as much (Goyal et al., 2017). Compare with batches of 64.
# 4. On how many machines does a step spend half of its time on what cannot be divided? Take
#    Amdahl's law with the $s$ of the lesson. What changes if $|B|$ grows with the machines?
# 5. Run `sskeras train` with `--workers 2` and without. Compare the predictions, the
#    time, and what `metrics.json` says about `replicas`.
#
# [Solutions](solutions/09_speed_and_scale.ipynb)
