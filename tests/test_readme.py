"""What the README shows works, and what it names exists."""

import functools
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from packaging.version import Version

import sskeras
from data_tools import __main__ as data_tools_main
from data_tools import phantom, recipes, sources
from sskeras import cli, methods, networks
from sskeras.experiments.settings import PRESETS, RAREST

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def section(title):
    return README.split(f"## {title}\n")[1].split("\n## ")[0]


def resolve(dotted):
    """The object that a dotted name stands for."""
    package, *names = dotted.split(".")
    return functools.reduce(getattr, names, importlib.import_module(package))


def test_from_paper_to_code_names_what_exists():
    text = section("From paper to code")
    names = set(re.findall(r"`(sskeras\.[\w.]+)`", text))
    files = set(re.findall(r"`((?:sskeras|data_tools)/[\w/]+\.py)`", text))
    assert len(names) > 10 and len(files) > 4
    for name in names:
        assert callable(resolve(name)), name
    for file in files:
        assert (ROOT / file).is_file(), file
    with pytest.raises(AttributeError):
        resolve("sskeras.losses.nothing")


def test_each_fault_that_was_tried_has_a_command():
    rows = re.findall(r"^\| (?!fault|---)(.*) \|$", section("It keeps working"), re.M)
    assert len(rows) > 15
    for row in rows:
        fault, tried, held, command = row.split(" | ")
        assert tried == held and int(tried.replace(",", "")), fault
        files = re.findall(r"(?:tests|benchmarks)/\w+\.py", command)
        assert files or "the same" in command or "make test" in command, fault
        assert all((ROOT / file).is_file() for file in files), command


def test_the_floor_is_what_setup_allows():
    required = (ROOT / "setup.py").read_text("utf-8").split("install_requires=[")[1]
    bounds = re.findall(r'"([\w-]+)>=([\d.]+)"', required.split("],")[0])
    lines = (ROOT / "tests/floor.txt").read_text("utf-8").split()
    floor = [line.split("==") for line in lines]
    assert len(bounds) == required.split("],")[0].count('"') / 2
    assert {(n, Version(v)) for n, v in floor} == {(n, Version(v)) for n, v in bounds}


def test_every_picture_is_there():
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert len(pictures) > 1 and all((ROOT / name).is_file() for name in pictures)


def test_each_line_of_algorithm_1_is_marked():
    text = (ROOT / "sskeras/methods/ssresnet.py").read_text("utf-8")
    for line in ("lines 3-5", "line 6", "line 7", "line 8", "line 9"):
        assert line in text


def test_the_notebook_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [example] = [block for block in blocks("python") if "SSResNet(" in block]
    example = example.replace("epochs=15", "epochs=1")
    x = np.random.default_rng(0).integers(0, 256, (12, 64, 64, 1)).astype("uint8")
    y = np.arange(12) % 4 - 1
    names = {"x": x, "y": y, "x_test": x, "y_test": y}
    exec(example, names)
    assert names["probabilities"].shape == (12, 3)
    assert (tmp_path / "saved_model" / "saved_model.pb").exists()
    expected = names["model"].predict(x[:1])
    [serving] = [block for block in blocks("python") if "serve_bytes(" in block]
    import tensorflow as tf

    (tmp_path / "film.png").write_bytes(tf.io.encode_png(x[0]).numpy())
    exec(serving, names)
    np.testing.assert_allclose(names["answer"]["probabilities"], expected, atol=1e-5)


def test_the_method_of_the_readme_learns(batch):
    [example] = [block for block in blocks("python") if "Method)" in block]
    names = {}
    exec(example, names)
    mine = names["EntropyMinimization"]
    assert issubclass(mine, methods.Method) and len(example.splitlines()) <= 22
    keras.utils.set_random_seed(0)
    model = mine(networks.resnet((16, 16, 1), 3, filters=(4, 8)))
    model.compile(keras.optimizers.Adam(0.01), metrics=["accuracy"])
    history = model.fit(*batch, epochs=30, verbose=0).history
    assert history["entropy"][-1] < history["entropy"][0]
    assert history["entropy_weight"][0] == pytest.approx(0.1)


@pytest.mark.slow
def test_the_method_of_the_readme_trains_from_the_command_line(tmp_path):
    [example] = [block for block in blocks("python") if "Method)" in block]
    (tmp_path / "mine.py").write_text(example)
    phantom.write(tmp_path / "films", count=120, size=32, seed=0)
    command = "train --method mine:EntropyMinimization --data films --out run"
    command += " --image-size 32 --filters 4 8 --epochs 1 --batch-size 64"
    done = subprocess.run(
        [sys.executable, "-m", "sskeras.cli", *command.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stderr
    assert "entropy_weight" in (tmp_path / "run" / "history.csv").read_text()
    assert (tmp_path / "run" / "saved_model" / "saved_model.pb").exists()


def test_every_method_is_in_the_table():
    rows = re.findall(
        r"^\| `(\w+)` \| (?:\[([^]]+)\]|([^|]+) \|)", README, re.MULTILINE
    )
    named = {name: linked or plain for name, linked, plain in rows}
    expected = {method.__name__: method.paper for method in methods.listed()}
    assert {name: named.get(name) for name in expected} == expected
    text = methods.overview()
    for method in methods.listed():
        assert f"\n    Needs {method.needs}." in text and method.needs, method


def test_the_methods_of_the_readme_can_be_made(batch):
    [example] = [block for block in blocks("python") if "PiModel(" in block]
    x, y = batch
    network = networks.resnet((16, 16, 1), 3, filters=(4, 8))
    names = {"sskeras": sskeras, "network": network, "x": x, "y": y}
    exec(example, names)
    assert isinstance(names["model"], methods.FixMatch)
    assert names["model"].strong.cutout == 0.3


def test_the_commands_of_the_readme_parse():
    text = "\n".join(blocks("bash")).replace("\\\n", " ")
    commands = [line for line in text.splitlines() if line.startswith("sskeras ")]
    assert {line.split()[1] for line in commands} == {
        "train",
        "methods",
        "compare",
        "evaluate",
        "predict",
        "explain",
        "export",
        "serve",
        "demo",
        "reproduce",
    }
    for line in commands:
        cli.parse(shlex.split(line)[1:])


def test_the_second_judge_of_the_readme(batch):
    [example] = [block for block in blocks("python") if "judge(" in block]
    x, y = batch
    model = methods.Supervised(networks.resnet((16, 16, 1), 3, filters=(4, 8)))
    names = {"sskeras": sskeras, "model": model, "x": x, "y": y}
    exec(example, names)
    probabilities = names["model"].predict(x, verbose=0)
    assert names["model"] is not model and probabilities.shape == (16, 3)
    section_ = section("With three labeled films")
    for name, value in PRESETS["best"].items():
        if name not in ("method", "decay", "class_share", "second_judge"):
            assert f"--{name} {value}" in section_
    assert f"{RAREST}={PRESETS['best']['class_share'][RAREST]}" in section_


def test_the_commands_of_data_tools_parse_and_are_all_named():
    text = section("Build COVIDx").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.startswith("python -m data_t")]
    lines += [
        f"python -m data_tools {c}" for c in re.findall(r"\n\| `(\w+ .*?)` \|", text)
    ]
    for line in lines:
        data_tools_main.parser().parse_args(shlex.split(line)[3:])
    assert {line.split()[3] for line in lines} == set(data_tools_main.COMMANDS)
    for name in [*sources.SOURCES, *sources.KINDS]:
        assert f"`{name}`" in text or f"{name}:" in text, name
    for name in recipes.RECIPES:
        assert f"`{name}`" in text or name.startswith("covidx-"), name


def test_the_readme_says_what_it_must():
    assert "Not a medical device" in README
    assert "tensorflow-addons" in README
    assert len(blocks("python")[0].strip().splitlines()) <= 12
    for target in ("demo", "test"):
        assert f"make {target}" in README
        assert f"\n{target}:" in (ROOT / "Makefile").read_text("utf-8")
