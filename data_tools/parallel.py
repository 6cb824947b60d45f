"""Work in several processes that end with the one that started them."""

import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

CHUNK = 16  # jobs sent to a process at once


def run(function, jobs, workers):
    """Yields `function(job)` for every job, in order, from some processes.

    Few chunks are under way at a time, so that memory stays bounded however many
    jobs there are.

    Args:
        function: Importable function of one argument.
        jobs: Iterable of arguments.
        workers: Number of processes; 1 works in this process. A script that asks
            for more must start its work under `if __name__ == "__main__":`.
    """
    if workers == 1:
        yield from map(function, jobs)
        return
    jobs = iter(jobs)
    chunks = iter(lambda: list(itertools.islice(jobs, CHUNK)), [])
    context = multiprocessing.get_context("spawn")
    workers = min(workers, 61)  # the most that Windows can wait for
    with ProcessPoolExecutor(workers, context, initializer=follow_parent) as pool:
        under_way = deque()
        try:
            for chunk in chunks:
                with deaf_children():
                    under_way.append(pool.submit(work, function, chunk))
                if len(under_way) > 2 * workers:
                    yield from under_way.popleft().result()
            while under_way:
                yield from under_way.popleft().result()
        except BrokenProcessPool:
            raise OSError(
                "A process ended abruptly, perhaps for lack of memory. Close other "
                "programs or use fewer --workers, and run the same command again."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def deaf_children():
    """Keeps interrupts from processes started meanwhile; this one gets them after."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def work(function, chunk):
    """Does the jobs of a chunk."""
    return [function(job) for job in chunk]


def follow_parent():
    """Makes a worker leave interrupts to its parent, and end when the parent ends."""

    def watch():
        multiprocessing.parent_process().join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=watch, daemon=True).start()
