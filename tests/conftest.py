"""What several tests need: the reference values and small random batches."""

import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest

import sskeras  # noqa: F401  Before TensorFlow, which then uses oneDNN as for users.

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared():
    """The folder of reference values and real films, where it is present."""
    if not SHARED.is_dir():
        pytest.skip("the reference material (../shared) is not on this machine")
    return SHARED


@pytest.fixture(scope="session")
def oracle(shared):
    """Reads a file of reference values."""
    return lambda name: json.loads((shared / "oracles" / f"{name}.json").read_text())


@pytest.fixture
def batch():
    """16 pictures of noise, half of them labeled, each class twice or more."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (16, 16, 16, 1)).astype("uint8")
    y = np.where(np.arange(16) % 2, np.arange(16) // 2 % 3, -1).astype("int32")
    return x, y
