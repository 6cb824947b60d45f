"""Spoiled and hostile input: clear errors, nothing run, nothing written elsewhere."""

import contextlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import pytest
from small_methods import new, tiny

import sskeras
from sskeras import cli, methods

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
OPEN = "__import__('builtins').open('pwned', 'w')"


def test_a_short_campaign_of_spoiled_input_finds_nothing_wrong(tmp_path):
    """The long one is `python benchmarks/fuzz.py`."""
    line = [sys.executable, ROOT / "benchmarks" / "fuzz.py", "--inputs", "30"]
    done = subprocess.run(
        [*line, "--seed", "1", "--keep", tmp_path / "wrong"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    notes = tmp_path / "wrong" / "wrong.jsonl"
    assert not done.returncode, notes.read_text() if notes.exists() else done.stderr
    assert all(f"| {kind} | 30 |" in done.stdout for kind in ("pictures", "films"))


SPOILERS = """
import os, sys
sys.path.insert(0, "benchmarks")
import fuzz

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

fuzz.KINDS |= {"wrong": Wrong, "dead": Dead, "outside": Outside}
if __name__ == "__main__":
    work, keep = sys.argv[1:]
    for kind in ("wrong", "dead", "outside"):
        print(fuzz.campaign(kind, 3, 0, work, fuzz.Path(keep))[2])
"""


def test_the_campaign_sees_what_is_wrong(tmp_path):
    """Another kind of error, a process that dies, a file in the wrong place."""
    (tmp_path / "work").mkdir()
    (tmp_path / "spoil.py").write_text(SPOILERS)
    line = [sys.executable, tmp_path / "spoil.py", tmp_path / "work", tmp_path / "keep"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["3", "3", "3"], done.stderr


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


def test_code_within_a_layer_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = tiny()
    run = keras.layers.Lambda(lambda x: eval(OPEN) and x)
    network = keras.Model(network.inputs, run(network.outputs[0]))
    Path("pwned").unlink()  # Building it ran it.
    made = methods.Supervised(network)
    made.compile("adam")
    made.save("model.keras")
    Path("pwned").unlink(missing_ok=True)
    with pytest.raises(ValueError, match="no model that sskeras can load"):
        sskeras.load_model("model.keras")
    assert not Path("pwned").exists()


def test_a_saved_model_within_a_model_is_not_loaded(tmp_path, monkeypatch):
    """It is a program."""
    monkeypatch.chdir(tmp_path)
    tiny().export("program", verbose=False)
    keras.Sequential([keras.layers.TFSMLayer("program")]).save("model.keras")
    with pytest.raises(ValueError, match="no model that sskeras can load"):
        sskeras.load_model("model.keras")


@pytest.mark.parametrize(
    "entry",
    [
        {"module": "builtins", "class_name": "eval", "config": OPEN},
        {"module": "os", "class_name": "system", "config": {"command": "touch pwned"}},
        {"class_name": "function", "config": {"module": "builtins", "name": "eval"}},
        {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}},
    ],
)
def test_a_function_that_a_file_names_is_not_called(model, entry):
    def change(text):
        config = json.loads(text)
        layers = config["config"]["network"]["config"]["layers"]
        layers[1] |= {"registered_name": None, **entry}
        return json.dumps(config)

    rewritten(model, change)
    with pytest.raises(ValueError, match="'model.keras' holds no model"):
        sskeras.load_model(model)
    assert not Path("pwned").exists()


def test_files_beside_the_model_are_not_unpacked(model):
    with zipfile.ZipFile(model, "a") as archive:
        archive.writestr("../pwned", "")
        archive.writestr("/tmp/pwned-by-a-model", "")
    with contextlib.suppress(ValueError):  # Keras 3.13 refuses the whole file.
        sskeras.load_model(model)
    assert not Path("../pwned").exists() and not Path("pwned").exists()
    assert not Path("/tmp/pwned-by-a-model").exists()


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
