"""Seconds until Python, the imports and the command line are ready.

    python benchmarks/start.py [--rounds 5]

Every command is a fresh process; they take turns, round after round. "Beyond"
is the median of the differences within the rounds, from `import tensorflow` where that
is imported, else from `python -c pass`.
"""

import argparse
import statistics
import subprocess
import sys
import time

from common import ROOT, print_machine, print_table

from sskeras import cli

NOTHING, TENSORFLOW = "python -c pass", "import tensorflow"


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print_machine()
    ways = commands()
    for way in ways.values():
        seconds(way)  # The files are in memory from now on.
    taken = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            taken[name].append(seconds(way))
    heads = ["command", "seconds", "lowest-highest", "beyond"]
    print_table(heads, [row(name, taken) for name in taken])


def commands():
    """Returns arguments of Python by name."""
    ways = {NOTHING: ["-c", "pass"]}
    for code in ("import sskeras", TENSORFLOW, TENSORFLOW + ", sskeras"):
        ways[code] = ["-c", code]
    (subparsers,) = cli.parser()._subparsers._group_actions
    for name in ("", *subparsers.choices):
        words = [*name.split(), "--help"]
        ways[" ".join(["sskeras", *words])] = ["-m", "sskeras.cli", *words]
    return ways


def seconds(arguments):
    """Runs Python and returns how long it took."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


def row(name, taken):
    """A row of the table; what lies beyond is that of TensorFlow, or of nothing."""
    own = taken[name]
    other = TENSORFLOW if "tensorflow" in name else NOTHING
    beyond = statistics.median(a - b for a, b in zip(own, taken[other], strict=True))
    return [
        f"`{name}`",
        f"{statistics.median(own):.3f}",
        f"{min(own):.3f}-{max(own):.3f}",
        "" if name == other else f"{beyond:.3f}",
    ]


if __name__ == "__main__":
    main()
