"""The commands as a user types them, in processes of their own."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from PIL import Image

from data_tools import phantom
from sskeras import cli
from sskeras.experiments import run_report, use
from sskeras.experiments.folder import write_json
from sskeras.experiments.settings import PRESETS

ROOT = Path(__file__).parents[1]
TRAIN = "--image-size 32 --filters 4 8 --epochs 2 --batch-size 64 --labeled 0.5".split()


def sskeras(*arguments, cwd=ROOT):
    """Runs one command and returns the finished process."""
    command = [sys.executable, "-m", "sskeras.cli", *map(str, arguments)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env=environment
    )


def one_line(printed):
    """What a command has said: one line, which is an error."""
    [line] = printed.splitlines()
    assert line.startswith("sskeras: error: "), line
    return line


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return phantom.write(tmp_path_factory.mktemp("films"), count=240, seed=1, size=32)


@pytest.fixture(scope="module")
def trained(films, tmp_path_factory):
    """A finished run and what its command printed."""
    out = tmp_path_factory.mktemp("runs") / "x"
    arguments = ["--class-weight", "1", "1", "2", "--set", "stop_gradient=supervised"]
    done = sskeras("train", "--data", films, "--out", out, *TRAIN, *arguments)
    assert not done.returncode, done.stderr
    return out, done


def test_help_names_every_command():
    done = sskeras("--help")
    assert "not a medical device" in done.stdout
    for command in ("train", "compare", "evaluate", "predict", "explain", "export"):
        assert command in done.stdout
        assert sskeras(command, "--help").returncode == 0


def test_train_tells_what_it_does_and_ends_with_a_table(trained):
    out, done = trained
    assert "covid-19 1 (weight 2)" in done.stdout
    assert "Epoch 2/2" in done.stdout
    for column in ("Accuracy", "MacroP", "MacroR", "MacroF", "Recall", "pneumonia"):
        assert column in done.stdout
    assert f"Results are in '{out}'" in done.stdout
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr
    settings = json.loads((out / "settings.json").read_text())
    assert settings["arguments"] == {"stop_gradient": "supervised"}
    assert settings["class_weight"] == [1, 1, 2]


def test_the_same_command_again_is_refused(trained, films):
    out, _ = trained
    done = sskeras("train", "--data", films, "--out", out, *TRAIN)
    assert done.returncode == 1
    assert "holds a finished run" in one_line(done.stderr)


def test_evaluate_repeats_the_scores(trained, films, tmp_path):
    out, _ = trained
    done = sskeras("evaluate", out, "--data", films, "--out", tmp_path / "scores.json")
    assert not done.returncode, done.stderr
    scores = json.loads((tmp_path / "scores.json").read_text())
    metrics = json.loads((out / "metrics.json").read_text())
    assert scores == {key: metrics[key] for key in scores}
    done = sskeras("evaluate", out, "--data", films, "--split", "val")
    assert done.returncode == 1 and "val" in one_line(done.stderr)


def test_a_model_loads_in_a_fresh_process(trained):
    out, _ = trained
    code = "import sys, sskeras; print(sskeras.load_model(sys.argv[1]).class_names)"
    command = [sys.executable, "-c", code, str(out / "model.keras")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "('normal', 'pneumonia', 'covid-19')" in done.stdout, done.stderr


def test_a_terminal_may_know_few_letters(trained):
    line = [sys.executable, "-m", "sskeras.cli", "compare", trained[0]]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(line, capture_output=True, text=True, env=environment)
    assert "Accuracy" in done.stdout and not done.returncode, done.stderr


def test_compare_shows_runs_side_by_side(trained):
    out, _ = trained
    done = sskeras("compare", out, out)
    assert not done.returncode, done.stderr
    assert str(out) in done.stdout


def test_evaluate_in_full_writes_a_page(trained, films, tmp_path):
    out, _ = trained
    words = ["--data", films, "--full", "--films", "--out", tmp_path / "report"]
    done = sskeras("evaluate", out, *words)
    assert not done.returncode, done.stderr
    scores = json.loads((tmp_path / "report" / "scores.json").read_text("utf-8"))
    stored = json.loads((out / "metrics.json").read_text("utf-8"))
    assert scores["macro_f"] == stored["macro_f"]
    assert scores["control"]["rows"] == scores["rows"]
    assert set(scores["trust"]["auc"]) == {"normal", "pneumonia", "covid-19"}
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    for heading in (
        "Calibration",
        "Operating points",
        "borders and markers",
        "hardest",
    ):
        assert heading in page
    assert page.count("data:image/png;base64,") == 4 and "://" not in page
    assert "Not a medical device" in page and "--set stop_gradient=supervised" in page
    elsewhere = films.with_name("elsewhere.csv")  # Another hospital: nothing to train.
    rows = pd.read_csv(films, dtype=str, keep_default_na=False)
    rows[rows.split == "test"].to_csv(elsewhere, index=False)
    path, scores = run_report.write(out, elsewhere, out=tmp_path / "again")
    assert scores["control"] is None
    page = path.read_text("utf-8")
    assert "hardest" not in page and "borders and markers" not in page


def test_predict_files_and_folders(trained, films, tmp_path):
    out, _ = trained
    rows = pd.read_csv(out / "predictions.csv")
    (tmp_path / "folder").mkdir()
    for name in rows.image[:5]:
        target = tmp_path / "folder" / Path(name).name
        target.write_bytes((films.parent / name).read_bytes())
    (tmp_path / "folder" / "notes.txt").write_text("not a film")
    single = films.parent / rows.image[7]
    csv = tmp_path / "predictions.csv"
    done = sskeras("predict", out, single, tmp_path / "folder", "--out", csv)
    assert not done.returncode, done.stderr
    assert "6 predictions" in done.stdout and "passed over 1 other" in done.stdout
    found = pd.read_csv(csv)
    assert [*found.columns] == [
        "image",
        "prediction",
        "normal",
        "pneumonia",
        "covid-19",
    ]
    classes = ["normal", "pneumonia", "covid-19"]
    first = found[classes].to_numpy()[0]
    assert first == pytest.approx(rows[classes].to_numpy()[7], abs=1e-5)
    assert found.prediction[0] == classes[first.argmax()]


def test_explain_draws_where_a_run_looks(trained, films, tmp_path):
    out, _ = trained
    film, figure = films.parent / "images", tmp_path / "figure.png"
    first, second = sorted(film.iterdir())[:2]
    words = ["--map", "occlusion", "--path", "1", "--out", figure]
    done = sskeras("explain", out, first, second, *words)
    assert not done.returncode, done.stderr
    assert "The figure is" in done.stdout
    height, width, _ = np.asarray(Image.open(figure)).shape
    assert height > 600 and width > 900  # Two films of three panels.
    for name in cli.MAPS:
        axes = use.explain_files(out, [first], name)
        assert axes[0].get_title() == first.name
    with pytest.raises(ValueError, match="240 pictures do not fit into one figure"):
        use.explain_files(out, [film])


def test_predict_names_what_it_cannot_read(trained, tmp_path):
    out, _ = trained
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    csv = tmp_path / "predictions.csv"
    done = sskeras("predict", out, tmp_path / "broken.png", "--out", csv)
    assert done.returncode == 1 and "broken.png" in one_line(done.stderr)
    done = sskeras("predict", out, tmp_path / "none.png", "--out", csv)
    assert done.returncode == 1
    assert "none.png' does not exist" in one_line(done.stderr)
    assert not csv.exists()


@pytest.mark.slow
def test_export(trained, tmp_path):
    out, _ = trained
    done = sskeras("export", out, "--out", tmp_path / "saved_model")
    assert not done.returncode, done.stderr
    assert (tmp_path / "saved_model" / "saved_model.pb").exists()
    done = sskeras("export", out, "--out", tmp_path / "saved_model")
    assert done.returncode == 1 and "exists" in one_line(done.stderr)
    file = tmp_path / "model.onnx"
    done = sskeras("export", out, "--format", "onnx", "--out", file)
    assert not done.returncode, done.stderr
    assert "written, reloaded and compared" in done.stdout
    [found] = onnx.load(file).metadata_props
    assert json.loads(found.value)["training"]["method"] == "ssresnet"
    done = sskeras("export", out, "--format", "card", "--out", tmp_path / "card.md")
    assert not done.returncode, done.stderr
    card = (tmp_path / "card.md").read_text("utf-8")
    for words in (
        "# Model card",
        "Not a medical device",
        "50 % of the labels",
        "MacroF",
    ):
        assert words in card


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere.csv"], "nowhere.csv"),
        (["--labeled", "0"], "share"),
        (["--method", "magic"], "Unknown method"),
        (["--method", "nowhere:Mine"], "nowhere"),
        (["--method", "collections:Counter"], "not a subclass"),
        (["--set", "magic=1"], "no argument magic"),
        (["--set", "network=1"], "no argument network"),
        (
            ["--set", "unsupervised_weight=much"],
            "`unsupervised_weight` must be a number",
        ),
        (["--labeled", "1", "--labeled-per-batch", "8"], "labeled_per_batch"),
        (["--class-weight", "1", "2"], "each of the 3 classes"),
        (["--batch-size", "0"], "batch_size"),
        (["--epochs", "0"], "epochs"),
        (["--ramp-up", "inf"], "`ramp_up` must be finite"),
        (["--seed", str(2**32)], "`seed` from 0 to 4,294,967,295"),
        (["--seed", "-1"], "`seed` from 0"),
        (["--method", ".x:y"], "Cannot load the method '.x:y'"),
        (["--image-size", "1000000"], "allocate"),
        (["--filters", "1000000000", "8"], "OOM"),
    ],
)
def test_wrong_options_have_one_clear_line(films, tmp_path, arguments, message, capsys):
    out = tmp_path / "run"
    command = ["train", "--data", str(films), "--out", str(out), *TRAIN, *arguments]
    assert cli.main(command) == 1
    assert message in one_line(capsys.readouterr().err)
    assert not out.exists()


@pytest.mark.parametrize(
    "words, message",
    [
        ("train --set unsupervised_weight=1j", "expected a number"),
        ("train --set unsupervised_weight={1,2}", "expected a number"),
        ("train --set unsupervised_weight=1e999", "expected a number"),
        ("train --workers 0", "a number from 1"),
        ("reproduce table3 --jobs -1", "a number from 1"),
        ("reproduce table3 --seeds 5-3", "seeds such as"),
        ("reproduce table3 --seeds 0-300000000000", "seeds such as"),
        ("reproduce table3 --seeds 0-3000", "seeds such as"),
        ("reproduce table3 --seeds 1-2-3", "seeds such as"),
    ],
)
def test_options_that_cannot_be_read_are_said(words, message, capsys):
    """In the last line: argparse shows the usage first."""
    with pytest.raises(SystemExit):
        cli.parse(words.split())
    usage, *_, last = capsys.readouterr().err.splitlines()
    command = f"sskeras {words.split()[0]}"
    assert usage.startswith(f"usage: {command} ")
    assert last.startswith(f"{command}: error: ") and message in last


def test_a_deep_argument_stays_text():
    deep = "-" * 20_000 + "1"
    line = ["train", "--data", "x", "--out", "y", "--set", f"alpha={deep}"]
    assert cli.parse(line).set == [("alpha", deep)]


def test_no_class_takes_the_name_of_a_column(films, tmp_path, capsys):
    text = films.read_text("utf-8").replace("pneumonia", "image")
    (films.parent / "odd.csv").write_text(text, "utf-8")
    line = ["train", "--data", str(films.parent / "odd.csv"), *TRAIN]
    assert cli.main([*line, "--out", str(tmp_path / "run")]) == 1
    assert "No class may be called image" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize("name", ["device", "pipe"])
def test_only_files_are_replaced(trained, films, tmp_path, capsys, name):
    kind = {"device": stat.S_IFCHR, "pipe": stat.S_IFIFO}[name]
    try:
        os.mknod(tmp_path / "out", kind | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("needs a user who may make devices")
    line = ["evaluate", str(trained[0]), "--data", str(films)]
    assert cli.main([*line, "--out", str(tmp_path / "out")]) == 1
    assert "is a device or pipe: name a file" in one_line(capsys.readouterr().err)
    assert stat.S_IFMT((tmp_path / "out").stat().st_mode) == kind


def test_nothing_is_written_through_a_link(tmp_path):
    (tmp_path / "victim").write_text("whole")
    (tmp_path / ".partial.x.json").symlink_to("victim")
    write_json(tmp_path / "x.json", {})
    assert (tmp_path / "victim").read_text() == "whole"
    assert (tmp_path / "x.json").read_text() == "{}\n"


@pytest.mark.parametrize("name", ["settings.json", "metrics.json"])
def test_a_pipe_in_a_run_is_said(trained, tmp_path, capsys, name):
    run = shutil.copytree(trained[0], tmp_path / "run")
    (run / name).unlink()
    os.mkfifo(run / name)
    assert cli.main(["compare", str(run)]) == 1
    assert f"{name}' is no file" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize("content", [{}, {"settings": 5}, {"settings": {}}])
def test_damaged_scores_make_no_card(trained, tmp_path, capsys, content):
    run = shutil.copytree(trained[0], tmp_path / "run")
    write_json(run / "metrics.json", content)
    out = tmp_path / "card.md"
    line = ["export", str(run), "--format", "card", "--out", str(out)]
    assert cli.main(line) == 1 and not out.exists()
    assert "metrics.json' is damaged" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize("method", [5, None, [], {}, True])
def test_a_damaged_method_is_said(trained, tmp_path, capsys, method):
    run = shutil.copytree(trained[0], tmp_path / "run")
    write_json(run / "settings.json", {"method": method})
    line = ["explain", str(run), str(run / "confusion_matrix.png")]
    assert cli.main([*line, "--out", str(tmp_path / "x.png")]) == 1
    assert "Unknown method" in one_line(capsys.readouterr().err)


def test_options_change_a_preset_wherever_they_stand():
    line = ["train", "--data", "x", "--out", "y"]
    given = vars(cli.parse([*line, "--preset", "best"]))
    for name, value in PRESETS["best"].items():
        found = dict(given[name]) if isinstance(value, dict) else given[name]
        assert found == value, name
    changed = ["--view", "weak", "--preset", "best", "--no-second-judge"]
    changed = vars(cli.parse([*line, *changed, "--class-share", "covid-19=0.1"]))
    assert changed["view"] == "weak" and not changed["second_judge"]
    assert dict(changed["class_share"]) == {"covid-19": 0.1}
    assert changed["teacher"] == given["teacher"] and changed["decay"] == "cosine"
    assert vars(cli.parse(line))["teacher"] == ""


def test_fast_has_settings_of_its_own(tmp_path, capsys):
    line = ["reproduce", "table3", "--fast", "--epochs", "3", "--out", str(tmp_path)]
    assert cli.main(line) == 1
    assert "--fast has its own --epochs" in one_line(capsys.readouterr().err)
    assert not [*tmp_path.iterdir()]


def test_commands_on_no_run(tmp_path):
    done = sskeras("export", tmp_path, "--out", tmp_path / "x")
    assert done.returncode == 1 and "holds no run" in one_line(done.stderr)


@pytest.mark.slow
def test_a_method_of_your_own(films, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import keras\n"
        "from sskeras import losses, methods\n"
        "@keras.saving.register_keras_serializable('mine')\n"
        "class Mine(methods.Method):\n"
        "    def objective(self, x, y, training):\n"
        "        logits = self.network(x, training=training)\n"
        "        loss = losses.weighted_cross_entropy(y, logits, self.class_weight)\n"
        "        return logits, {'supervised': loss}\n"
    )
    arguments = ["--method", "mine:Mine", "--out", tmp_path / "run"]
    done = sskeras("train", "--data", films, *TRAIN, *arguments, cwd=tmp_path)
    assert not done.returncode, done.stderr
    script = "from sskeras.cli import main; import sys; sys.exit(main())"
    command = [sys.executable, "-P", "-c", script, "evaluate", "run", "--data", films]
    command += ["--method", "mine:Mine"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env=environment
    )
    assert not done.returncode and "Accuracy" in done.stdout, done.stderr
    (tmp_path / "mine.py").write_text("open('pwned', 'w')")
    done = sskeras("evaluate", "run", "--data", films, cwd=tmp_path)
    assert "import it first: `--method mine:Mine` does so" in done.stderr
    assert done.returncode == 1 and not (tmp_path / "pwned").exists()
