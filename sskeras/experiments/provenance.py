"""Where a result comes from: code, command, machine, libraries."""

import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

LIBRARIES = ("tensorflow", "keras", "numpy", "pandas", "sskeras")


def provenance():
    """Returns a JSON-serializable dict to keep beside a result."""
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "commit": _commit(),
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in LIBRARIES},
        },
    }


def where(found):
    """Machine and libraries of what `provenance` returns, as a text."""
    machine = found["machine"]
    return f"{machine['processor']}, {machine['cores']} cores; {libraries(found)}"


def libraries(found):
    """Libraries and their versions, as a text."""
    return ", ".join(f"{name} {version}" for name, version in found["versions"].items())


def _version(name):
    import importlib.metadata  # Half the time that `sskeras --help` takes to start.

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit():
    """The commit of the code, with `-dirty` after local changes; `None` outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.split(":", 1)[1] for line in lines if line.startswith("model name"))
    return next(names, platform.processor()).strip()
