"""`sskeras train --workers 2`: two processes of one training, also if one is lost."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_tools import phantom, shards
from sskeras.experiments import runner, workers

pytestmark = pytest.mark.slow


def tf_config(addresses, index, kind="worker"):
    task = {"type": kind, "index": index}
    return json.dumps({"cluster": {kind: addresses}, "task": task})


def with_a_chief(addresses, index):
    """TF_CONFIG as Vertex AI and Kubeflow set it."""
    cluster = {"chief": addresses[:1], "worker": addresses[1:]}
    task = {"type": "worker" if index else "chief", "index": 0}
    return json.dumps({"cluster": cluster, "task": task})


def in_cluster(addresses, index, config=tf_config):
    """An environment with TF_CONFIG."""
    return os.environ | {"TF_CONFIG": config(addresses, index)}


PAGE = Path(workers.__file__).parents[1].joinpath("distributed.md").read_text("utf-8")
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
    """Runs a command; if it hangs, all its processes are ended."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(line, start_new_session=True, **pipes)
    try:
        printed = process.communicate(timeout=500)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(line, process.returncode, *printed)


def predictions(out):
    return pd.read_csv(Path(out, "predictions.csv")).iloc[:, 3:].to_numpy()


def test_two_workers_equal_one_and_go_on_after_a_loss(films, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    done = run(command(films, one, 3))
    assert not done.returncode, done.stderr
    line = command(films, two, 3, "--workers", "2")
    for index in (0, 1):
        lost = lose_a_worker(line, two, index)
        assert f"Worker {index} of 2 was ended by SIGKILL" in lost
        assert "repeat the command to go on after the last whole epoch" in lost
        assert not (two / "metrics.json").exists()
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
    written = (two / "metrics.json").stat()
    done = run(line)  # As a scheduler does that restarts whatever ends.
    assert not done.returncode and "Accuracy" in done.stdout, done.stderr
    assert (two / "metrics.json").stat() == written


def test_two_workers_read_shards_and_have_a_teacher(films, tmp_path):
    shards.write(films, tmp_path / "shards")
    one, two = tmp_path / "one", tmp_path / "two"
    for out, more in ((one, []), (two, ["--workers", "2"])):
        line = command(tmp_path / "shards", out, 2, *more)
        done = run([*line, "--method", "supervised", "--teacher", "supervised"])
        assert not done.returncode, done.stderr
        assert (out / "teacher" / "metrics.json").exists()
    np.testing.assert_allclose(predictions(two), predictions(one), atol=0.01)


def test_a_worker_that_is_halted_ends_all(films, tmp_path):
    """It hears no signal but SIGKILL."""
    line = command(films, tmp_path / "out", 1000, "--workers", "2")
    for index in (0, 1):
        printed = lose_a_worker(line, tmp_path / "out", index, signal.SIGSTOP)
        assert workers.LOST in printed
    assert "Taking up the run after epoch" in printed


def test_the_error_of_a_worker_is_found_in_what_it_printed(tmp_path):
    (tmp_path / "log").write_text("1\nsskeras: error: lost\n" + "more\n" * 9)
    assert runner.end_of(tmp_path / "log").startswith("sskeras: error: lost\nmore")
    (tmp_path / "log").write_text("1\n2\n3\n")
    assert runner.end_of(tmp_path / "log", lines=2) == "2\n3"


def lose_a_worker(line, out, index, number=signal.SIGKILL):
    """Signals to one once an epoch is done; returns all that the command printed."""
    before = checkpoint(out)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(line, **pipes)
    eventually(lambda: checkpoint(out) != before or process.poll() is not None, 300)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    os.kill(int(children.split()[index]), number)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    return printed


def checkpoint(out):
    path = out / "checkpoint.npz"
    return path.exists() and path.read_bytes()


def test_of_two_machines_one_is_lost_and_both_begin_again(films, tmp_path):
    """Each was started by itself, as on machines that share a folder."""
    out = tmp_path / "out"
    for index in (1, 0):
        before = checkpoint(out)
        machines = start_two(films, out, 1000)
        eventually(lambda before=before: checkpoint(out) != before, 300)
        machines[index].kill()
        _, said = machines[1 - index].communicate(timeout=60)
        assert machines[1 - index].returncode == 1 and workers.LOST in said, said
    printed, _ = machines[0].communicate()
    assert "Taking up the run after epoch" in printed


def test_the_chief_is_lost_while_it_scores_and_both_begin_again(films, tmp_path):
    """The other one waits for the scores, however long they take."""
    out = tmp_path / "out"
    first, second = start_two(films, out, 1, config=with_a_chief)
    eventually((out / "history.csv").exists, 300)
    first.kill()
    _, said = second.communicate(timeout=60)
    assert second.returncode == 1 and workers.LOST in said, said
    assert not (out / "metrics.json").exists()
    for process in start_two(films, out, 1, config=with_a_chief, second=HASTY):
        _, said = process.communicate(timeout=300)
        assert not process.returncode, said
    assert (out / "metrics.json").exists()


HASTY = [
    sys.executable,
    "-c",
    "import sys; from sskeras import cli; from sskeras.experiments import train; "
    "train.appears.__defaults__ = (0,); sys.exit(cli.main())",
    "train",
]


def test_a_worker_ends_when_it_is_asked_to(films, tmp_path):
    """TensorFlow would take the signal for a warning."""
    out = tmp_path / "out"
    machines = start_two(films, out, 1000)
    eventually(lambda: checkpoint(out), 300)
    for process in machines:
        process.terminate()
    for process in machines:
        process.communicate(timeout=20)
        assert process.returncode == -signal.SIGTERM


def start_two(films, out, epochs, more=(), config=tf_config, second=COMMAND):
    """Two machines; the second one has more options, or a command of its own."""
    addresses = [f"localhost:{port}" for port in workers.free_ports(2)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    line = command(films, out, epochs)
    lines = [line, [*second, *line[len(COMMAND) :], *more]]
    return [
        subprocess.Popen(words, env=in_cluster(addresses, index, config), **pipes)
        for index, words in enumerate(lines)
    ]


@pytest.mark.parametrize("more", ["--seed 7", "--filters 8 16"])
def test_two_machines_with_other_options_do_not_begin(films, tmp_path, more):
    for process in start_two(films, tmp_path / "out", 3, more.split()):
        _, said = process.communicate(timeout=300)
        assert process.returncode == 1, said
        assert "The workers do not have the same settings" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words", ["train --method ssresnet --workers 2", "reproduce table3 --jobs 2"]
)
def test_what_a_command_started_ends_with_it(films, tmp_path, words):
    """Even if it is killed: repeated, it would find them at work in its folder."""
    line = [*COMMAND[:-1], *words.split(), "--data", str(films), "--epochs", "1000"]
    with open(tmp_path / "log", "w") as log:
        line += ["--out", str(tmp_path / "out")]
        process = subprocess.Popen(line, stdout=log, stderr=log)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    pids = eventually(lambda: (found := children.read_text().split())[1:] and found)
    process.kill()
    process.wait()
    eventually(lambda: not any(map(is_alive, pids)))


def is_alive(pid):
    try:
        return "(zombie)" not in Path("/proc", pid, "status").read_text()
    except FileNotFoundError:
        return False


def eventually(condition, seconds=60):
    """Waits for a condition to be true, and returns it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def one_of_two(monkeypatch):
    """Sets TF_CONFIG; returns the ports of this worker and of the other."""
    ports = workers.free_ports(2)
    addresses = [f"localhost:{port}" for port in ports]
    monkeypatch.setenv("TF_CONFIG", tf_config(addresses, 0))
    return ports


def test_a_worker_that_is_not_started_is_named(monkeypatch, capsys):
    _, other = one_of_two(monkeypatch)
    with pytest.raises(RuntimeError, match=f"localhost:{other} did not answer within"):
        workers.meet(patience=0.5)
    assert f"Waiting for localhost:{other}" in capsys.readouterr().out


def test_a_port_that_is_taken_is_named(monkeypatch):
    port, _ = one_of_two(monkeypatch)
    with socket.create_server(("", port)):
        with pytest.raises(OSError, match=f"Cannot listen to port {port}"):
            workers.meet()


def test_workers_are_named_once(monkeypatch):
    one_of_two(monkeypatch)
    with pytest.raises(ValueError, match="leave --workers out"):
        workers.launch(2)


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "null",
        "[]",
        "0",
        '{"cluster": {}}',
        '{"task": {"index": 0}}',
        tf_config(["a:1", "b:1"], 2),
        tf_config(["a:1", "b:1"], -1),
        tf_config(["a:1", "b:1"], 0.7),
        tf_config(["a:1", "a:1"], 0),
        tf_config(["a", "b"], 0),
        tf_config("a:1,b:1", 0),
        tf_config(["a:1", "b:1"], 0, "ps"),
    ],
)
def test_a_wrong_tf_config_is_said(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG must look like"):
        workers.cluster()


TWO = {"worker": ["a:1", "b:1"]}
ONE_AND_A_CHIEF = {"chief": ["a:1"], "worker": ["b:1"]}


@pytest.mark.parametrize(
    "cluster, kind, index, chief",
    [
        (TWO, "worker", 0, True),
        (TWO, "worker", 1, False),
        (ONE_AND_A_CHIEF, "chief", 0, True),
        (ONE_AND_A_CHIEF, "worker", "0", False),  # Some clusters quote the number.
    ],
)
def test_who_writes_the_results(monkeypatch, cluster, kind, index, chief):
    task = {"type": kind, "index": index}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    assert workers.is_chief() == chief
    assert workers.cluster() == ["a:1", "b:1"]


def test_without_tf_config_this_process_is_alone(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert workers.is_chief() and workers.cluster() == []


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


PROGRAMS = {
    "scontrol": "echo a0; echo a1",
    "srun": 'shift; SLURM_PROCID=1 exec "$@"',
    "sskeras": 'echo "$TF_CONFIG"',
}


@pytest.mark.parametrize(
    "script, given",
    [
        ("srun", {"SLURM_JOB_NODELIST": "a[0-1]", "SLURM_PROCID": "0"}),
        ("PODS", {"JOB_COMPLETION_INDEX": "1", "PODS": "2"}),
    ],
)
def test_the_page_sets_tf_config(tmp_path, monkeypatch, script, given):
    """Of the second of two hosts; programs of the same names stand for Slurm's."""
    for name, does in PROGRAMS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    for name, wanted in (("job.sh", script), ("worker.sh", "scontrol")):
        [block] = [block for block in blocks("bash") if wanted in block]
        (tmp_path / name).write_text(block if "sskeras" in block else block + "sskeras")
    environment = os.environ | given | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    line = ["bash", "-c", ". ./job.sh"]
    done = subprocess.run(
        line, env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    monkeypatch.setenv("TF_CONFIG", done.stdout.splitlines()[0])
    assert len(workers.cluster()) == 2 and not workers.is_chief(), done


def test_the_script_of_the_page_ends_when_a_worker_is_lost(tmp_path):
    """Nobody starts the processes here but a test: one learns of the other's end."""
    [script] = blocks("python")
    script = script.replace("batches = ", "import numpy as np\n" + FILMS + "batches = ")
    script = script.replace("epochs=50", "epochs=1000, verbose=0, callbacks=[Mark()]")
    (tmp_path / "script.py").write_text(script)
    addresses = [f"localhost:{port}" for port in workers.free_ports(2)]
    processes = [
        subprocess.Popen(
            [sys.executable, "script.py"],
            env=in_cluster(addresses, index),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in range(2)
    ]
    end = time.monotonic() + 300
    while not (tmp_path / "epoch").exists():
        assert time.monotonic() < end and processes[0].poll() is None
        time.sleep(0.1)
    processes[1].kill()
    printed, _ = processes[0].communicate(timeout=60)
    assert processes[0].returncode
    assert "UnavailableError" in printed or "AbortedError" in printed, printed[-2000:]


FILMS = """
x = np.random.default_rng(0).integers(0, 256, (16, 64, 64, 1)).astype("uint8")
y = np.arange(16) % 4 - 1
import keras
class Mark(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs):
        open("epoch", "w").close()
"""
