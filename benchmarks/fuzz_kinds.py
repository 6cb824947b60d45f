"""What reads the files of others, each with sound ones and a way to try a spoiled one.

A kind is made of a folder with `films`, `shards` and a `run`. To be called with spoiled
bytes and an empty folder it answers or raises an error; an `AssertionError`, and any
that users are not promised, is wrong.
"""

import base64
import http.client
import io
import json
import shutil
from pathlib import Path

SECONDS = 60  # After which an input hangs.


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
