"""Lint and format, as `ruff` with the settings of pyproject.toml sees them."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_ruff_finds_nothing(command):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stdout + done.stderr
