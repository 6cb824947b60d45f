"""Spoiled and hostile input: clear errors, nothing run, nothing written elsewhere."""

import contextlib
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_methods import new, tiny

import sskeras
from sskeras import cli, methods

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
NO_MODEL = "holds no model that sskeras can load"


def test_a_short_campaign_of_spoiled_input_finds_nothing_wrong(tmp_path):
    """The long one is `python benchmarks/fuzz.py`."""
    line = [sys.executable, ROOT / "benchmarks" / "fuzz.py", "--inputs", "5"]
    done = subprocess.run(
        [*line, "--seed", "1", "--keep", tmp_path / "wrong"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    notes = tmp_path / "wrong" / "wrong.jsonl"
    assert not done.returncode, notes.read_text() if notes.exists() else done.stderr
    assert all(f"| {kind} | 5 |" in done.stdout for kind in ("pictures", "films"))


SPOILERS = """
import os, sys
sys.path.insert(0, "benchmarks")
import fuzz, fuzz_kinds

class Wrong:
    def __init__(self, folder):
        self.sound = [b"sound"]

    def __call__(self, content, place):
        {}[content]

class Dead(Wrong):
    def __call__(self, content, place):
        os._exit(3)

class Outside(Wrong):
    def __call__(self, content, place):
        (place / ".." / "x").write_text("")

class Leading(Wrong):
    def __call__(self, content, place):
        fuzz_kinds.stay_within(place, [place / "images" / "x", place / ".." / "x"])

class Sound(Wrong):
    def __call__(self, content, place):
        fuzz_kinds.stay_within(place, [place / "images" / ".." / "x"])

fuzz.KINDS |= {kind.__name__: kind for kind in (Wrong, Dead, Outside, Leading, Sound)}
if __name__ == "__main__":
    work, keep = sys.argv[1:]
    for kind in ("Wrong", "Dead", "Outside", "Leading", "Sound"):
        print(fuzz.campaign(kind, 3, 0, work, fuzz.Path(keep))[2])
"""


def test_the_campaign_sees_what_is_wrong(tmp_path):
    """Other errors, a process that dies, a file and a path in the wrong place."""
    (tmp_path / "work").mkdir()
    (tmp_path / "spoilers.py").write_text(SPOILERS)
    line = [
        sys.executable,
        tmp_path / "spoilers.py",
        tmp_path / "work",
        tmp_path / "keep",
    ]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["3", "3", "3", "3", "0"], done.stderr


@pytest.fixture
def model(tmp_path, monkeypatch):
    """The path of a saved method, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    made = new("Supervised")
    made.compile("adam")
    made.save("model.keras")
    return Path("model.keras")


def rewritten(path, change):
    """Writes a model anew, its configuration changed by a function."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["config.json"] = change(parts["config.json"].decode()).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


def trace():
    """A function without a name: a file that holds it carries its code."""
    return lambda x: open("pwned", "w").close() or x


class Trace(tf.saved_model.experimental.TrackableResource):
    """What a SavedModel that holds it does when it is loaded."""

    def _create_resource(self):
        return tf.constant(0.0)

    def _initialize(self):
        tf.io.write_file("pwned", "")


def program():
    """A layer that loads a SavedModel from the working folder."""
    module = tf.Module()
    module.trace = Trace()
    spec = tf.TensorSpec((None, 3))
    module.serve = tf.function(lambda x: x, input_signature=[spec])
    tf.saved_model.save(module, "program")
    return keras.layers.TFSMLayer("program")


CARRIERS = {
    "layer": lambda x: keras.layers.Lambda(trace())(x),
    "shape": lambda x: keras.layers.Lambda(keras.ops.relu, output_shape=trace())(x),
    "argument": lambda x: keras.ops.map(trace(), x),
    "layer-within": lambda x: keras.Sequential([keras.layers.Lambda(trace())])(x),
    "program": lambda x: program()(x),
    "hdf5": lambda x: keras.layers.Lambda(trace())(x),
}
TRUSTING = """
import os, sys, keras
from sskeras import methods

for path in sys.argv[1:]:
    os.chdir(os.path.dirname(path))
    keras.models.load_model(path, safe_mode=False)
"""


def carrier(name):
    """Writes a model that carries code to the working folder."""
    network = tiny()
    network = keras.Model(network.inputs, CARRIERS[name](network.outputs[0]))
    path = Path("model.h5" if name == "hdf5" else "model.keras").absolute()
    made = network if name == "hdf5" else methods.Supervised(network)
    made.compile("adam")
    made.save(path)
    Path("pwned").unlink(missing_ok=True)  # Building it ran the code.
    return path


@pytest.fixture(scope="module")
def carriers(tmp_path_factory):
    """Paths of models, each loaded once by Keras with its safe mode off."""
    paths = {}
    for name in CARRIERS:
        with contextlib.chdir(tmp_path_factory.mktemp(name)):
            paths[name] = carrier(name)
    line = [sys.executable, "-c", TRUSTING, *paths.values()]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return paths


@pytest.mark.parametrize("name", CARRIERS)
def test_code_that_a_file_carries_is_not_run(carriers, monkeypatch, name):
    """Code that works: Keras ran it when told to trust the file."""
    monkeypatch.chdir(carriers[name].parent)
    Path("pwned").unlink()  # Fails where nothing ran.
    with pytest.raises(ValueError, match=NO_MODEL):
        sskeras.load_model(carriers[name])
    assert not Path("pwned").exists()


def function(module, name):
    named = {"class_name": "function", "module": module, "config": name}
    return {**named, "registered_name": name}


def call(layers, named, arguments, inputs):
    """Puts a function in the place of a layer."""
    layers[1] |= keras.saving.serialize_keras_object(keras.layers.Lambda(abs))
    run = {"function": named, "arguments": arguments}
    layers[1]["config"] |= {**run, "name": layers[1]["name"]}
    layers[1]["inbound_nodes"] = [{"args": inputs, "kwargs": {}}]


def call_system(layers):
    """A layer is a function of the system."""
    node = {"args": ["touch pwned"], "kwargs": {}}
    layers[1] |= {**function("os", "system"), "inbound_nodes": [node]}


def call_get_file(layers):
    """A layer calls what copies a file to the working folder."""
    where = {"cache_dir": ".", "cache_subdir": ".", "origin": Path(__file__).as_uri()}
    call(layers, function("keras.utils", "get_file"), where, ["pwned"])


GALLERY = function("keras.visualization", "plot_image_gallery")


def draw(layers, named=GALLERY):
    """A layer draws to a file, which safe mode allows."""
    pictures = keras.saving.serialize_keras_object(np.zeros((4, 8, 8, 3)))
    call(layers, named, {"path": "../pwned.png"}, [pictures])


def draw_as_class(layers):
    """The function is said to be a class."""
    draw(layers, GALLERY | {"class_name": "plot_image_gallery", "config": {}})


def draw_as_registered(layers):
    """The function has the name of a class of ours besides."""
    draw(layers, GALLERY | {"registered_name": "sskeras>Supervised"})


@pytest.mark.parametrize(
    "change", [call_system, call_get_file, draw, draw_as_class, draw_as_registered]
)
def test_functions_that_a_file_names_are_not_called(model, change):
    """Keras of today refuses all but two itself, in any mode."""

    def changed(text):
        config = json.loads(text)
        change(config["config"]["network"]["config"]["layers"])
        return json.dumps(config)

    rewritten(model, changed)
    with contextlib.suppress(TypeError, ValueError):
        keras.models.load_model(model)
    drawn = Path("../pwned.png")
    if change is not draw_as_registered:  # Drawn before Keras 3.15.
        assert drawn.exists() == (change in (draw, draw_as_class))
    drawn.unlink(missing_ok=True)
    with pytest.raises(ValueError, match=f"{NO_MODEL}.*it names .* could do harm"):
        sskeras.load_model(model)
    assert not [*Path("..").rglob("pwned*")]


@pytest.mark.parametrize("activation", [keras.ops.softplus, keras.activations.relu])
def test_functions_that_compute_are_kept(tmp_path, activation):
    pictures = keras.Input((16, 16, 1))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pictures))
    x = keras.layers.Dense(4, activation=activation)(x)
    network = keras.Model(pictures, keras.layers.Dense(3)(x))
    made = methods.Supervised(network)
    made.compile("adam", metrics=[keras.metrics.categorical_accuracy])
    made.save(tmp_path / "model.keras")
    loaded = sskeras.load_model(tmp_path / "model.keras")
    assert [layer.name for layer in loaded.network.layers] == [
        layer.name for layer in network.layers
    ]


def test_a_network_that_waits_for_itself_is_refused(model):
    """Keras before 3.14.1 waited, too."""

    def loop(text):
        config = json.loads(text)
        _, first, second, *_ = config["config"]["network"]["config"]["layers"]
        nodes = json.dumps(second["inbound_nodes"])
        first["inbound_nodes"] = json.loads(
            nodes.replace(first["name"], second["name"])
        )
        return json.dumps(config)

    rewritten(model, loop)
    with pytest.raises(ValueError, match=f"{NO_MODEL}.*has loops"):
        sskeras.load_model(model)


def test_a_model_that_unpacks_to_too_much_is_not_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "[" + " " * (1 << 24))
    with pytest.raises(ValueError, match="it unpacks to 16,777,217 bytes"):
        sskeras.load_model(tmp_path / "bomb.keras")


def test_files_beside_the_model_are_not_unpacked(model, tmp_path, monkeypatch):
    """Python's `zipfile` keeps them in the folder it unpacks to in any case."""
    (tmp_path / "unpacked").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "unpacked"))
    with zipfile.ZipFile(model, "a") as archive:
        archive.writestr("../pwned", "")
        archive.writestr(str(tmp_path / "pwned"), "")
    sskeras.load_model(model)
    assert not [*tmp_path.rglob("pwned")]


def test_what_is_no_model_is_said(tmp_path):
    path = tmp_path / "model.keras"
    with pytest.raises(FileNotFoundError, match="There is no model"):
        sskeras.load_model(path)
    path.write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(ValueError, match="holds no model that sskeras can load"):
        sskeras.load_model(path)


@pytest.mark.parametrize("content", ["", "[1]", '{"seed": 1', "{}", "[" * 100_000])
def test_damaged_scores_are_named(tmp_path, capsys, content):
    for name in ("settings.json", "metrics.json"):
        (tmp_path / name).write_text(content)
    assert cli.main(["compare", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "damaged" in said and "Traceback" not in said
