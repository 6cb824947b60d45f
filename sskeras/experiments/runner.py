"""Runs experiments: one process for each run, side by side, until all are done."""

import collections
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tqdm import tqdm

from sskeras.experiments.folder import RunFolder
from sskeras.experiments.settings import Settings

PR_SET_PDEATHSIG = 1  # of prctl: the signal that a parent's death sends
PARENT = "SSKERAS_PARENT"  # Set for processes that must not outlive another.


def run_all(runs, logs, jobs):
    """Trains what is not finished yet, and shows the time that is left.

    An interrupted run goes on after its last whole epoch. When one fails, the others
    go on.

    Args:
        runs: Dict from the folder of a run to its `Settings`.
        logs: Folder for what the runs print.
        jobs: Number of processes; each gets its share of the processors.

    Raises:
        FileExistsError: If a finished run has other settings.
        RuntimeError: If a run failed, with the end of what it printed.
    """
    waiting = collections.deque(
        (out, settings) for out, settings in runs.items() if not finished(out, settings)
    )
    logs.mkdir(parents=True, exist_ok=True)
    done = len(runs) - len(waiting)
    places, working, failed = processor_shares(jobs), {}, []
    with tqdm(total=len(runs), initial=done, unit="run", smoothing=0) as bar:
        try:
            while waiting or working:
                while waiting and places:
                    place, (out, settings) = places.pop(), waiting.popleft()
                    log = logs / f"{out.parent.name}-{out.name}.txt"
                    working[start(settings, out, log, place)] = place, log
                state = f"{len(working)} running, {len(failed)} failed"
                bar.set_postfix_str(state, refresh=sys.stderr.isatty())
                for process in [p for p in working if p.poll() is not None]:
                    place, log = working.pop(process)
                    places.append(place)
                    failed += [log] if process.returncode else []
                    bar.update()
                time.sleep(0.2)
        finally:
            stop(working)
    if failed:
        raise RuntimeError(
            f"{len(failed)} of {len(runs)} runs failed; the others are finished. The "
            f"end of '{failed[0]}':\n{end_of(failed[0])}\nRepeat the command to try "
            "these again."
        )


def finished(out, settings):
    """Whether a run is finished; raises if it was another one."""
    folder = RunFolder(out)
    if not folder.metrics.exists():
        return False
    folder.compare(settings.to_json())
    return True


def processor_shares(jobs):
    """Sets of processors, one for each job; `None` where the system cannot say."""
    if not hasattr(os, "sched_getaffinity"):
        return [None] * jobs
    processors = sorted(os.sched_getaffinity(0))
    if jobs >= len(processors):
        return [{processors[i % len(processors)]} for i in range(jobs)]
    return [set(processors[job::jobs]) for job in range(jobs)]


def start(settings, out, log, processors):
    """Starts `sskeras train` on some of the processors and returns the process."""
    line = [sys.executable, "-m", "sskeras.cli", "train", *options(settings)]
    with open(log, "w", encoding="utf-8") as file, limited_to(processors):
        return subprocess.Popen(
            [*line, "--out", str(out)],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=os.environ | {PARENT: str(os.getpid())},
        )


def end_with_parent():
    """Ends this process when the one that `PARENT` names is gone, even killed."""
    if PARENT not in os.environ:
        return
    parent = int(os.environ[PARENT])
    if sys.platform == "linux":  # It ends a process in any state.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def limited_to(processors):
    """What starts here runs on these processors and counts no others."""
    if processors is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def options(settings):
    """The options of `sskeras train` that make these settings."""
    default = Settings(data="")
    words = []
    for name, value in vars(settings).items():
        if value == getattr(default, name):
            continue
        flag = "--set" if name == "arguments" else f"--{name.replace('_', '-')}"
        if isinstance(value, dict):
            words += [flag, *(f"{key}={v}" for key, v in value.items())]
        elif value is True:
            words.append(flag)
        elif isinstance(value, tuple):
            words += [flag, *map(str, value)]
        else:
            words += [flag, str(value)]
    return words


def stop(processes):
    """Ends what still runs; each keeps its last whole epoch."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
    end = time.monotonic() + 5
    for process in processes:
        try:
            process.wait(max(0, end - time.monotonic()))
        except subprocess.TimeoutExpired:  # It hangs, or was halted.
            process.kill()
            process.wait()


def end_of(log, lines=5):
    """The error that a log ends with, else its last lines.

    Behind the error TensorFlow may say more, of threads that it could not end.
    """
    found = Path(log).read_text("utf-8").splitlines()
    errors = [n for n, line in enumerate(found) if line.startswith("sskeras: error:")]
    start = errors[-1] if errors else max(0, len(found) - lines)
    return "\n".join(found[start : start + lines])
