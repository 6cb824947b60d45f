# %% [markdown]
# # 10. Deploy
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/sskeras/sskeras/blob/main/tutorials/10_deploy.ipynb)
#
# **Goal.** Hand a network to programs that have never heard of it: as a SavedModel, as a
# small service over HTTP, as ONNX and as LiteRT. Do they all give the same answers, what
# does each of them cost, and what has to be watched afterwards?
#
# **Time.** 2 minutes on two processor cores.
#
# **You need** [lesson 1](01_first_model.ipynb), and for two sections
# `pip install onnx tf2onnx onnxruntime ai-edge-litert`. *Not for clinical use: the films
# are drawn, and a model that answers is no diagnosis.*

# %%
# In Colab, once: %pip install git+https://github.com/sskeras/sskeras
import atexit
import base64
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Exports tell a great deal.

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf
from PIL import Image

import sskeras
from data_tools import phantom
from sskeras import data, evaluate, methods, networks, plots

assert sskeras.__version__ >= "0.1"
assert [int(n) for n in keras.__version__.split(".")[:2]] >= [3, 10]
FAST = "SSKERAS_FAST" in os.environ  # Set by our own tests: too short to learn much.
FILMS, COUNT, SIZE = ("films-240-32", 240, 32) if FAST else ("films-2400", 2400, 64)
EPOCHS, FILTERS = (1, (4, 8)) if FAST else (8, (8, 16))
LARGE_FILMS, LARGE = (80, 64) if FAST else (240, 256)  # Larger than the network's.
ROUNDS, CALLS = (2, 2) if FAST else (10, 20)  # Of each latency.
BATCHES = (1, 4) if FAST else (1, 4, 16, 64, 256)
SEED, COVID = 0, 2
FOLDER = Path("saved_model-deploy")
shutil.rmtree(FOLDER, ignore_errors=True)  # From an earlier run.
warnings.simplefilter("ignore", FutureWarning)  # Of tf2onnx.
tf.get_logger().setLevel("ERROR")

# %% [markdown]
# ## A network to hand over
#
# SSResNet as in lesson 1, with all labels this time, and with COVID-19 films in 15 % of
# each batch: else it would hardly call them, and one class of answers would go untested.
# (For your own films, put the path of a manifest in place of `phantom.write(...)`.)


# %%
def trained(seed=SEED):
    keras.utils.set_random_seed(seed)
    network = networks.two_path_resnet((SIZE, SIZE, 1), 3, filters=FILTERS)
    model = methods.SSResNet(
        network,
        class_weight=(1, 1, 2),
        class_names=classes,
        consistency_space="probabilities",
    )
    share = {COVID: 0.15}
    steps = data.steps_per_epoch(y, 64, class_share=share)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * steps)
    model.compile(keras.optimizers.Adam(rate))
    batches = data.batches(x, y, 64, seed, class_share=share)
    model.fit(batches, epochs=EPOCHS, steps_per_epoch=steps, verbose=0)
    return model


table = data.read_manifest(phantom.write(FILMS, count=COUNT, seed=SEED, size=SIZE))
classes = data.class_names(table)
train, test = data.select(table, "train"), data.select(table, "test")
x, x_test = (data.load_pictures(t.path, SIZE, progress=False) for t in (train, test))
y, y_test = (data.encode_labels(t, classes) for t in (train, test))
model = trained()
expected = model.predict(x_test, verbose=0)
found = evaluate.scores(
    y_test, expected, classes, weight=test.weight, patient_id=test.patient_id
)
print(evaluate.table({"ssresnet": found}))

# %% [markdown]
# `expected` is what everything below must repeat: deploying a network should change none
# of its answers. Two films of each class, the truth above and the answer below it:

# %%
figure, axes = plt.subplots(1, 6, figsize=(9, 2.1), layout="constrained")
some = [np.flatnonzero(y_test == c)[k] for c in range(3) for k in (0, 1)]
calls = [f"{classes[p.argmax()]} {100 * p.max():.0f} %" for p in expected[some]]
titles = [f"{classes[y_test[k]]}:\n{c}" for k, c in zip(some, calls, strict=True)]
_ = plots.contact_sheet(x_test[some], titles, axes=axes)

# %% [markdown]
# ## The SavedModel
#
# The last part of the path is the number of the version. A second training gets the
# number 2 and a folder of its own; nothing that is in use is ever written over.

# %%
version_1 = FOLDER / "films" / "1"
sskeras.export.saved_model(model, version_1)
for path in sorted(path for path in version_1.rglob("*.*") if path.is_file()):
    print(f"{path.relative_to(version_1).as_posix():38} {path.stat().st_size:7,} bytes")
print(f"{model.count_params():,} numbers in the network of the training")

# %% [markdown]
# `saved_model.pb` is a *graph*: the operations of TensorFlow, one after another, that lead
# from a picture to an answer. No Python is in it. The weights are constants of this graph,
# so that the folder for variables is nearly empty. `sskeras.json` says what it is: classes,
# sizes, what it may be used for. A graph can read files, too: load only those of people you
# trust.
#
# Does it stand alone? The following program imports TensorFlow alone and runs in a process
# of its own. *What may differ between its answers and ours?*

# %%
program = """
import json, sys
import tensorflow as tf

folder, *films = sys.argv[1:]
served = tf.saved_model.load(folder)
answer = served.serve_bytes(tf.constant([open(film, "rb").read() for film in films]))
print(json.dumps(answer["probabilities"].numpy().tolist()))
print(json.dumps("sskeras" in sys.modules))
"""
some = test.path.iloc[::37]  # Of all classes.
line = [sys.executable, "-c", program, str(version_1), *some]
done = subprocess.run(line, capture_output=True, text=True, check=True)
answers, needed = (json.loads(said) for said in done.stdout.splitlines())
difference = np.abs(answers - expected[::37]).max()
print(f"largest difference in a probability: {difference:.0e}; sskeras there: {needed}")

# %% tags=["check"]
assert difference < 1e-5 and not needed
sizes = {p.name: p.stat().st_size for p in version_1.rglob("*") if p.is_file()}
assert sizes["saved_model.pb"] > 20 * sizes["variables.data-00000-of-00001"]

# %% [markdown]
# Rounding, and nothing else: it adds the same numbers in another order.
#
# ## Why the preprocessing is inside
#
# The network takes films of 64×64 pixels, hospitals have larger ones, and somebody has to
# make them small. `data.load_pictures`, which prepares films for training, does it with
# an *antialiased* bilinear filter: each new pixel is a weighted mean over all the old
# ones beneath and around it. (Our training films have the right size already.) If each
# client does it with the library at hand, is that the same? We draw films of 256×256 and
# make them small in six ways.


# %%
def with_pillow(kind):
    return [Image.fromarray(f[..., 0]).resize((SIZE, SIZE), kind) for f in large]


large_table = data.read_manifest(
    phantom.write(f"films-{LARGE_FILMS}-{LARGE}", LARGE_FILMS, seed=1, size=LARGE)
)
large_y = data.encode_labels(large_table, classes)
large = data.load_pictures(large_table.path, LARGE, progress=False)
filters = Image.Resampling
small = {
    "inside the model": data.load_pictures(large_table.path, SIZE, progress=False),
    "bilinear, Pillow": with_pillow(filters.BILINEAR),
    "bicubic, Pillow": with_pillow(filters.BICUBIC),
    "Lanczos, Pillow": with_pillow(filters.LANCZOS),
    "bilinear, not antialiased": np.rint(tf.image.resize(large, (SIZE, SIZE))),
    "nearest pixel": with_pillow(filters.NEAREST),
}
small = {name: np.reshape([*f], (-1, SIZE, SIZE, 1)) for name, f in small.items()}

# %% [markdown]
# The fifth is what `tf.image.resize` does if one asks for nothing else, and OpenCV's
# `resize`, too. *Which will change the answers most, and how many of a hundred?*

# %%
ours = small["inside the model"]
p = {name: model.predict(films, verbose=0) for name, films in small.items()}
right = p["inside the model"]
resized = pd.DataFrame(
    {
        name: {
            "largest change of a pixel": np.abs(small[name] - 1.0 * ours).max(),
            "of a probability": np.abs(q - right).max(),
            "other answers (%)": 100 * np.mean(q.argmax(1) != right.argmax(1)),
            "right answers (%)": 100 * np.mean(q.argmax(1) == large_y),
        }
        for name, q in p.items()
    }
).T
resized.round(2)

# %%
figure, axes = plt.subplots(1, 4, figsize=(9, 2.7), layout="constrained")
gray = {"cmap": "gray", "vmin": 0, "vmax": 255}
axes[0].imshow(large[0, ..., 0], **gray)
axes[0].set_title(f"the film, {LARGE} pixels")
for ax, name in zip(axes[1:], ("inside the model", "nearest pixel"), strict=False):
    ax.imshow(small[name][0, ..., 0], **gray)
    ax.set_title(f"{name}, {SIZE}")
change = small["nearest pixel"][0, ..., 0] - 1.0 * ours[0, ..., 0]
shown = axes[3].imshow(change, cmap="PuOr", vmin=-60, vmax=60)
axes[3].set_title("their difference")
figure.colorbar(shown, ax=axes[3], label="gray levels", shrink=0.7)
for ax in axes:
    ax.set(xticks=[], yticks=[])

# %% [markdown]
# Lean back, and the two small films look alike. Look closely at the third: it is noisier,
# and at the edges it differs by whole tens of gray levels.
#
# - Pillow's bilinear filter is antialiased, as ours is, and does little harm.
# - Bicubic and Lanczos are antialiased, too, but they sharpen edges.
# - Without antialiasing, a new pixel is a mean of 4 of the 16 old ones beneath it, or just
#   one of them. Noise is no longer averaged away.
#
# The network is asked about films of a kind that it has never seen, and with all but the
# first of these, several answers in a hundred change, more often for the worse. Nobody
# notices, since each of them looks like an answer.
#
# So both endpoints of the SavedModel do this part themselves: `serve` takes pixels of any
# size, `serve_bytes` takes the bytes of a PNG or JPEG file.

# %%
served = tf.saved_model.load(str(version_1))
of_pixels = served.serve(large)["probabilities"].numpy()
files = [Path(path).read_bytes() for path in large_table.path]
of_bytes = served.serve_bytes(tf.constant(files))["probabilities"].numpy()
[f"{np.abs(found - right).max():.0e}" for found in (of_pixels, of_bytes)]

# %% tags=["check"]
assert np.abs(of_pixels - right).max() < 1e-4 > np.abs(of_bytes - right).max()
if not FAST:
    others = resized["other answers (%)"]
    assert others["bilinear, Pillow"] <= 3 < others["bilinear, not antialiased"]
    assert others["bilinear, Pillow"] < min(others[2:]) and others["nearest pixel"] > 3
    of_right = resized["right answers (%)"]
    assert of_right["inside the model"] > of_right[2:].mean()

# %% [markdown]
# ## A service
#
# Most programs of a hospital are not in Python, but nearly every language speaks HTTP. In
# a terminal you would write
#
# ```bash
# sskeras serve saved_model-deploy/films/1 --name films --port 8501
# ```
#
# Here the notebook starts it, on any port that is free. It answers this machine alone.


# %%
def start(folder):
    command = [sys.executable, "-m", "sskeras.cli", "serve", str(folder)]
    command += ["--name", "films", "--port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    process = subprocess.Popen(command, **pipes)
    atexit.register(process.kill)  # In case this notebook ends first.
    return process, process.stdout.readline()


server, said = start(version_1)
address = said.split("/")[2]
print(said.strip())

# %% [markdown]
# The requests are those of TensorFlow Serving. A `GET` of the model's address tells whether
# it is there, and `/metadata` what it wants:


# %%
def ask(path, request=None, headers=None):
    """The status and the answer of the server."""
    body = None if request is None else json.dumps(request)
    line = http.client.HTTPConnection(address, timeout=60)
    line.request(
        "POST" if body else "GET", f"/v1/models/films{path}", body, headers or {}
    )
    answer = line.getresponse()
    found = json.loads(answer.read())
    line.close()
    return answer.status, found


print(ask(""))
signatures = ask("/metadata")[1]["metadata"]["signature_def"]["signature_def"]
{name: [*signature["inputs"]] for name, signature in signatures.items()}

# %% [markdown]
# JSON is text and knows no bytes. Base64 writes 3 bytes as 4 letters, so that a request is
# a third longer than its file. Let us ask about two films and one file that is none. *Will
# there be three answers, two, or an error?*


# %%
def b64(content):
    return {"b64": base64.b64encode(content).decode()}


def ask_about(files):
    instances = [b64(content) for content in files]
    return ask(":predict", {"signature_name": "serve_bytes", "instances": instances})


two = [Path(path).read_bytes() for path in test.path.iloc[[0, -1]]]
status, found = ask_about([two[0], b"Dear colleague, ...", two[1]])
print(status)
for answer in found["predictions"]:
    rounded = [round(p, 3) for p in answer["probabilities"]]
    print(answer["prediction"] or "-", rounded, answer["error"])

# %% tags=["check"]
first, none, second = found["predictions"]
got = [first["probabilities"], second["probabilities"]]
np.testing.assert_allclose(got, expected[[0, -1]], atol=1e-5)
assert status == 200 and none["error"] and not none["prediction"]
assert not first["error"] and not second["error"] and sum(none["probabilities"]) == 0

# %% [markdown]
# Three. The letter gets probabilities of 0 and a reason, and the others do not suffer for
# it. A client must read `error` before it reads `prediction`.
#
# A request that is wrong as a whole is refused, with a status that programs understand and
# a message for people. *Find what is wrong in each of these four.*

# %%
good = {"signature_name": "serve_bytes", "instances": [b64(two[0])]}
for path, request, headers in (
    (":predict", None, {}),
    ("/versions/2:predict", good, {}),
    (":predict", good | {"signature_name": "bytes"}, {}),
    (":predict", good, {"Content-Length": "1000000000"}),
):
    status, found = ask(path, request, headers)
    print(status, found["error"])

# %% tags=["check"]
assert status == 413

# %% [markdown]
# This server is for teaching and trying: it has no passwords and no encryption. TensorFlow
# Serving takes the same requests, so that your client only changes the address. It finds
# the versions in the folder by their numbers and serves the highest:
#
# ```bash
# docker run -p 8501:8501 -e MODEL_NAME=films \
#     -v "$PWD/saved_model-deploy/films:/models/films" tensorflow/serving
# ```
#
# ## ONNX and LiteRT
#
# TensorFlow is large. Two formats need less to run: ONNX, which many libraries read, and
# LiteRT (once TensorFlow Lite), made for telephones. `sskeras.export.onnx` and
# `sskeras.export.litert` write files that take whole numbers from 0 to 255, hold the
# names of the classes, and are compared with the network before they appear. Here we take
# the plain files of Keras instead, to see what there is to go wrong.


# %%
def missing(*packages):
    found = [name for name in packages if not find_spec(name)]
    if found:
        print(f"Left out here. To have it: pip install {' '.join(found)}")
    return found


runtimes = {}  # Functions from float32 pictures to probabilities.
if not missing("onnx", "tf2onnx", "onnxruntime"):
    import onnxruntime

    model.export(FOLDER / "films.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(FOLDER / "films.onnx")
    taken = session.get_inputs()[0]
    print(taken.type, taken.shape)
    runtimes["ONNX Runtime"] = lambda films: session.run(None, {taken.name: films})[0]

# %% [markdown]
# Look at the type and the shape: floats, of the network's own size. The file holds the
# network alone. Reading files and making films small is up to the client again, with all
# that we saw above.
#
# LiteRT reserves its memory for one batch size and is told when another comes. The second
# file below is *quantized*: most of its weights are 8-bit numbers in place of 32-bit
# ones. *How much smaller will it be, and how many of the answers will change?*


# %%
def interpreter(path):
    lite = Interpreter(str(path))
    lite.allocate_tensors()
    (given,), (found,) = lite.get_input_details(), lite.get_output_details()

    def answer(films):
        if films.shape != tuple(lite.get_input_details()[0]["shape"]):
            lite.resize_tensor_input(given["index"], films.shape)
            lite.allocate_tensors()
        lite.set_tensor(given["index"], films)
        lite.invoke()
        return lite.get_tensor(found["index"])

    return answer


if not missing("ai_edge_litert"):
    from ai_edge_litert.interpreter import Interpreter

    for name, options in {
        "LiteRT": {},
        "LiteRT, 8 bits": {"optimizations": [tf.lite.Optimize.DEFAULT]},
    }.items():
        path = FOLDER / f"{name}.tflite"
        model.export(str(path), format="litert", verbose=False, **options)
        runtimes[name] = interpreter(path)

# %%
as_floats = x_test.astype("float32")
rows = {}
for name, answer in runtimes.items():
    q = answer(as_floats)
    rows[name] = {
        "largest difference": f"{np.abs(q - expected).max():.0e}",
        "other answers": np.sum(q.argmax(1) != expected.argmax(1)),
        "right answers (%)": f"{100 * np.mean(q.argmax(1) == y_test):.1f}",
    }
print(f"{len(x_test)} films, {100 * np.mean(expected.argmax(1) == y_test):.1f} % right")
pd.DataFrame(rows).T

# %%
sizes = {path.name: path.stat().st_size for path in FOLDER.glob("*.*")}


def total(folder):
    return sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file())


sizes["films/1"] = total(version_1)
for name, size in sorted(sizes.items(), key=lambda pair: -pair[1]):
    print(f"{name:22} {size / 1000:6.0f} kB")
for name in ("tensorflow", "onnxruntime", "ai_edge_litert"):
    if found := find_spec(name):
        size = total(found.submodule_search_locations[0]) / 1e6
        print(f"{name:22} {size:6.0f} MB to be installed")

# %% [markdown]
# The same answers up to rounding; with 8 bits a little more than rounding, in a file of
# about half the size. For a network as small as ours, what counts is the library that has
# to be there to run it.

# %% tags=["check"]
for name, answer in runtimes.items():
    change = np.abs(answer(as_floats) - expected).max()
    assert change < (0.2 if "8 bits" in name else 1e-4), (name, change)
if "LiteRT" in runtimes and not FAST:
    assert 0.4 < sizes["LiteRT, 8 bits.tflite"] / sizes["LiteRT.tflite"] < 0.7
    assert rows["LiteRT, 8 bits"]["other answers"] < 0.03 * len(x_test)

# %% [markdown]
# ## A mistake everybody makes once
#
# Many networks take pixels between 0 and 1. Ours take 0 to 255, and divide inside. Somebody
# does not know that:

# %%
try:
    served.serve(tf.constant(x_test / 255))
except TypeError as error:
    print(str(error).partition(". Received")[0])
status, found = ask(":predict", {"inputs": (x_test[:1] / 255).tolist()})
print(status, found["error"][:90], "...")

# %% [markdown]
# The SavedModel wants whole numbers, and whoever has divided has none: a tensor is refused,
# a request, too. *What will ONNX Runtime say, which takes floats? And the SavedModel, if it
# is given an array of numpy?*

# %%
doors = runtimes | {
    "serve, from numpy": lambda films: served.serve(films)["probabilities"].numpy()
}
print(f"{'films as they are':18} {expected.max(1).mean():.0%} sure on average")
for name, answer in doors.items():
    wrong = answer(as_floats / 255)
    counts = np.bincount(wrong.argmax(1), minlength=3).tolist()
    calls = ", ".join(f"{n} {c}" for n, c in zip(counts, classes, strict=True))
    print(f"{name:18} {wrong.max(1).mean():.0%} sure on average; calls {calls}")

# %% [markdown]
# Nothing. To the network these are films as black as night, all of them alike, and it has
# an answer to everything. (TensorFlow makes numpy's numbers whole on their way in, and
# nearly all of them become 0.) The probability does not help either: no network here has
# learned to say "this is no film". So whatever a client is written in, test it with a few
# films whose answers you know.

# %% tags=["check"]
assert status == 400
for answer in doors.values():
    wrong = answer(as_floats / 255).argmax(1)
    assert FAST or np.bincount(wrong).max() > 0.9 * len(wrong)

# %% [markdown]
# ## How long does an answer take?
#
# Eight ways to ask about one film. They do not all do the same work: the last three of the
# list do more than run the network. *Order the eight before you run.*

# %%
contents = [Path(path).read_bytes() for path in test.path[: BATCHES[-1]]]
ways = {
    **{
        name: lambda n, answer=answer: answer(as_floats[:n])
        for name, answer in runtimes.items()
        if "8 bits" not in name
    },
    "model(x)": lambda n: model(x_test[:n]).numpy(),
    "predict": lambda n: model.predict(x_test[:n], verbose=0),
    "predict_on_batch": lambda n: model.predict_on_batch(x_test[:n]),
    "serve": lambda n: served.serve(x_test[:n])["probabilities"].numpy(),
    "serve_bytes": lambda n: served.serve_bytes(contents[:n])["probabilities"].numpy(),
    "HTTP": lambda n: ask_about(contents[:n]),
}
extra = {
    "serve": "serve\n(any size)",
    "serve_bytes": "serve_bytes\n(PNG or JPEG)",
    "HTTP": "HTTP\n(and base64, JSON)",
}


# %%
def clock(way, n):
    start = time.perf_counter()
    way(n)
    return 1000 * (time.perf_counter() - start)


latency = {name: [] for name in ways}
for turn in range(ROUNDS + 1):  # In turns, so that a busy moment hits all of them.
    for name, way in ways.items():
        took = [clock(way, 1) for _ in range(CALLS)]
        latency[name] += took if turn else []  # The first calls build the graphs.
quantiles = {name: np.percentile(ms, (50, 99)) for name, ms in latency.items()}
pd.DataFrame(quantiles, index=["median, ms", "99th percentile, ms"]).T.round(2)

# %%
figure, ax = plt.subplots(figsize=(9, 3.8), layout="constrained")
order = sorted(quantiles, key=lambda name: quantiles[name][0])
middle, late = np.transpose([quantiles[name] for name in order])
colors = [plots.COLORS[name in extra] for name in order]
ax.scatter(middle, range(len(order)), 60, colors)
ax.set_yticks(range(len(order)), [extra.get(name, name) for name in order])
ax.plot(late, range(len(order)), "|k", markersize=16, label="99th percentile")
for color, name in zip(plots.COLORS, ("the network alone", "and more"), strict=False):
    ax.scatter([], [], 60, [color], label=f"median, {name}")
ax.set(xscale="log", xlabel="milliseconds for one film, logarithmic")
ax.grid(axis="x", alpha=0.4)
ax.invert_yaxis()
_ = ax.legend(loc="upper right")

# %% [markdown]
# Of two hundred calls each, one in a hundred was slower than the black mark, often because
# another program had the processor. Compare `predict` with LiteRT in the table, which run
# the same network: more than a hundred times as long. Nearly all of that is preparation of
# the call. `predict` is made for many films; `model(x)` runs each operation by itself, from
# Python; `predict_on_batch` and the SavedModel run a graph. HTTP,
# base64 and JSON add about a millisecond here.
#
# Is that fast enough? A hospital that takes 500 films a day asks once in three minutes, and
# a radiologist is not faster for having the answer 50 ms earlier. Take the way that is
# hardest to use wrongly, unless you have measured that you must not.

# %% tags=["check"]
if not FAST:
    middle = {name: found[0] for name, found in quantiles.items()}
    assert min(middle["model(x)"], middle["predict"]) > 4 * middle["serve"]
    assert middle["serve"] < middle["serve_bytes"] < 1.2 * middle["HTTP"]
    for name in set(runtimes) & set(middle):
        assert middle[name] < middle["serve"] and 50 * middle[name] < middle["predict"]

# %% [markdown]
# ## Many films at once
#
# A thousand old films overnight are another matter. A call with $n$ films takes about
#
# $$t(n) = a + b\,n,$$
#
# and $n / t(n)$ films a second are answered. While $n$ is small, the preparation $a$
# counts; with large batches the rate tends to $1/b$. *Which ways will gain by batches?*

# %%
many = [name for name in ways if name in runtimes or name.startswith(("serve", "HTTP"))]
rates = {name: [] for name in many}
for n in BATCHES:
    for name in many:
        took = [clock(ways[name], n) for _ in range(CALLS // 2)][1:]
        rates[name].append(1000 * n / min(took, default=1))
pd.DataFrame(rates, index=BATCHES).T.round(-1).astype(int)

# %%
figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
for name, color, marker in zip(rates, plots.COLORS, "osD^v", strict=False):
    ax.loglog(BATCHES, rates[name], marker=marker, color=color, label=name)
ax.set(xlabel="films in a call", ylabel="films per second")
ax.set_xticks(BATCHES, BATCHES)
ax.minorticks_off()
ax.grid(alpha=0.4)
_ = ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))

# %% tags=["check"]
if not FAST:
    for name in ("serve", "serve_bytes", "HTTP"):
        assert max(rates[name]) > 1.5 * rates[name][0], rates
    for name in set(runtimes) & set(rates):
        gain = {k: max(r) / r[0] for k, r in rates.items()}
        assert gain[name] < gain["serve"] and max(rates["serve"]) > 0.5 * rates[name][0]

# %% [markdown]
# HTTP and the SavedModel gain most: their $a$ is large beside their $b$. (These are the
# fastest of several calls, since a slow one tells of other programs.) ONNX Runtime and
# LiteRT have hardly any $a$ and little to gain, and with batches the SavedModel comes near
# them or passes them. So first say how many films a call will have, then measure. We stop
# the server; it finishes what it has begun.

# %%
server.terminate()
print(server.communicate(timeout=300)[0].strip())

# %% [markdown]
# ## Afterwards
#
# The day after, nobody looks at single answers any more, and true labels come late or
# never. Two things can be watched without them: the films that come in and the answers that
# go out. Both are means over the films of a week; compare them with those of the weeks in
# which all was well:
#
# $$z = \frac{\bar v_\text{week} - \bar v_\text{before}}{s_\text{before} / \sqrt n}$$
#
# By chance $z$ stays between −3 and 3, nearly always, if the films are of different
# people. (Ours are of somewhat fewer people than films, and the weeks before hold a few
# hundred films: a $z$ just beyond 3 is no alarm yet.)
#
# We make up three weeks of films. In week 2 a new scanner arrives whose films are brighter;
# in week 3 an outbreak begins. *Which of the two shows in the films, which in the
# answers? And of which do you want to be told?*

# %%
rng = np.random.default_rng(SEED)
half = pd.factorize(test.patient_id)[0] % 2 == 0  # No patient on both sides.
before, after = np.flatnonzero(half), np.flatnonzero(~half)
ill = after[y_test[after] == COVID]
week = rng.choice(after, min(100, len(after)), replace=False)
outbreak = np.append(ill, week[y_test[week] != COVID][: 4 * len(ill)])
weeks = {
    "before": (x_test[before], y_test[before]),
    "week 1": (x_test[week], y_test[week]),
    "week 2, new scanner": (255 * (x_test[week] / 255) ** 0.6, y_test[week]),
    "week 3, outbreak": (x_test[outbreak], y_test[outbreak]),
}
figure, axes = plt.subplots(1, 6, figsize=(9, 1.9), layout="constrained")
pairs = np.stack([weeks[name][0][:3] for name in [*weeks][1:3]], 1).reshape(
    6, SIZE, SIZE, 1
)
_ = plots.contact_sheet(pairs.astype("uint8"), ["week 1", "week 2"] * 3, axes=axes)

# %%
watched = {}
for name, (films, truth) in weeks.items():
    called = model.predict(films, verbose=0).argmax(1)
    values = {"brightness": films.mean(axis=(1, 2, 3))}
    values |= {f"called {c}": 1.0 * (called == k) for k, c in enumerate(classes)}
    watched[name] = pd.DataFrame(values).assign(right=called == truth)
usual, spread = watched["before"].mean(), watched["before"].std(ddof=0)
z = {
    name: (v.mean() - usual) / (spread / np.sqrt(len(v))) for name, v in watched.items()
}
z = pd.DataFrame(z).T.drop(columns="right")
z.round(1)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for (name, v), color, dash in zip(
    watched.items(), plots.COLORS, ("-", "--", "-", ":"), strict=False
):
    style = {"density": True, "histtype": "step", "linewidth": 2}
    bins = np.linspace(60, 220, 17)  # In tens of gray levels.
    left.hist(v.brightness, bins, **style, color=color, linestyle=dash, label=name)
left.set(xlabel="mean gray level of a film", ylabel="share of the films", yticks=[])
left.set_ylim(0, 1.4 * left.get_ylim()[1])
left.legend(fontsize=8, loc="upper left", ncols=2)
bottom = np.zeros(len(watched))
for c, color, hatch in zip(classes, plots.COLORS, ("", "//", "xx"), strict=False):
    share = np.array([100 * v[f"called {c}"].mean() for v in watched.values()])
    style = {"color": color, "hatch": hatch, "edgecolor": "white"}
    right.bar(range(len(watched)), share, bottom=bottom, **style, label=c)
    bottom += share
right.set_xticks(range(len(watched)), ["before", "week 1", "week 2", "week 3"])
right.set(ylabel="answers (%)", ylim=(0, 130))
_ = right.legend(ncols=3, fontsize=8, loc="upper center")

# %% [markdown]
# Week 1 is like the weeks before. In week 2 the brightness leaves its place and the answers
# go with it, which points to the machine. In week 3 the films are as bright as ever, and
# more of them are called COVID-19: other patients. The watch tells *that* something has
# changed; what it is, people have to find out. Only we know how many answers were right:

# %%
{name: f"{100 * v.right.mean():.0f} % right" for name, v in watched.items()}

# %% [markdown]
# Week 2 has the very films of week 1, so that the difference between them is the scanner's
# doing. In week 3 nothing is broken: there is more of the class that this network misses
# most. (A single number from a hundred films is known to about 8 points.)

# %% tags=["check"]
if not FAST:
    assert abs(z.loc["week 1"]).max() < 3
    assert z.loc["week 2, new scanner", "brightness"] > 6
    assert abs(z.loc["week 2, new scanner"])[1:3].max() > 3
    assert abs(z.loc["week 3, outbreak", "brightness"]) < 3
    assert z.loc["week 3, outbreak", "called covid-19"] > 3
    share = {name: v.right.mean() for name, v in watched.items()}
    assert share["week 2, new scanner"] < share["week 1"] - 0.03
    recall = [np.mean(expected[y_test == c].argmax(1) == c) for c in range(3)]
    assert recall[COVID] == min(recall)

# %% [markdown]
# ## Summary
#
# One network, four ways out, the same answers; what differs is what they let you do wrong.
# The SavedModel brings its preprocessing along and refuses most of what is wrong. ONNX and
# LiteRT are small and quick and leave that to you. Latency is mostly overhead; batches
# share it. And a deployed network needs a watch, since it answers whatever comes.
#
# ## Exercises
#
# 1. Save the test films as JPEG with the qualities 95, 50 and 10, and ask `serve_bytes`.
#    How many answers change?
# 2. Ask the server about: the first half of a PNG file, a GIF, a color PNG of another size,
#    a PNG of 16 bits. Which are answered?
# 3. Train with another seed and export it as version 2. Before you put it in place of
#    version 1: of how many test films do the two say different things?
# 4. Let 1, 2 and 4 clients ask the server at the same time. How many films a second are
#    answered in all, and how long does each client wait?
# 5. The new scanner stores its films mirrored. Which watch notices?
#
# [Solutions](solutions/10_deploy.ipynb)
