"""What the benchmarks share: workers that take turns, ratios with their spread.

Each way to do the work lives in a process of its own, so that no library's threads or
settings touch another's. The processes take turns, round after round, so that whatever
else the machine does falls on all of them alike.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from sskeras.experiments.provenance import provenance, where

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Worker:
    """A process that repeats one piece of work whenever it is asked to.

    Args:
        arguments: Arguments of a script that calls `serve`, its name first.
        python: Interpreter; `None` stands for this one.
        environment: Dict of environment variables to set.
    """

    def __init__(self, arguments, python=None, environment=None):
        own = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": ROOT}
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [python or sys.executable, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, **own, **(environment or {})},
        )
        self.facts = self._answer()

    def run(self):
        """Returns the seconds that one repetition took."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self):
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()

    def _answer(self):
        for line in self.process.stdout:
            if line.startswith("answer "):
                return json.loads(line.removeprefix("answer "))
        self.errors.seek(0)
        end = "".join(self.errors.readlines()[-5:])
        raise RuntimeError(f"A worker ended early: {self.process.args}\n{end}")


def serve(work, facts=None):
    """Is a worker: does the work once as a warm-up, then whenever a line arrives.

    Args:
        work: Function without arguments; it must wait for its result. Where it returns
            a float, these are its seconds.
        facts: JSON-serializable, what the parent wants to know.
    """
    work()
    print("answer", json.dumps(facts), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        taken = work()
        if not isinstance(taken, float):
            taken = time.perf_counter() - start
        print("answer", json.dumps(taken), flush=True)


def take_turns(workers, rounds):
    """Returns seconds by name, one for each round; every round asks all workers once.

    The order turns from round to round.
    """
    names = list(workers)
    seconds = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            seconds[name].append(workers[name].run())
        print(f"\rround {number + 1} of {rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return seconds


def ratio(seconds, other):
    """How many times faster: median of the rounds' ratios, lowest and highest."""
    ratios = [b / a for a, b in zip(seconds, other, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def print_table(heads, rows):
    """Prints a Markdown table."""
    for row in (heads, ["---"] * len(heads), *rows):
        print("|", " | ".join(map(str, row)), "|")


def print_machine():
    """Prints where and on what the figures were measured."""
    found = provenance()
    print(f"`{found['command']}` at {(found['commit'] or 'no commit')[:12]}")
    print(f"{where(found)}\n")
