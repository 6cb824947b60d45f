"""Two replicas equal one device: as two devices, and as two processes."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_methods import NEEDED

from sskeras.experiments.workers import free_ports

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("replicas.py")
CASES = [*NEEDED, "resnet", "two_path", "own", "stream"]
TOLERANCE = {"rtol": 1e-4, "atol": 2e-6}  # Of the weights: rounding is far below.


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Folder of what the trainings left."""
    folder = tmp_path_factory.mktemp("replicas")
    run([folder])
    ports = free_ports(2)
    run([folder, 0, *ports], [folder, 1, *ports])
    return folder


def run(*arguments):
    """Runs the script once for each list of arguments, side by side."""
    lines = [[sys.executable, SCRIPT, *map(str, line)] for line in arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    processes = [subprocess.Popen(line, **pipes) for line in lines]
    try:
        for process in processes:
            printed, _ = process.communicate(timeout=400)
            assert not process.returncode, printed[-3000:]
    finally:
        for process in processes:
            process.kill()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("way", ["mirrored", "worker-0", "worker-1"])
def test_two_replicas_equal_one_device(results, way, case):
    one, found = left(results, "one", case), left(results, way, case)
    for key, values in one["history"].items():
        tolerance = {"rtol": 1e-3, "atol": 1e-6}
        np.testing.assert_allclose(
            found["history"][key], values, err_msg=key, **tolerance
        )
    parts = zip(one["names"], one["weights"], found["weights"], strict=True)
    for name, expected, weight in parts:
        np.testing.assert_allclose(weight, expected, err_msg=name, **TOLERANCE)
    np.testing.assert_allclose(found["answers"], one["answers"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_every_loss_moves_the_weights_by_far_more_than_the_tolerance(results, case):
    one = left(results, "one", case)
    assert one["without"]
    for loss, weights in one["without"].items():
        parts = zip(one["weights"], weights, one["learned"], strict=True)
        moved = max(tolerances(*pair) for *pair, learned in parts if learned)
        assert moved > 20, f"{loss}: {moved:.2g} times the tolerance"


@pytest.mark.parametrize("case", CASES)
def test_thresholds_leave_out_some_images(results, case):
    rates = left(results, "one", case)["history"].get("mask_rate", [0.5])
    assert any(0 < rate < 1 for rate in rates), rates


def left(results, way, case):
    """What a training left, which must not be an error."""
    found = pickle.loads((results / way / f"{case}.pickle").read_bytes())
    assert isinstance(found, dict), found
    return found


def tolerances(expected, weight):
    """How many times the tolerance lies between two arrays."""
    allowed = TOLERANCE["atol"] + TOLERANCE["rtol"] * np.abs(expected)
    return np.max(np.abs(weight - expected) / allowed)


@pytest.mark.parametrize("way", ["mirrored", "worker-0", "worker-1"])
def test_a_batch_too_small_for_all_is_said(results, way):
    found = pickle.loads((results / way / "empty.pickle").read_bytes())
    assert "The last batch has 1 images, cut into shares of 1 for 2 replicas" in found
