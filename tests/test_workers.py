"""`sskeras train --workers 2`: two processes of one training, also if one is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_tools import phantom
from sskeras.experiments import workers

COMMAND = [sys.executable, "-m", "sskeras.cli", "train"]
OPTIONS = (
    "--method ssresnet --labeled 0.2 --image-size 32 --filters 4 8 --batch-size 48 "
    "--precision float32 --dropout 0"
).split()


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    return phantom.write(folder, count=240, seed=0, size=32)


def command(films, out, epochs, *more):
    options = ["--data", str(films), "--out", str(out), "--epochs", str(epochs)]
    return [*COMMAND, *OPTIONS, *options, *more]


def run(line):
    return subprocess.run(line, capture_output=True, text=True, timeout=600)


def predictions(out):
    return pd.read_csv(Path(out, "predictions.csv")).iloc[:, 3:].to_numpy()


def test_two_workers_equal_one_and_go_on_after_a_loss(films, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    done = run(command(films, one, 3))
    assert not done.returncode, done.stderr
    line = command(films, two, 3, "--workers", "2")
    lost = lose_a_worker(line, two)
    assert "Worker 1 of 2 was ended by SIGKILL" in lost
    assert "Repeat the command to go on after the last whole epoch" in lost
    assert (two / "checkpoint.npz").exists() and not (two / "metrics.json").exists()
    done = run(line)
    assert not done.returncode, done.stderr
    assert "Taking up the run after epoch" in done.stdout
    np.testing.assert_allclose(predictions(two), predictions(one), atol=0.01)
    histories = [pd.read_csv(out / "history.csv") for out in (one, two)]
    np.testing.assert_allclose(*histories, rtol=1e-3)
    replicas = [
        json.loads((out / "metrics.json").read_text("utf-8"))["provenance"]["replicas"]
        for out in (one, two)
    ]
    assert replicas == [1, 2]
    assert (two / "saved_model").exists()


def lose_a_worker(line, out):
    """Kills worker 1 once an epoch is done; returns what the command said then."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(line, **pipes)
    end = time.monotonic() + 300
    while not (out / "checkpoint.npz").exists():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    os.kill(int(children.split()[1]), signal.SIGKILL)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 1
    return printed


@pytest.mark.parametrize(
    "text", ["no json", '{"cluster": {}}', '{"task": {"index": 0}}']
)
def test_a_wrong_tf_config_is_said(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG must look like"):
        workers.cluster()


def test_who_writes_the_results(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert workers.is_chief()
    for index in range(2):
        cluster = {"worker": ["a:1", "b:1"]}
        task = {"type": "worker", "index": index}
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
        assert workers.is_chief() == (index == 0)
