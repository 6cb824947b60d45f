"""A run from manifest to results; interrupted, taken up, refused."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data_tools import phantom
from sskeras import data, methods
from sskeras.experiments import build, use
from sskeras.experiments import train as training
from sskeras.experiments.checkpoint import Checkpoint
from sskeras.experiments.folder import RunFolder
from sskeras.experiments.settings import PRESETS, Settings

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def manifest(tmp_path_factory):
    """The manifest of 240 phantom films."""
    return phantom.write(tmp_path_factory.mktemp("films"), count=240, seed=0, size=32)


def settings(manifest, **changes):
    """Settings of a run that takes seconds."""
    small = dict(image_size=32, filters=(4, 8), epochs=3, batch_size=64, labeled=0.5)
    small["precision"] = "float32"  # The same on every machine.
    return Settings(str(manifest), **{**small, **changes})


@pytest.fixture(scope="session")
def run(manifest, tmp_path_factory):
    """A finished run of SSResNet."""
    out = tmp_path_factory.mktemp("runs") / "ssresnet"
    training.train(settings(manifest, class_weight=(1, 1, 2), decay="cosine"), out)
    return out


def test_a_run_leaves_everything_behind(run):
    assert {path.name for path in run.iterdir()} == {
        "settings.json",
        "metrics.json",
        "history.csv",
        "predictions.csv",
        "learning_curves.png",
        "confusion_matrix.png",
        "model.keras",
        "saved_model",
    }
    for picture in run.glob("*.png"):
        assert min(Image.open(picture).size) > 200
    history = pd.read_csv(run / "history.csv")
    assert [*history.epoch] == [1, 2, 3]
    assert {"loss", "supervised", "unsupervised", "unsupervised_weight", "accuracy"} < {
        *history.columns
    }


def test_metrics_hold_scores_with_intervals_and_their_origin(run):
    metrics = json.loads((run / "metrics.json").read_text())
    classes = ["normal", "pneumonia", "covid-19"]
    assert [*metrics["recall"]] == classes
    names = ("accuracy", "macro_precision", "macro_recall", "macro_f")
    for score in [*(metrics[n] for n in names), *metrics["recall"].values()]:
        assert 0 <= score["low"] <= score["value"] <= score["high"] <= 1
    origin = metrics["provenance"]
    assert origin["versions"]["tensorflow"] and origin["machine"]["cores"]
    assert origin["command"]
    assert metrics["settings"]["seed"] == 0


def test_scores_are_those_of_the_predictions(run, manifest):
    table = pd.read_csv(run / "predictions.csv")
    top = table[["normal", "pneumonia", "covid-19"]].idxmax(axis=1)
    accuracy = np.average(top == table.label, weights=table.weight)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["accuracy"]["value"] == pytest.approx(accuracy)
    again = use.evaluate_run(run, manifest)
    assert again["accuracy"] == metrics["accuracy"]
    assert again["confusion_matrix"] == metrics["confusion_matrix"]


def test_the_loaded_model_knows_its_classes_and_trains_on(run, manifest):
    model = use.load(run)
    assert model.class_names == ("normal", "pneumonia", "covid-19")
    assert model.class_weight == (1, 1, 2)
    assert int(model.steps) == int(model.optimizer.iterations) == 3 * 3
    rows = data.read_manifest(manifest)
    x = data.load_pictures(rows.path, 32)
    history = model.fit(x, data.encode_labels(rows, model.class_names), verbose=0)
    assert np.isfinite(history.history["loss"][0])


def test_the_learning_rate_falls_to_nothing_along_a_cosine(run, manifest):
    optimizer = use.load(run).optimizer
    rates = [float(optimizer._learning_rate(step)) for step in range(3 * 3 + 1)]
    wanted = 0.001 * (1 + np.cos(np.pi * np.arange(10) / 9)) / 2
    np.testing.assert_allclose(rates, wanted, atol=1e-9)
    with pytest.raises(ValueError, match="Expected one of.*'constant', 'cosine'"):
        settings(manifest, decay="linear")


class Stop(keras.callbacks.Callback):
    """Interrupts a training in the middle of an epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.steps) == 7:
            raise KeyboardInterrupt


def test_an_interrupted_run_ends_with_the_same_bits(
    run, manifest, tmp_path, monkeypatch
):
    wanted = settings(manifest, class_weight=(1, 1, 2), decay="cosine")  # as `run`
    fit = keras.Model.fit

    def interrupted(self, *args, callbacks, **kwargs):
        return fit(self, *args, callbacks=[*callbacks, Stop()], **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "fit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            training.train(wanted, tmp_path / "halved")
    assert not (tmp_path / "halved" / "metrics.json").exists()
    training.train(wanted, tmp_path / "halved")
    for name in ("history.csv", "predictions.csv"):
        assert (run / name).read_text() == (tmp_path / "halved" / name).read_text()
    models = use.load(run), use.load(tmp_path / "halved")
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(a, b)


def weights_of(run):
    """The bytes of all that a run's model holds, also of its optimizer."""
    model = use.load(run)
    return [v.numpy().tobytes() for v in (*model.weights, *model.optimizer.variables)]


@pytest.mark.slow
def test_a_killed_command_is_taken_up_again(manifest, tmp_path):
    command = [sys.executable, "-m", "sskeras.cli", "train", "--data", str(manifest)]
    command += ["--image-size", "32", "--filters", "4", "8", "--batch-size", "64"]
    command += ["--epochs", "40", "--out", str(tmp_path / "run")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    checkpoint = tmp_path / "run" / "checkpoint.npz"
    deadline = time.monotonic() + 300
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoint.exists() and not (tmp_path / "run" / "metrics.json").exists()
    (tmp_path / "run" / ".partial.history.csv").write_text("half of")
    other = [*command, "--seed", "7"]
    done = subprocess.run(other, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "other settings" in done.stderr and "seed: 0 there, 7 here" in done.stderr
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    assert "Taking up the run after epoch" in done.stdout
    assert "Epoch 1/40" not in done.stdout and "Epoch 40/40" in done.stdout
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert "metrics.json" in names
    assert not [name for name in names if "partial" in name or "checkpoint" in name]
    whole = tmp_path / "whole"
    (whole / "saved_model").mkdir(parents=True)  # Takes long, tested elsewhere.
    shutil.copy(tmp_path / "run" / "settings.json", whole)
    command[-1] = str(whole)
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    for name in ("history.csv", "predictions.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()
    same = weights_of(tmp_path / "run") == weights_of(whole)
    assert same


def test_the_folder_of_a_manifest_stands_for_it(manifest):
    one, other = settings(manifest), settings(manifest.parent)
    checksum = one.to_json()["manifest_sha256"]
    assert other.to_json()["manifest_sha256"] == checksum
    assert len(training.read(other)[0]) == len(training.read(one)[0])


def test_a_finished_run_is_not_overwritten(run, manifest):
    before = (run / "metrics.json").read_bytes()
    with pytest.raises(FileExistsError, match="holds a finished run"):
        training.train(settings(manifest, class_weight=(1, 1, 2)), run)
    assert (run / "metrics.json").read_bytes() == before


def test_a_folder_with_something_else_is_left_alone(manifest, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(FileExistsError, match="not empty and holds no run"):
        training.train(settings(manifest), tmp_path)


def test_what_a_killed_run_began_to_write_is_no_obstacle(tmp_path):
    folder = RunFolder(tmp_path / "run")
    (folder.path / ".partial.saved_model.x").mkdir(parents=True)
    (folder.path / ".partial.settings.json").write_text("half")
    with folder.started({"seed": 0}):
        pass
    assert [path.name for path in folder.path.iterdir()] == ["settings.json"]
    with pytest.raises(FileExistsError, match="seed: 0 there, 1 here"):
        folder.check({"seed": 1})


STAY = """
import sys
from sskeras.experiments.folder import RunFolder
with RunFolder(sys.argv[1]).started({"seed": 0}):
    print("begun", flush=True)
    sys.stdin.read()
"""


def test_two_processes_do_not_share_a_folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    line = [sys.executable, "-c", STAY, str(folder.path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(line, cwd=ROOT, **pipes) as other:
        assert other.stdout.readline() == "begun\n"
        with pytest.raises(FileExistsError, match="Another process is training in"):
            with folder.started({"seed": 0}):
                pass
        other.kill()
    with folder.started({"seed": 0}):
        pass
    with pytest.raises(FileExistsError, match="seed: 0 there, 1 here"):
        with folder.started({"seed": 1}):
            pass


@pytest.mark.slow
def test_a_damaged_checkpoint_is_named(tmp_path, run):
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(ValueError, match="checkpoint.npz' is damaged"):
        Checkpoint(path, []).restore(use.load(run))


def rewrite(manifest, folder, change):
    """A manifest beside links to the films, changed by a function."""
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    folder.mkdir(exist_ok=True)
    (folder / "images").mkdir()
    for name in table.image:
        os.link(manifest.parent / name, folder / name)
    change(table).to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"


def moved(table, name):
    """A manifest whose fourth picture is another file."""
    return table.assign(image=table.image.where(table.index != 3, name))


BAD = {
    "row 5: 'flu'": lambda t: t.assign(label=t.label.where(t.index != 3, "flu")),
    "manifest.csv: no column label": lambda t: t.drop(columns="label"),
    "'test'": lambda t: t.assign(split="train"),
    "'train'": lambda t: t.assign(split="test"),
    r"\.\.": lambda t: t.assign(image=t.image.where(t.index != 3, "../film.png")),
    "gone.png": lambda t: t.assign(
        image=t.image.where(t.index != 3, "images/gone.png")
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_data_is_refused_before_anything_is_written(manifest, tmp_path, message):
    bad = rewrite(manifest, tmp_path / "films", BAD[message])
    classes = ("normal", "pneumonia", "covid-19")
    with pytest.raises((ValueError, FileNotFoundError), match=f"(?i){message}"):
        training.train(settings(bad, classes=classes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_unreadable_picture_is_named_before_training(manifest, tmp_path, split):
    bad = rewrite(manifest, tmp_path / "films", lambda table: table)
    table = data.read_manifest(bad)
    row = table[table.split == split].iloc[5]
    whole = Path(row.path).read_bytes()
    Path(row.path).unlink()
    Path(row.path).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=f"{Path(row.path).name} .row {row.row} "):
        training.train(settings(bad), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_class_without_labels_is_named(manifest, tmp_path):
    """2 % of the two COVID-19 films for training are none."""
    with pytest.warns(UserWarning, match="covid-19"):
        training.read(settings(manifest, labeled=0.02))
    with pytest.raises(ValueError, match="None of the 165 images has a label"):
        training.read(settings(manifest, labeled=0.001))


def test_unknown_arguments_name_those_there_are(manifest):
    wanted = settings(manifest, arguments={"lambda": 3})
    with pytest.raises(ValueError, match="no argument lambda.*unsupervised_weight"):
        training.train(wanted, manifest.parent / "never")


def made(wanted):
    _, _, classes, y = training.read(wanted)
    return build.model(wanted, classes, y), y


@pytest.mark.parametrize("method", methods.listed(), ids=lambda m: m.__name__)
def test_what_a_method_needs_follows_from_the_data(manifest, method):
    model, y = made(settings(manifest, method=method.__name__.lower(), ramp_up=2))
    found = {
        "num_images": len(y),
        "labeled_share": np.mean(y >= 0),
        "class_prior": np.bincount(y[y >= 0]) / np.sum(y >= 0),
        "annealing_steps": 9,
    }
    needed = {
        "FlexMatch": ["num_images"],
        "PiModel": ["labeled_share"],
        "SoftMatch": ["class_prior"],
        "TemporalEnsembling": ["num_images", "labeled_share"],
        "UDA": ["annealing_steps"],
    }
    for name in needed.get(method.__name__, []):
        assert getattr(model, name) == pytest.approx(found[name]), name
    if method.ramp_up:
        assert model.unsupervised_weight.peak == method.peak_weight
        assert model.unsupervised_weight.steps == 6


def test_arguments_that_are_set_come_first(manifest):
    own = {"unsupervised_weight": 50, "labeled_share": 1, "momentum": 0.5}
    model, _ = made(settings(manifest, method="temporalensembling", arguments=own))
    assert model.unsupervised_weight.peak == 50
    assert (model.labeled_share, model.momentum) == (1, 0.5)
    few = settings(
        manifest, method="pimodel", labeled_per_batch=16, class_balanced=True
    )
    assert made(few)[0].labeled_share == 16 / few.batch_size
    share = settings(manifest, method="pimodel", class_share={"covid-19": 0.5})
    assert made(share)[0].labeled_share == pytest.approx(0.5 + 0.5 * 81 / 164)


@keras.saving.register_keras_serializable("tests")
class Own(methods.Method):
    """A method from elsewhere, with a λ of its own that does not ramp up."""

    loss_names = ("supervised",)

    def __init__(self, network, unsupervised_weight=0.3, **kwargs):
        super().__init__(network, **kwargs)
        self.unsupervised_weight = unsupervised_weight


def test_the_defaults_of_a_method_from_elsewhere_hold(manifest, monkeypatch):
    monkeypatch.setattr(methods, "find", lambda name: Own)
    assert made(settings(manifest))[0].unsupervised_weight == 0.3


WRONG = {
    "`class_prior` must be": {"method": "softmatch", "arguments": {"class_prior": 0.5}},
    "no argument num_images": {"method": "flexmatch", "arguments": {"num_images": 3}},
    "`class_share`.*Received: {'covid-19': 'abc'}": {
        "class_share": {"covid-19": "abc"}
    },
    "`unsupervised_weight` must be a number": {
        "method": "meanteacher",
        "arguments": {"unsupervised_weight": "abc"},
    },
    "`weights` are for": {"weights": "imagenet"},
    "1 path.*'small_covid_net'": {"method": "fixmatch", "network": "two_path_resnet"},
    "must not be composed": {
        "method": "adamatch",
        "labeled_per_batch": 9,
        "class_balanced": True,
    },
    "Invalid `view`": {"view": "sideways"},
    "takes no view": {"view": "strong"},
    "average of its network": {"method": "meanteacher", "second_judge": True},
}


@pytest.mark.parametrize("message", WRONG)
def test_settings_that_make_no_sense_are_refused(manifest, message):
    with pytest.raises(ValueError, match=message):
        made(settings(manifest, **WRONG[message]))


def test_an_interrupted_run_from_before_a_setting_existed_goes_on(tmp_path, manifest):
    content = settings(manifest).to_json()
    folder = RunFolder(tmp_path / "run")
    with folder.started({n: v for n, v in content.items() if n != "network"}):
        pass
    folder.check(content)
    with pytest.raises(FileExistsError, match="network: '' there, 'resnet' here"):
        folder.check(content | {"network": "resnet"})


def test_networks_are_found_by_name(manifest):
    small = settings(manifest, method="supervised", network="small_covid_net")
    assert made(small)[0].network.name == "small_covid_net"
    mobile = settings(manifest, network="mobilenetv3small")
    assert len(made(mobile)[0].network.outputs) == 2
    with pytest.raises(ValueError, match="DenseNet121"):
        made(settings(manifest, network="densenet112"))


def test_class_shares_are_by_name(manifest):
    wanted = settings(manifest, class_share={"covid-19": 0.25}, batch_size=8)
    _, _, classes, y = training.read(wanted)
    options = build.sampling(wanted, classes, y)
    assert options["class_share"] == {2: 0.25}
    others = np.sum(y != 2)
    assert build.steps_per_epoch(wanted, classes, y) == -(-others // 6)
    with pytest.raises(ValueError, match="classes are.*Received: {'flu': 0.25}"):
        build.sampling(settings(manifest, class_share={"flu": 0.25}), classes, y)
    rarest = settings(manifest, class_share={"rarest": 0.25}, batch_size=8)
    assert build.sampling(rarest, classes, y) == options


@pytest.fixture(scope="module")
def best(manifest, tmp_path_factory):
    """A finished run of the preset."""
    out = tmp_path_factory.mktemp("runs") / "best"
    training.train(settings(manifest, **{**PRESETS["best"], "epochs": 2}), out)
    return out


@pytest.mark.slow
def test_the_preset_has_a_teacher_and_a_second_judge(best, manifest):
    assert RunFolder(best / "teacher").metrics.exists()
    teacher = json.loads((best / "teacher" / "settings.json").read_text())
    assert teacher["method"] == "supervised" and not teacher["class_share"]
    model = use.load(best)
    assert {"patches", "judge"} <= {layer.name for layer in model.network.layers}
    scores = use.evaluate_run(best, manifest)
    found = json.loads((best / "metrics.json").read_text())
    assert scores["confusion_matrix"] == found["confusion_matrix"]


@pytest.mark.slow
def test_it_learns_what_the_teacher_says_but_keeps_every_label(best, manifest):
    wanted = settings(manifest, **{**PRESETS["best"], "epochs": 2})
    rows, _, classes, y = training.read(wanted)
    x = data.open_pictures(rows, 32)
    learned = training.labels(wanted, x, y, RunFolder(best), None)
    np.testing.assert_array_equal(learned[y >= 0], y[y >= 0])
    answers = use.predict(use.load(best / "teacher"), x)[y < 0]
    np.testing.assert_array_equal(learned[y < 0], answers[:, :2].argmax(-1))


@pytest.mark.slow
def test_after_the_teacher_it_goes_on_with_the_student(best, manifest, tmp_path):
    shutil.copytree(best / "teacher", tmp_path / "run" / "teacher")
    shutil.copy(best / "settings.json", tmp_path / "run")
    made_on = (tmp_path / "run" / "teacher" / "metrics.json").stat().st_mtime_ns
    wanted = settings(manifest, **{**PRESETS["best"], "epochs": 2})
    training.train(wanted, tmp_path / "run")
    predictions = [
        (f / "predictions.csv").read_text() for f in (best, tmp_path / "run")
    ]
    assert predictions[0] == predictions[1]
    again = (tmp_path / "run" / "teacher" / "metrics.json").stat().st_mtime_ns
    assert again == made_on


def test_a_method_with_a_memory_trains_from_the_settings(manifest, tmp_path):
    wanted = settings(manifest, method="flexmatch", epochs=1)
    training.train(wanted, tmp_path / "run")
    model = use.load(tmp_path / "run")
    assert model.num_images == model.winner.shape[0] == 165


def test_precision_does_not_outlive_the_building(manifest):
    mixed = settings(manifest, precision="mixed_bfloat16")
    _, _, classes, y = training.read(mixed)
    with training.precision(mixed.precision):
        model = build.model(mixed, classes, y)
    assert model.network.get_layer("shared_conv").compute_dtype == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"


def test_the_cxr_protocol(shared):
    wanted = Settings(str(shared / "cxr" / "manifest.csv"), labeled=0.05)
    rows, test_rows, classes, y = training.read(wanted)
    assert classes == ("normal", "pneumonia", "covid-19")
    assert [*np.bincount(y + 1)] == [len(rows) - 440, 309, 128, 3]
    covid = test_rows[test_rows.label == "covid-19"]
    assert covid.weight.sum() == pytest.approx(33, abs=1e-3)
    other = training.read(dataclasses.replace(wanted, seed=1))[3]
    assert np.sum(other >= 0) == 440 and np.any(other != y)
