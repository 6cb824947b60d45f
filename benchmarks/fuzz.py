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
import base64
import http.client
import io
import json
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

from common import print_machine, print_table
from tqdm import tqdm

PROMISED = (ValueError, OSError, RuntimeError)
SECONDS = 60  # After which an input hangs.
MEMORY = 1 << 30  # Bytes that one input may take.
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
KNOWN = ("git", "uname", "lscpu", "ldconfig")  # Programs of ours and of libraries.
WORDS = (b"", b"\0", b'"', b",", b"\n", b"../", b"nan", b"1e999", b"-1", b"\xff\xfe")


def spoiled(content, draw):
    """A copy of some bytes with one to eight changes."""
    content = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4, 8))):
        draw.choice(CHANGES)(content, draw)
    return bytes(content)


def flip(content, draw):
    if content:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def cut(content, draw):
    del content[draw.randrange(len(content) + 1) :]


def remove(content, draw):
    start = draw.randrange(len(content) + 1)
    del content[start : start + draw.choice((1, 2, 4, 16, 256))]


def double(content, draw):
    start = draw.randrange(len(content) + 1)
    part = content[start : start + draw.choice((1, 4, 64, 1024))]
    content[start:start] = part * draw.choice((1, 2, 30))


def move(content, draw):
    a, b = (draw.randrange(len(content) + 1) for _ in range(2))
    content[a : a + 32], content[b : b + 32] = content[b : b + 32], content[a : a + 32]


def number(content, draw):
    place, size = draw.randrange(len(content) + 1), draw.choice((1, 2, 4))
    value = draw.choice(NUMBERS) & (256**size - 1)
    content[place : place + size] = value.to_bytes(size, draw.choice(("big", "little")))


def word(content, draw):
    place = draw.randrange(len(content) + 1)
    content[place : place + draw.choice((0, 1, 8))] = draw.choice(WORDS)


CHANGES = (flip, flip, cut, remove, double, move, number, number, word)


class Pictures:
    """`data.load_pictures` on a file, and `serve_bytes` beside a sound one."""

    def __init__(self, folder):
        import numpy as np
        import tensorflow as tf

        films = [*Path(folder, "films", "images").iterdir()]
        self.sound = [path.read_bytes() for path in sorted(films)[:8]]
        pixels = tf.io.decode_png(self.sound[0])
        self.sound += [tf.io.encode_jpeg(pixels).numpy() for _ in range(4)]
        rgb = tf.image.grayscale_to_rgb(pixels)
        self.sound += [tf.io.encode_png(rgb).numpy(), tf.io.encode_jpeg(rgb).numpy()]
        self.served = tf.saved_model.load(str(Path(folder, "run", "saved_model")))
        answer = self.served.serve_bytes(tf.constant(self.sound[:1]))
        self.expected = np.array(answer["probabilities"])

    def __call__(self, content, place):
        import numpy as np
        import tensorflow as tf

        from sskeras import data

        answer = self.served.serve_bytes(tf.constant([content, self.sound[0]]))
        found = answer["probabilities"].numpy()
        if not np.allclose(found[1], self.expected[0], atol=1e-6):
            raise AssertionError("The answer for the sound picture has changed.")
        refused = bool(answer["error"][0].numpy())
        if refused != (not np.isclose(found[0].sum(), 1, atol=1e-4)):
            raise AssertionError(f"error: {refused}, probabilities: {found[0]}")
        path = place / "film.png"
        path.write_bytes(content)
        try:
            data.load_pictures([path], 32, progress=False)
        except ValueError as error:
            if not refused or str(path) not in str(error):
                raise AssertionError(f"serve_bytes: {refused}, {error}") from error
            raise
        if refused:
            raise AssertionError("load_pictures took what serve_bytes refused.")


class Manifests:
    """`data.read_manifest` and what a training reads first."""

    def __init__(self, folder):
        self.folder = Path(folder, "films")
        self.sound = [b"\n".join(self.lines()[:n]) for n in (3, 20, 200)]

    def lines(self):
        return Path(self.folder, "manifest.csv").read_bytes().splitlines()

    def __call__(self, content, place):
        from sskeras import data

        Path(place, "manifest.csv").write_bytes(content)
        if not (place / "images").exists():
            shutil.copytree(self.folder / "images", place / "images")
        table = data.read_manifest(place)
        stay_within(place, table.path)
        data.encode_labels(table, data.class_names(table))
        data.check_pictures(table)


def stay_within(place, paths):
    """Raises an error for a path that leads out of a folder."""
    for path in paths:
        if not Path(path).resolve().is_relative_to(place.resolve()):
            raise AssertionError(f"A path leads out of the folder: {path}")


class Commands:
    """`sskeras` in this process, on the settings and scores of a run, spoiled."""

    def __init__(self, folder):
        self.folder = Path(folder, "run")
        self.names = ("settings.json", "metrics.json")
        self.sound = [Path(self.folder, name).read_bytes() for name in self.names]
        self.films = Path(folder, "films")

    def __call__(self, content, place):
        run = place / "run"
        if not run.exists():
            shutil.copytree(self.folder, run)
        name = self.names[b"provenance" in content]
        (run / name).write_bytes(content)
        try:
            card = str(place / "card.md")
            command(["compare", str(run)])
            command(["export", str(run), "--format", "card", "--out", card])
            command(["evaluate", str(run), "--data", str(self.films)])
        finally:
            shutil.copy(self.folder / name, run / name)


def command(line):
    """An exception that leaves `main` is wrong, a message and status 1 are not."""
    from sskeras import cli

    if cli.main(line):
        raise RuntimeError("The command has said what is wrong.")


class Models:
    """`sskeras.load_model` on the archive, and on each file within."""

    def __init__(self, folder):
        import zipfile

        self.whole = Path(folder, "run", "model.keras")
        with zipfile.ZipFile(self.whole) as archive:
            self.parts = {name: archive.read(name) for name in archive.namelist()}
        self.sound = [self.whole.read_bytes(), *self.parts.values()]
        self.starts = {part[:8]: name for name, part in self.parts.items()}

    def __call__(self, content, place):
        import zipfile

        import sskeras

        path = place / "model.keras"
        spoiled = self.starts.get(content[:8])
        path.write_bytes(content)
        if spoiled:
            with zipfile.ZipFile(path, "w") as archive:
                for name, part in self.parts.items():
                    archive.writestr(name, content if name == spoiled else part)
        sskeras.load_model(path)


class Predictions:
    """`sskeras predict` on a picture, or on a folder of shards, spoiled."""

    def __init__(self, folder):
        self.run, self.shards = Path(folder, "run"), Path(folder, "shards")
        films = [*Path(folder, "films", "images").iterdir()]
        parts = {path.name: path.read_bytes() for path in self.shards.iterdir()}
        self.sound = [min(films).read_bytes(), *parts.values()]
        self.starts = {part[:8]: name for name, part in parts.items()}

    def __call__(self, content, place):
        import pandas as pd

        inputs = place / "inputs"
        shutil.rmtree(inputs, ignore_errors=True)
        name = self.starts.get(content[:8])
        if name:
            shutil.copytree(self.shards, inputs)
        else:
            inputs.mkdir()
        (inputs / (name or "film.png")).write_bytes(content)
        out = place / "predictions.csv"
        out.unlink(missing_ok=True)
        try:
            command(["predict", str(self.run), str(inputs), "--out", str(out)])
        except RuntimeError:
            if out.exists():
                raise AssertionError("Predictions in spite of an error.") from None
            raise
        totals = pd.read_csv(out).iloc[:, -3:].sum(axis="columns")
        if not all(abs(totals - 1) < 1e-3):
            raise AssertionError(f"Probabilities add up to {totals.tolist()}")


class Requests:
    """`sskeras serve`: spoiled bodies over HTTP, and after each a sound one."""

    def __init__(self, folder):
        import threading

        from sskeras import serve

        films = sorted(Path(folder, "films", "images").iterdir())[:3]
        texts = [base64.b64encode(film.read_bytes()).decode() for film in films]
        files = [{"b64": text} for text in texts]
        array = [[[7]] * 32] * 32
        named = {"signature_name": "serve_bytes"}
        requests = (
            {**named, "instances": files},
            {**named, "inputs": files[:1]},
            {"instances": [array]},
            {"inputs": [array, array], "signature_name": "serve"},
        )
        self.sound = [json.dumps(request).encode() for request in requests]
        servable = serve.Servable(Path(folder, "run", "saved_model"), "films")
        self.server = serve.Server(servable, port=0)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.expected = self.ask(self.sound[0])
        for content in self.sound:
            self(content, None)

    def __call__(self, content, place):
        status, answer = self.ask(content)
        if self.ask(self.sound[0]) != self.expected:
            raise AssertionError("The answer to the sound request has changed.")
        if status != 200:
            raise ValueError(answer["error"])

    def ask(self, body):
        """Status and answer; no answer, or one that is no JSON, is wrong."""
        client = http.client.HTTPConnection(
            *self.server.server_address, timeout=SECONDS
        )
        try:
            client.request("POST", "/v1/models/films:predict", body)
            answer = client.getresponse()
            return answer.status, json.loads(answer.read())
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise AssertionError(f"No answer: {error!r}") from error
        finally:
            client.close()


class Films:
    """What the page of `sskeras demo` answers to a film: PNG, JPEG, DICOM."""

    def __init__(self, folder):
        from PIL import Image

        from sskeras.experiments.demo import Judge

        path = min(Path(folder, "films", "images").iterdir())
        pixels = Image.open(path).convert("L")
        jpeg = io.BytesIO()
        pixels.save(jpeg, "JPEG")
        self.sound = [path.read_bytes(), jpeg.getvalue(), *dicoms(pixels)]
        self.names = (b"\x89PNG", "film.png"), (b"\xff\xd8", "film.jpg")
        self.judge = Judge(Path(folder, "run"))
        for content in self.sound:
            self(content, None)

    def __call__(self, content, place):
        starts = (name for start, name in self.names if content.startswith(start))
        found = self.judge.answer(next(starts, "film.dcm"), content)
        json.dumps(found, allow_nan=False)


def dicoms(pixels):
    """A film as DICOM of 8 and of 16 bits."""
    import numpy as np
    import pydicom

    for bits in (8, 16):
        found = pydicom.Dataset()
        found.file_meta = pydicom.dataset.FileMetaDataset()
        found.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        found.set_pixel_data(
            np.array(pixels, f"uint{bits}"), "MONOCHROME1", bits_stored=bits
        )
        found.SOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
        found.SOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=["film"])
        file = io.BytesIO()
        found.save_as(file, enforce_file_format=True)
        yield file.getvalue()


KINDS = {
    kind.__name__.lower(): kind
    for kind in (Pictures, Manifests, Commands, Models, Predictions, Requests, Films)
}


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


def spoiled_input(sound, number, seed):
    """The input of a number, the same in every campaign of a seed."""
    draw = random.Random(f"{seed}-{number}")
    return spoiled(draw.choice(sound), draw)


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
