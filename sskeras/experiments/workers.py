"""One training on several devices or machines: who is who, and what they agree on.

Each machine runs the same command. `TF_CONFIG` in its environment says who the others
are and which of them it is, as cluster managers set it; `launch` sets it for processes
on this machine. Worker 0 writes the results.
"""

import contextlib
import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
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
        meet()
        before = signal.getsignal(signal.SIGTERM)
        found = tf.distribute.MultiWorkerMirroredStrategy()
        if threading.current_thread() is threading.main_thread():
            # TensorFlow takes the signal for a warning, and trains on.
            signal.signal(signal.SIGTERM, before)
        return found
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
        right = found == {} or _is_right(found["cluster"], found["task"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        right = False
    if not right:
        raise ValueError(
            "TF_CONFIG must look like "
            '{"cluster": {"worker": ["host-0:2222", "host-1:2222"]}, '
            '"task": {"type": "worker", "index": 0}}, with an address for each worker '
            f"and, if there is one, a chief. Received: {text}"
        )
    return found


def _is_right(jobs, task):
    addresses = _addresses(jobs)
    return (
        all(isinstance(job, list) for job in jobs.values())
        and all(re.fullmatch(".+:[0-9]+", address) for address in addresses)
        and len(set(addresses)) == len(addresses)
        and task["type"] in ("chief", "worker")
        and str(task["index"]).isdecimal()
        and int(task["index"]) < len(jobs[task["type"]])
    )


def _addresses(jobs):
    return [*jobs.get("chief", []), *jobs.get("worker", [])]


def cluster():
    """Addresses of all workers; some clusters call the first one "chief"."""
    return _addresses(configuration().get("cluster", {}))


def own_address():
    """The address of this worker in the cluster."""
    found = configuration()
    return found["cluster"][found["task"]["type"]][int(found["task"]["index"])]


def is_chief():
    """Whether this process writes the results."""
    return not cluster() or own_address() == cluster()[0]


def meet(patience=600):
    """Waits until all workers have been started.

    TensorFlow would wait for an hour, without a word and deaf to Ctrl-C.

    Args:
        patience: Seconds.

    Raises:
        RuntimeError: If some were not.
        OSError: If the port of this one is taken.
    """
    port, end = int(own_address().rpartition(":")[2]), time.monotonic() + patience
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    try:
        own = socket.create_server(
            ("", port), family=family, dualstack_ipv6=family == socket.AF_INET6
        )
    except OSError as error:
        raise OSError(
            f"Cannot listen to port {port}, which TF_CONFIG gives this worker: "
            f"{error.strerror}. Name another one to all workers."
        ) from error
    missing = [address for address in cluster() if address != own_address()]
    print(f"Waiting for {', '.join(missing)}.", flush=True)
    with own:
        while missing := [address for address in missing if not answers(address)]:
            if time.monotonic() > end:
                raise RuntimeError(
                    f"{', '.join(missing)} did not answer within {patience} seconds. "
                    "Was the same command started there?"
                )
            time.sleep(0.2)


def answers(address):
    """Whether a worker, or TensorFlow there, listens to its port already."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def agree(what, value):
    """Waits for all workers and raises unless all have the same value.

    Args:
        what: Name of the value, for the message.
        value: JSON-serializable.
    """
    text = json.dumps(value, sort_keys=True)
    if len(set(gathered([zlib.crc32(text.encode())]))) > 1:
        raise ValueError(
            f"The workers do not have the same {what}. They need the same command, "
            f"films and `--out` in a folder that all share. Here: {text}"
        )


def wait():
    """Waits for all workers."""
    gathered([0])


def gathered(integers):
    """Waits for all workers; returns what the first gives, the second and so on."""
    if len(cluster()) < 2:
        return integers
    import tensorflow as tf

    return strategy().gather(tf.constant(integers, "int64"), axis=0).numpy()


@contextlib.contextmanager
def plain_errors():
    """Says in words that another worker was lost."""
    import tensorflow as tf

    try:
        yield
    except (
        tf.errors.UnavailableError,
        tf.errors.FailedPreconditionError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
        tf.errors.InternalError,
    ) as error:
        if len(cluster()) < 2:
            raise
        reason, *_ = error.message.splitlines() or [type(error).__name__]
        raise RuntimeError(f"{LOST} ({reason})") from error


def launch(count):
    """Repeats this command in processes on this machine, as workers of one training.

    Each gets its share of the processors. When one ends early, all do.

    Args:
        count: Number of workers.

    Raises:
        RuntimeError: If a worker failed, with the end of what it printed.
        ValueError: If TF_CONFIG names the workers already.
    """
    if cluster():
        raise ValueError("TF_CONFIG names the workers already: leave --workers out.")
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
                        f"{end_of(logs[failed[0]])}".rstrip()
                    )
                time.sleep(0.2)
        finally:
            stop(workers)


def is_launched():
    """Whether `launch` has started this process."""
    return PARENT in os.environ and bool(cluster())


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
        return (
            f"was ended by {signal.Signals(-code).name}; repeat the command to go on "
            "after the last whole epoch"
        )
    return f"ended with exit status {code}"
