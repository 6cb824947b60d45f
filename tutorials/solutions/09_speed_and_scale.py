# %% [markdown]
# # Solutions to [lesson 9](../09_speed_and_scale.ipynb)
#
# They have a small setup of their own: the films, the count and the clock of the lesson.
# About 2 minutes.

# %%
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import keras
import ml_dtypes
import numpy as np
import pandas as pd

from data_tools import phantom
from sskeras import data, evaluate, methods, networks

FAST = "SSKERAS_FAST" in os.environ
FILMS, DRAWN = (240, 32) if FAST else (2400, 64)
EPOCHS, FILTERS = (1, (4, 8)) if FAST else (8, (16, 32))
SIZE, BATCH, SEED = 32, 64, 0
os.chdir("..")  # Where the lesson has put its films.
folder = "films-240-32" if FAST else "films-2400"
manifest = phantom.write(folder, count=FILMS, seed=SEED, size=DRAWN)
table = data.read_manifest(manifest)
classes = data.class_names(table)
train, test = data.select(table, "train"), data.select(table, "test")
x, x_test = (data.load_pictures(t.path, SIZE, progress=False) for t in (train, test))
y, y_test = (data.encode_labels(t, classes) for t in (train, test))


def seconds(work, budget=0 if FAST else 1):
    taken = []
    while not taken or sum(taken) < budget:
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return np.array(taken)


# %% [markdown]
# ## 1. What two paths cost
#
# The shared part is counted once, the path twice.


# %%
def count(network):
    found = {}
    for layer in network.layers:
        if hasattr(layer, "kernel"):
            places = np.prod(layer.output.shape[1:-1])
            found[layer.name] = int(places * np.prod(layer.kernel.shape))
    return pd.Series(found)


makers = {
    "supervised": (methods.Supervised, networks.resnet),
    "ssresnet": (methods.SSResNet, networks.two_path_resnet),
}
counts, least = {}, {}
for name, (method, make) in makers.items():
    keras.utils.set_random_seed(SEED)
    network = make((SIZE, SIZE, 1), num_classes=3, filters=FILTERS)
    counts[name] = count(network)
    model = method(network)
    model.compile(keras.optimizers.Adam(1e-3), metrics=["accuracy"], run_eagerly=FAST)
    model.train_on_batch(x[:BATCH], y[:BATCH])
    run = seconds(lambda model=model: model.train_on_batch(x[:BATCH], y[:BATCH]))
    least[name] = run.min()
one, two = counts.values()
expected = (3 * two.sum() - two.iloc[0]) / (3 * one.sum() - one.iloc[0])
measured = least["ssresnet"] / least["supervised"]
print(f"{one.sum():,} and {two.sum():,} multiplications a film")
print(f"expected {expected:.2f} times as long, measured {measured:.2f}")

# %% tags=["check"]
shared = sum(n for name, n in one.items() if name.startswith("shared"))
assert two.sum() == 2 * one.sum() - shared
assert FAST or 1 < measured < 3

# %% [markdown]
# By multiplications the second path costs little, since its films are small by then: 4×4
# places. The clock need not agree. The second path has as many layers as the first, and each
# has a fixed cost, which the count does not see; but reading the films and calling the graph
# happen once for both.

# %% [markdown]
# ## 2. A thousand small steps

# %%
formats = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
for name, kind in formats.items():
    value = kind(1)
    for _ in range(1000):
        value = kind(value + kind(0.001))
    print(f"{name:22} {float(value):.4f}")
value = np.float32(1)
for _ in range(1000):
    value += np.float32(ml_dtypes.bfloat16(0.001))
print(f"{'float32 += bfloat16':22} {value:.4f}")

# %% tags=["check"]
assert abs(value - 2) < 0.01

# %% [markdown]
# In bfloat16 nothing happens at all: each step is less than half of the way to the next
# number, and is rounded away. In float16 each step is rounded to the next number,
# 0.000977 in place of 0.001, so that what was added falls two percent short. A sum in
# float32 comes out right, even of steps that have two or three digits. That is why
# weights stay float32.

# %% [markdown]
# ## 3. Larger batches


# %%
def score_with(batch_size, learning_rate):
    keras.utils.set_random_seed(SEED)
    network = networks.resnet((SIZE, SIZE, 1), num_classes=3, filters=FILTERS)
    model = methods.Supervised(network)
    steps = data.steps_per_epoch(y, batch_size)
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, EPOCHS * steps)
    model.compile(keras.optimizers.Adam(rate), run_eagerly=FAST)
    batches = data.batches(x, y, batch_size, seed=SEED)
    model.fit(batches, epochs=EPOCHS, steps_per_epoch=steps, verbose=0)
    seen = model.predict(x_test, verbose=0)
    options = {"weight": test.weight, "patient_id": test.patient_id}
    return evaluate.scores(y_test, seen, classes, **options)


tried = {
    "64, 0.003": score_with(BATCH, 3e-3),
    "256, 0.003": score_with(4 * BATCH, 3e-3),
    "256, 0.012": score_with(4 * BATCH, 12e-3),
}
print(evaluate.table(tried))

# %% [markdown]
# With a batch of 256 there are a quarter as many steps to learn in. The rule of Goyal et
# al., four times the batch and four times the rate, was made for gradient descent with
# momentum; for Adam, which divides by the size of the gradients, Malladi et al. (2022)
# derive the square root, twice the rate. Look at the intervals before you prefer a row:
# this is one seed, and [lesson 7](../07_weights_and_thresholds.ipynb) says what it would
# take.

# %% [markdown]
# ## 4. Half of the time for nothing
#
# On $n$ machines a step takes the share $s + (1-s)/n$ of its time. Half of that is $s$ when
#
# $$s = \frac{1-s}{n} \quad\text{or}\quad n = \frac{1}{s} - 1.$$
#
# With $s$ = 16 %, about that of the lesson, it is between five and six machines. They are
# faster by $1/(2s) \approx 3.1$, half of the most that any number of machines can be. If
# each machine keeps 256 films, so that $|B|$ grows, a step takes as long as before,
# however many there are: no share of it is lost but what the network between them takes.
# The price is one step where there were $n$, and exercise 3 is about that. (Gustafson,
# 1988, made this point against Amdahl.)

# %% [markdown]
# ## 5. Two workers

# %%
COMMAND = [sys.executable, "-m", "sskeras.cli", "train", "--data", str(manifest)]
COMMAND += "--method supervised --image-size 32 --filters 4 8 --dropout 0".split()
COMMAND += ["--precision", "float32", "--epochs", "1" if FAST else "3"]
predictions = []
for number in (1, 2):
    out = Path("runs", f"lesson-9-workers-{number}")
    shutil.rmtree(out, ignore_errors=True)  # A finished run is never written over.
    line = [*COMMAND, "--workers", str(number), "--out", str(out)]
    begin = time.perf_counter()
    subprocess.run(line, check=True, capture_output=True)
    taken = time.perf_counter() - begin
    facts = json.loads((out / "metrics.json").read_text("utf-8"))
    print(f"replicas: {facts['provenance']['replicas']}, {taken:.0f} s in all")
    predictions.append(pd.read_csv(out / "predictions.csv")[list(classes)].to_numpy())
apart = np.abs(predictions[0] - predictions[1]).max()
others = np.sum(predictions[0].argmax(1) != predictions[1].argmax(1))
print(
    f"probabilities differ by {apart:.5f} at most, {others} films are called otherwise"
)

# %% tags=["check"]
assert facts["provenance"]["replicas"] == 2 and apart < 0.02

# %% [markdown]
# The same probabilities from the same command, but for rounding, which three epochs of
# training have let grow; a few films near a tie are called otherwise. Most of the time is
# no training at all but starting Python and TensorFlow, once for each process, and
# writing the results. On one machine one process is the better choice; the second is
# there to learn and to test with.
