"""One training on several devices or machines: who is who, and what they agree on.

Each machine runs the same command. `TF_CONFIG` in its environment says who the others
are and which of them it is, as cluster managers set it; `launch` sets it for processes
on this machine. Worker 0 writes the results.
"""

import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

from sskeras.experiments.runner import (
    PARENT,
    end_of,
    limited_to,
    processor_shares,
    stop,
)

LOST = (
    "A worker was lost or answers no more. Start all workers again with the same "
    "command: they go on after the last whole epoch."
)


@functools.cache  # TensorFlow confuses the collective operations of two strategies.
def strategy():
    """The strategy for all devices: of the machines in TF_CONFIG, or of this one."""
    import tensorflow as tf

    if len(cluster()) > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def configuration():
    """What TF_CONFIG says, an empty dict without it.

    Raises:
        ValueError: If it is no JSON, or does not say which task this is.
    """
    text = os.environ.get("TF_CONFIG") or "{}"
    try:
        found = json.loads(text)
        if found:
            task = found["task"]
            found["cluster"][task["type"]][int(task["index"])]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(
            "TF_CONFIG must look like "
            '{"cluster": {"worker": ["host-0:2222", "host-1:2222"]}, '
            '"task": {"type": "worker", "index": 0}}. '
            f"Received: {text}"
        ) from error
    return found


def cluster():
    """Addresses of all workers; some clusters call the first one "chief"."""
    jobs = configuration().get("cluster", {})
    return [*jobs.get("chief", ()), *jobs.get("worker", ())]


def is_chief():
    """Whether this process writes the results."""
    found = configuration()
    if not found:
        return True
    first = "chief" if "chief" in found["cluster"] else "worker"
    return found["task"]["type"] == first and int(found["task"]["index"]) == 0


def agree(what, value):
    """Waits for all workers and raises unless all have the same value.

    Args:
        what: Name of the value, for the message.
        value: JSON-serializable.
    """
    if len(cluster()) < 2:
        return
    import tensorflow as tf

    text = json.dumps(value, sort_keys=True)
    checksum = tf.constant([zlib.crc32(text.encode())], "int64")
    found = strategy().gather(checksum, axis=0).numpy()
    if len(set(found)) > 1:
        raise ValueError(
            f"The workers do not have the same {what}. They need the same command, "
            f"films and `--out` in a folder that all share. Here: {text}"
        )


@contextlib.contextmanager
def plain_errors():
    """Says in words that another worker was lost."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        if len(cluster()) < 2 or isinstance(error, tf.errors.InvalidArgumentError):
            raise
        raise RuntimeError(LOST) from error


def launch(count):
    """Repeats this command in processes on this machine, as workers of one training.

    Each gets its share of the processors. When one ends early, all do.

    Args:
        count: Number of workers.

    Raises:
        RuntimeError: If a worker failed, with the end of what it printed.
    """
    addresses = [f"localhost:{port}" for port in free_ports(count)]
    with tempfile.TemporaryDirectory() as folder:
        logs = [Path(folder, f"{index}.txt") for index in range(count)]
        workers = [
            start(addresses, index, logs[index], processors)
            for index, processors in enumerate(processor_shares(count))
        ]
        try:
            while (codes := [w.poll() for w in workers]) != [0] * count:
                failed = [index for index, code in enumerate(codes) if code]
                if failed:
                    raise RuntimeError(
                        f"Worker {failed[0]} of {count} {ended(codes[failed[0]])}.\n"
                        f"{end_of(logs[failed[0]])}\nRepeat the command to go on after "
                        "the last whole epoch."
                    )
                time.sleep(0.2)
        finally:
            stop(workers)


def free_ports(count):
    """Ports of this machine that nobody listens to."""
    found = [socket.socket() for _ in range(count)]
    for free in found:
        free.bind(("localhost", 0))
    ports = [free.getsockname()[1] for free in found]
    for free in found:
        free.close()
    return ports


def start(addresses, index, log, processors):
    """Starts a worker; what worker 0 prints is shown, what others print is kept."""
    task = {"type": "worker", "index": index}
    content = json.dumps({"cluster": {"worker": addresses}, "task": task})
    line = [sys.executable, "-m", "sskeras.cli", *sys.argv[1:]]
    with open(log, "w", encoding="utf-8") as file, limited_to(processors):
        return subprocess.Popen(
            line,
            env=os.environ | {"TF_CONFIG": content, PARENT: str(os.getpid())},
            stdout=file if index else None,
            stderr=file if index else None,
            stdin=subprocess.DEVNULL,
        )


def ended(code):
    """How a process ended, in words."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit status {code}"
