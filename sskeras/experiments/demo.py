"""A page to try a run on a film: probabilities, where it looked, and a warning."""

import base64
import io
import threading
import urllib.parse
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

from data_tools import pictures
from sskeras import data, evaluate, explain, serve
from sskeras.experiments import use
from sskeras.experiments.folder import RunFolder, read_json

PAGE = Path(__file__).with_name("demo.html")
SIDE = 512  # pixels of a film on the page
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; connect-src 'self'"
)
UNKNOWN = (
    "How far these probabilities can be trusted is not known. `sskeras evaluate "
    "--full` measures it."
)


class Judge:
    """A finished run that is asked about one film at a time.

    What `sskeras evaluate --full` left in its folder, temperature and the threshold of
    conformal sets, is used.

    Args:
        run: Folder of the run.
    """

    def __init__(self, run):
        self.model = use.load(run)
        self.names = list(self.model.class_names)
        report = RunFolder(run).path / "report" / "scores.json"
        self.trust = trust(report) if report.exists() else None
        self.lock = threading.Lock()  # Films take turns: each uses all processors.

    def answer(self, name, content):
        """What the page shows of a film.

        Args:
            name: Name of the file.
            content: Its bytes: PNG, JPEG, DICOM and what else `data_tools` reads.

        Returns:
            Dict that `json.dumps` takes as it is.

        Raises:
            PictureError: If this is no film.
        """
        with self.lock:
            film = pictures.decode(name, content).pixels
            p, called, shown, heat = self.look(film)
        found = {
            "classes": self.names,
            "prediction": self.names[called],
            "film": as_address(shown),
            "heat": as_address(colored(explain.enlarge(heat, shown.size[::-1]))),
        }
        return found | self.trusted(p)

    def look(self, film):
        """Probabilities, class, the film as it is shown, and where the model looked."""
        (height, width), channels = use.input_size(self.model)
        picture = np.repeat(film[..., None], channels, axis=-1)
        x = np.asarray(data.pictures.resize(picture, (height, width)))[None]
        p = self.model.predict_on_batch(x)  # `predict` sets up a loop first.
        called = int(p[0].argmax())
        heat = explain.grad_cam(self.model, x, [called])[0]
        shown = Image.fromarray(film)
        shown.thumbnail((SIDE, SIDE))
        return p, called, shown, heat

    def trusted(self, p):
        """Probabilities as far as they can be trusted, and a sentence about it."""
        if self.trust is None:
            return {
                "probabilities": p[0].tolist(),
                "calibrated": False,
                "note": UNKNOWN,
            }
        temperature, coverage, least = self.trust
        inside = p[0] >= least
        named = [name for name, holds in zip(self.names, inside, strict=True) if holds]
        note = (
            f"A set made to hold the true class {100 * coverage:g} times of "
            f"100: {' or '.join(named) or 'none'}. That holds for films like those it "
            "was made from, on average over all classes, and not for a rare class."
        )
        p = evaluate.calibrated(p, temperature)
        return {"probabilities": p[0].tolist(), "calibrated": True, "note": note}


def trust(report):
    """Temperature, and coverage and threshold of the sets, that a report holds."""
    scores = read_json(report)
    try:
        found, sets = scores["trust"], scores["trust"]["conformal"]
        # Of two halves the more cautious, which leaves out fewer classes.
        least = min(-np.inf if t is None else t for t in sets["threshold"])
        return float(np.mean(found["temperature"])), float(sets["coverage"]), least
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"'{report}' is damaged: {error!r}. Repeat `sskeras evaluate --full`."
        ) from error


def colored(heat):
    """A map as a picture that is transparent where nothing speaks for the class."""
    found = matplotlib.colormaps["inferno"](heat)
    found[..., 3] = np.sqrt(heat)
    return Image.fromarray((255 * found).astype("uint8"))


def as_address(image):
    """A picture as an address that holds it."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


class Handler(serve.Handler):
    """Sends the page, and answers for films."""

    def answer(self, body):
        """What a film is answered with."""
        path, _, query = self.path.partition("?")
        if self.command == "GET" and path == "/":
            return None
        if self.command != "POST" or path != "/film":
            raise serve.Refused(404, "Nothing is here: the page is /.")
        [name] = urllib.parse.parse_qs(query).get("name", [""])
        try:
            return self.server.servable.answer(name, body)
        except pictures.PictureError as error:
            raise serve.Refused(
                400, f"This is no film that can be read: {error}."
            ) from error

    def send(self, status, content):
        """Sends JSON, or the page where there is no content."""
        if content is not None:
            super().send(status, content)
            return
        policy = {"Content-Security-Policy": POLICY}
        self.write(status, "text/html; charset=utf-8", PAGE.read_bytes(), **policy)


class Server(serve.Server):
    """`serve.Server` with a page; its servable is a `Judge`."""

    handler = Handler
