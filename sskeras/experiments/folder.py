"""The folder of a run: new, interrupted or finished, and never half of each."""

import contextlib
import errno
import json
import os
import shutil
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

from sskeras.experiments.provenance import provenance
from sskeras.experiments.settings import defaults


@contextlib.contextmanager
def whole(path):
    """Gives a path to write to, which takes its own name only when all went well."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise FileExistsError(f"'{path}' is a device or pipe: name a file.")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial.{path.name}")
    remove(partial)  # Through a link it would be written elsewhere.
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        remove(partial)  # On a full disk every byte counts.
        raise


def remove(path):
    """Removes a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def alone_in(folder):
    """Refuses a folder in which another process works; where the system can tell."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        if not lock(handle):
            raise FileExistsError(
                f"Another process is training in '{folder}'. Wait for its end, or name "
                "another folder."
            )
        yield
    finally:
        os.close(handle)


def lock(handle):
    """Whether no other process has the lock; some shared disks have none."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


@contextlib.contextmanager
def room_in(folder):
    """Says that the training is kept where there is no room for its results."""
    full = [os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)]
    try:
        yield
    except Exception as error:  # TensorFlow has none of its own for this.
        if not any(text in str(error) for text in full):
            raise
        raise OSError(
            f"There is no room for the results in '{folder}' ({error}). The training "
            "is kept: make room and repeat the command."
        ) from error


def write_text(path, text):
    """Writes a file that appears whole or not at all."""
    with whole(path) as partial:
        partial.write_text(text, "utf-8")


def write_json(path, content):
    """Writes JSON that appears whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path):
    """Reads a JSON object.

    Raises:
        ValueError: If the file holds something else; names it.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"'{path}' is no file.")
    try:
        found = json.loads(path.read_text("utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"it begins with a {type(found).__name__}")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"'{path}' is damaged: {error}") from error
    return found


class RunFolder:
    """Settings, checkpoint and results of one run.

    Args:
        path: The folder. `check` whether it is free, then work within `started`.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.settings = self.path / "settings.json"
        self.checkpoint = self.path / "checkpoint.npz"
        self.model = self.path / "model.keras"
        self.saved_model = self.path / "saved_model"
        self.history = self.path / "history.csv"
        self.metrics = self.path / "metrics.json"

    def check(self, settings):
        """Raises unless a run with these settings can begin or go on here.

        Args:
            settings: JSON-serializable dict.

        Raises:
            FileExistsError: If the folder holds a finished run, a run with other
                settings, or something else.
        """
        if self.metrics.exists():
            raise FileExistsError(
                f"'{self.path}' holds a finished run, which is not overwritten. Name "
                "another folder with --out, or remove this one first."
            )
        if self.settings.exists():
            self.compare(settings)
        elif self.path.exists() and set(self.path.iterdir()) != set(self._partial()):
            raise FileExistsError(
                f"'{self.path}' is not empty and holds no run. Name a new folder."
            )

    @contextlib.contextmanager
    def started(self, settings):
        """Makes the folder, or clears what a killed run had not finished to write.

        Raises:
            FileExistsError: If another process is at work here, or has been since
                `check`.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with alone_in(self.path):
            self.check(settings)
            for path in self._partial():
                remove(path)
            if not self.settings.exists():
                write_json(self.settings, settings)
            yield

    def _partial(self):
        return [*self.path.glob(".partial.*")]

    def compare(self, wanted):
        """Raises unless the run that is here has these settings.

        Args:
            wanted: JSON-serializable dict, in which a precision of "auto" stands for
                any.

        Raises:
            FileExistsError: If it has others.
        """
        found = read_json(self.settings)
        if wanted.get("precision") == "auto":
            wanted = wanted | {"precision": found.get("precision")}
        # A setting that did not exist yet had its default.
        found = {name: v for name, v in defaults().items() if name in wanted} | found
        keys = sorted({*found, *wanted} - {"data"})  # Its checksum is compared.
        different = [key for key in keys if found.get(key) != wanted.get(key)]
        if different:
            rows = "\n".join(
                f"  {key}: {found.get(key)!r} there, {wanted.get(key)!r} here"
                for key in different
            )
            raise FileExistsError(
                f"'{self.path}' holds a run with other settings:\n{rows}\n"
                "Repeat its command to take it up again, or name another folder."
            )

    def read_settings(self):
        """Settings of a finished run."""
        if not self.metrics.exists():
            state = "an interrupted run" if self.settings.exists() else "no run"
            raise FileNotFoundError(
                f"'{self.path}' holds {state}, a finished one was expected. "
                "`sskeras train --out` makes and completes runs."
            )
        return read_json(self.settings)

    def read_scores(self):
        """Scores of a finished run, with its settings and where they come from."""
        self.read_settings()
        return read_json(self.metrics)

    def finish(self, scores, replicas=1):
        """Writes the scores and where they come from: the run is finished."""
        settings = read_json(self.settings)
        found = provenance() | {"replicas": replicas}
        origin = {"settings": settings, "provenance": found}
        write_json(self.metrics, {**scores, **origin})
        for path in self.path.glob("checkpoint*.npz"):
            path.unlink()
