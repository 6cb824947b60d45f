"""Feeds spoiled pictures, tables, settings and models to what reads those of others.

    python benchmarks/fuzz.py                          # 28,500 inputs
    python benchmarks/fuzz.py --inputs 50 --seed 7     # of each kind

Each input is a sound one with bytes flipped, cut, doubled, moved or replaced by numbers
that programs trip over. Right answers are an answer, or an error of the kinds that our
users are promised, with a message. Wrong are other exceptions, a process that dies or
hangs, memory that grows beyond a gigabyte, and programs that Python starts or files
that it writes elsewhere. Wrong inputs are kept, so that they can be tried again.
"""

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from common import print_machine, print_table
from fuzz_kinds import KINDS, SECONDS
from spoil import spoiled_input
from tqdm import tqdm

PROMISED = (ValueError, OSError, RuntimeError)
MEMORY = 1 << 30  # Bytes that one input may take.
KNOWN = ("git", "uname", "lscpu", "ldconfig")  # Programs of ours and of libraries.


def main():
    """Runs the campaign and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=[*KINDS], choices=[*KINDS])
    parser.add_argument("--inputs", type=int, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", default="fuzz-wrong", help="folder for wrong inputs")
    arguments = parser.parse_args()
    counts = {
        "pictures": 12_000,
        "manifests": 10_000,
        "commands": 1_000,
        "models": 1_000,
        "predictions": 500,
        "requests": 2_000,
        "films": 2_000,
    }
    rows, wrong = [], 0
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder)
        for kind in arguments.kinds:
            count = arguments.inputs or counts[kind]
            found = campaign(kind, count, arguments.seed, folder, Path(arguments.keep))
            rows.append([kind, count, *found])
            wrong += found[2]
    heads = [
        "input",
        "tried",
        "answered",
        "refused with a message",
        "wrong",
        "most memory",
    ]
    print_table(heads, rows)
    print_machine()
    sys.exit(bool(wrong))


def prepare(folder):
    """Draws films and trains a small model on them."""
    import subprocess

    from data_tools import phantom, shards

    films = phantom.write(Path(folder, "films"), count=240, seed=0, size=32)
    shards.write(films, Path(folder, "shards"), shard_size=40_000)
    line = [sys.executable, "-m", "sskeras.cli", "train", "--data", str(films)]
    line += "--image-size 32 --filters 4 8 --epochs 1 --batch-size 64".split()
    done = subprocess.run(
        [*line, "--out", Path(folder, "run")], capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr)


def campaign(kind, count, seed, folder, keep):
    """Counts of answers, refusals and wrong inputs, and the most memory in MiB."""
    answered = refused = wrong = memory = number = 0
    with tqdm(total=count, desc=kind) as bar:
        while number < count:
            process, results = start(kind, number, count, seed, folder)
            ending = "ended"
            while process.is_alive() or results.poll():
                if not results.poll(SECONDS):
                    ending = f"hung for {SECONDS} seconds" if process.is_alive() else ""
                    break
                try:
                    name, message, peak = results.recv()
                except EOFError:
                    break
                memory = max(memory, peak)
                answered += name == "answered"
                refused += name == "refused"
                if name == "wrong":
                    wrong += 1
                    note(keep, kind, number, seed, folder, message)
                number += 1
                bar.update()
            process.join(0 if "hung" in ending else 60)  # It may be about to end.
            process.kill()
            process.join()
            if number < count and process.exitcode != 0:
                wrong += 1
                note(keep, kind, number, seed, folder, f"The process {ending}.")
                number += 1
                bar.update()
    return answered, refused, wrong, f"{memory >> 20} MiB"


def start(kind, first, count, seed, folder):
    """Starts a process that tries inputs from a number on."""
    context = multiprocessing.get_context("spawn")
    results, sender = context.Pipe(duplex=False)
    arguments = (kind, first, count, seed, folder, sender)
    process = context.Process(target=work, args=arguments)
    process.start()
    sender.close()
    return process, results


def work(kind, first, count, seed, folder, results):
    """Tries inputs and tells of each what came of it."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    import warnings

    warnings.simplefilter("ignore")
    attempt = KINDS[kind](folder)
    place, here = (Path(tempfile.mkdtemp(dir=folder)) for _ in range(2))
    os.chdir(here)
    before = {*Path(folder).iterdir()}
    deeds = misdeeds(place)
    start = last = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    for number in range(first, count):
        content = spoiled_input(attempt.sound, number, seed)
        try:
            attempt(content, place)
            name, message = "answered", ""
        except PROMISED as error:
            name, message = ("refused", "") if str(error) else ("wrong", repr(error))
        except BaseException as error:
            name, message = "wrong", f"{type(error).__name__}: {error}"
        if {*Path(folder).iterdir()} != before or any(here.iterdir()):
            deeds.append("writes beside its folder")
        if deeds:
            name, message = "wrong", "; ".join(deeds)
            deeds.clear()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        if peak - last > MEMORY:
            name, message = "wrong", f"Memory grew by {(peak - last) >> 20} MiB."
        results.send((name, message[:500], peak - last))
        last = peak
        if peak - start > MEMORY:  # Keras keeps something of every model.
            sys.exit(0)  # The next process begins with little memory again.


def misdeeds(place):
    """A list that grows when Python starts a program or writes outside of a folder."""
    found, home = [], place.resolve()
    tempfile.tempdir, sys.dont_write_bytecode = str(place), True

    def look(event, arguments):
        if event in ("os.exec", "os.posix_spawn", "os.system"):
            found.append(f"{event} {arguments}")
        if event == "subprocess.Popen" and Path(arguments[1][0]).name not in KNOWN:
            found.append(f"starts {arguments[1]}")
        if event == "open" and isinstance(path := arguments[0], str):
            allowed = path == os.devnull or Path(path).resolve().is_relative_to(home)
            if arguments[2] & (os.O_WRONLY | os.O_RDWR) and not allowed:
                found.append(f"writes {path}")

    sys.addaudithook(look)
    return found


def note(keep, kind, number, seed, folder, message):
    """Keeps a wrong input, and what was wrong with it."""
    keep.mkdir(exist_ok=True)
    name = f"{kind}-{seed}-{number}"
    sound = KINDS[kind](folder).sound
    (keep / name).write_bytes(spoiled_input(sound, number, seed))
    line = {"input": name, "time": time.strftime("%F %T"), "message": message}
    with open(keep / "wrong.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
