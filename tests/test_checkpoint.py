"""Checkpoints that are damaged, cut, or do not fit on the disk."""

import os
import signal
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from small_methods import new

from data_tools import phantom
from sskeras.experiments import use
from sskeras.experiments.checkpoint import Checkpoint, state
from sskeras.experiments.folder import room_in

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    made = new("MeanTeacher")
    made.compile("adam")
    return made


@pytest.fixture
def checkpoints(model, tmp_path):
    """Two checkpoints of a model, and the states that they hold."""
    checkpoint = Checkpoint(tmp_path / "checkpoint.npz", [])
    checkpoint.set_model(model)
    states = []
    for epoch in range(2):
        for number, variable in enumerate(state(model)):
            variable.assign(variable * 0 + epoch + number % 7)
        checkpoint.on_epoch_end(epoch, {"loss": epoch})
        states.append([v.numpy() for v in state(model)])
    return checkpoint, states


def restored(model, checkpoint):
    """The epoch and the state of a model after restoring."""
    for variable in state(model):
        variable.assign(variable * 0 + 9)
    epoch = Checkpoint(checkpoint.path, []).restore(model)
    return epoch, [v.numpy() for v in state(model)]


def same(found, expected):
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def damages(content, rng):
    """A file cut at some places, and with bytes changed at others."""
    for length in rng.integers(0, len(content), 20):
        yield content[:length]
    for count in (1, 2, 5, 50):
        for _ in range(10):
            changed = np.frombuffer(content, "uint8").copy()
            changed[rng.integers(0, len(content), count)] ^= 255
            yield changed.tobytes()


def test_of_a_damaged_checkpoint_the_one_before_is_used(model, checkpoints):
    """A changed byte that no array contains, such as a date, does no harm."""
    checkpoint, states = checkpoints
    content = checkpoint.path.read_bytes()
    used_before = 0
    for damaged in damages(content, np.random.default_rng(0)):
        checkpoint.path.write_bytes(damaged)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            epoch, found = restored(model, checkpoint)
        assert same(found, states[epoch - 1])
        assert (epoch == 1) == any("The one before it is used" in str(w) for w in said)
        used_before += epoch == 1
    assert used_before >= 50


KILL = """
import os, signal, sys
from pathlib import Path
from small_methods import new
from sskeras.experiments.checkpoint import Checkpoint, state
model = new("MeanTeacher")
model.compile("adam")
checkpoint = Checkpoint(Path(sys.argv[1]), [])
checkpoint.set_model(model)
epoch = checkpoint.restore(model)
for variable in state(model):
    variable.assign(variable * 0 + 8)
replace = os.replace
def move(path, new):
    if Path(new).name == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(path, new)
os.replace = move
checkpoint.on_epoch_end(epoch, {"loss": epoch})
"""


def kill(checkpoint, name):
    """Goes on in a process that is killed when a file is about to get a name."""
    line = [sys.executable, "-c", KILL, str(checkpoint.path), name]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, cwd=HERE)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert checkpoint.path.with_name(".partial.checkpoint.npz").exists()


@pytest.mark.skipif(os.name != "posix", reason="kills a process the POSIX way")
@pytest.mark.parametrize("name", ["checkpoint_before.npz", "checkpoint.npz"])
def test_killed_before_a_file_gets_its_name_the_last_whole_one_is_used(
    model, checkpoints, name
):
    checkpoint, states = checkpoints
    kill(checkpoint, name)
    assert checkpoint.path.exists() == (name != checkpoint.path.name)
    epoch, found = restored(model, checkpoint)
    assert epoch == 2 and same(found, states[1])


@pytest.mark.skipif(os.name != "posix", reason="kills a process the POSIX way")
def test_a_damaged_checkpoint_does_not_take_the_place_of_the_one_before(
    model, checkpoints
):
    checkpoint, states = checkpoints
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-30])
    kill(checkpoint, checkpoint.path.name)
    with pytest.warns(UserWarning, match="The one before it is used"):
        epoch, found = restored(model, checkpoint)
    assert epoch == 1 and same(found, states[0])


def test_where_both_are_damaged_both_are_named(model, checkpoints):
    checkpoint, _ = checkpoints
    for path in (checkpoint.path, checkpoint.before):
        path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"checkpoint.npz' is damaged.*before.npz' is"):
        restored(model, checkpoint)


def test_a_checkpoint_of_another_network_is_refused(checkpoints):
    checkpoint, _ = checkpoints
    other = new("Supervised")
    other.compile("adam")
    with pytest.raises(ValueError, match="another network or method"):
        Checkpoint(checkpoint.path, []).restore(other)


FULL = """
import resource, sys
from pathlib import Path
import keras
import numpy
from small_methods import new
from sskeras.experiments.checkpoint import Checkpoint, state
keras.utils.set_random_seed(0)
model = new("MeanTeacher")
model.compile("adam")
checkpoint = Checkpoint(Path(sys.argv[1]), [])
checkpoint.set_model(model)
for epoch in range(2):
    for number, variable in enumerate(state(model)):
        variable.assign(variable * 0 + epoch + number % 7)
    checkpoint.on_epoch_end(epoch, {"loss": epoch})
numpy.savez(sys.argv[2], *[v.numpy() for v in state(model)])
for variable in state(model):
    variable.assign(variable * 0 + 8)
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
try:
    checkpoint.on_epoch_end(2, {"loss": 2})
except OSError as error:
    sys.exit(str(error))
"""


def test_a_full_disk_leaves_the_last_good_checkpoint(model, tmp_path):
    """Files may not grow beyond a limit: writing fails as on a full disk."""
    run, good = tmp_path / "run", tmp_path / "good.npz"
    run.mkdir()
    checkpoint = Checkpoint(run / "checkpoint.npz", [])
    line = [sys.executable, "-c", FULL, str(checkpoint.path), str(good)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, cwd=HERE)
    assert done.returncode == 1
    assert "after epoch 3 cannot be written" in done.stderr, done.stderr
    assert {*run.iterdir()} == {checkpoint.path, checkpoint.before}
    epoch, found = restored(model, checkpoint)
    with np.load(good) as stored:
        assert epoch == 2 and same(found, [stored[name] for name in stored.files])


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """The manifest of 240 phantom films."""
    return phantom.write(tmp_path_factory.mktemp("films"), count=240, seed=0, size=32)


def train(films, out, options, before=(), program=("-m", "sskeras.cli")):
    """`sskeras train` in a process of its own."""
    line = [*before, sys.executable, *program, "train", "--data", str(films)]
    line += f"--image-size 32 --filters 4 8 --batch-size 64 {options}".split()
    line += ["--out", str(out)]
    return subprocess.run(line, capture_output=True, text=True, timeout=600)


def at_most(size):
    """What comes before a command to limit its files, in KiB."""
    return ["bash", "-c", f'ulimit -f {size}; exec "$@"', "bash"]


@pytest.mark.slow
def test_a_run_goes_on_after_the_disk_was_full(films, tmp_path):
    out, whole = tmp_path / "full", tmp_path / "whole"
    done = train(films, out, "--epochs 4", at_most(20))
    assert done.returncode == 1
    assert "checkpoint after epoch 1 cannot be written" in done.stderr
    assert "Make room and repeat the command" in done.stderr
    assert {path.name for path in out.iterdir()} == {"settings.json"}
    for folder in (out, whole):
        done = train(films, folder, "--epochs 4")
        assert not done.returncode, done.stderr
    for name in ("history.csv", "predictions.csv"):
        one, other = (pd.read_csv(folder / name) for folder in (whole, out))
        pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_no_room_for_results_is_said(tmp_path):
    with pytest.raises(OSError, match="no room for the results .*The training is kept"):
        with room_in(tmp_path), open("/dev/full", "w") as file:
            file.write("x" * 100_000)
    with pytest.raises(FileNotFoundError):
        with room_in(tmp_path):
            open(tmp_path / "nothing")


FULL_AT_EXPORT = """
import resource, sys
from sskeras import cli, export
whole = export.saved_model
def saved_model(*arguments):
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    whole(*arguments)
export.saved_model = saved_model
sys.exit(cli.main())
"""


def contents(folder):
    return {p.name: p.read_bytes() if p.is_file() else None for p in folder.iterdir()}


def assert_no_room(done, out):
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    *_, said = done.stderr.splitlines()
    assert said.startswith(
        f"sskeras: error: There is no room for the results in '{out}"
    )
    assert said.endswith("The training is kept: make room and repeat the command.")


@pytest.mark.slow
def test_what_found_no_room_is_written_when_there_is(films, tmp_path):
    """At first there is room for the checkpoint, then for the Keras model too."""
    out, options = tmp_path / "run", "--method supervised --epochs 1"
    options += " --precision float32"
    pictures = {"learning_curves.png", "confusion_matrix.png"}
    tables = {"settings.json", "checkpoint.npz", "history.csv", "predictions.csv"}
    assert_no_room(train(films, out, options, at_most(150)), out)
    kept = contents(out)
    assert {*kept} == pictures | tables
    assert_no_room(train(films, out, options, program=("-c", FULL_AT_EXPORT)), out)
    assert zipfile.ZipFile(out / "model.keras").testzip() is None
    assert contents(out) == {**kept, "model.keras": contents(out)["model.keras"]}
    done = train(films, out, options)
    assert not done.returncode, done.stderr
    assert "Taking up the run after epoch 1 of 1" in done.stdout
    del kept["checkpoint.npz"]
    end = contents(out)
    assert {*end} == {*kept, "model.keras", "saved_model", "metrics.json"}
    assert end.items() >= kept.items()
    assert use.load(out).class_names == ("normal", "pneumonia", "covid-19")
