"""A small HTTP server for a SavedModel, in the words of TensorFlow Serving's REST API.

For teaching and trying. TensorFlow Serving gives the same answers to the same requests,
so that a client moves from one to the other by its address alone.

Reference:
    TensorFlow Serving, "RESTful API" (2024).
"""

import base64
import binascii
import contextlib
import http.server
import json
import re
import signal
import sys
import threading
import time

import numpy as np

MOST_BYTES = 32 << 20  # Of a request's body.
MOST_AT_ONCE = 8  # Requests that compute; another one is told to come again.
MOST_PICTURES = 256  # Of a request.
MOST_SAID = 250  # Characters of an error.
PATIENCE = 30  # Seconds for a client to send the whole of what it announced.
BUSY = "Too many requests at once: try again."
PIECE = 1 << 16  # Bytes of a body that are taken at a time.
ROUTE = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(/versions/1)?(?P<end>:predict|/metadata)?"
)


class Refused(Exception):
    """A request that gets an error: its status and a message."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status

    def answer(self):
        """Status and content of the answer; errors repeat what they were given."""
        return self.status, {"error": str(self)[:MOST_SAID]}


class Servable:
    """A SavedModel that answers requests that are JSON.

    Args:
        folder: Folder of the SavedModel.
        name: Its name in the addresses.
    """

    def __init__(self, folder, name):
        import tensorflow as tf

        self.name = name
        self.loaded = tf.saved_model.load(str(folder))  # Keeps its variables alive.
        self.signatures = self.loaded.signatures

    def status(self):
        """The answer to `GET /v1/models/NAME`."""
        state = {"version": "1", "state": "AVAILABLE"}
        state["status"] = {"error_code": "OK", "error_message": ""}
        return {"model_version_status": [state]}

    def metadata(self):
        """The answer to `GET /v1/models/NAME/metadata`."""
        described = {
            name: {
                "inputs": {k: describe(v) for k, v in inputs(signature).items()},
                "outputs": {
                    k: describe(v) for k, v in signature.structured_outputs.items()
                },
                "method_name": "tensorflow/serving/predict",
            }
            for name, signature in self.signatures.items()
        }
        return {
            "model_spec": {"name": self.name, "signature_name": "", "version": "1"},
            "metadata": {"signature_def": {"signature_def": described}},
        }

    def predict(self, request):
        """The answer to `POST /v1/models/NAME:predict`.

        Args:
            request: Dict with `instances`, a list with an entry for each picture, or
                `inputs`, lists by the name of the input; and `signature_name`. Bytes
                are `{"b64": "..."}`.

        Returns:
            Dict with `predictions`, one for each instance, or `outputs` by name.

        Raises:
            Refused: If the request does not fit the model.
        """
        name = request.get("signature_name") or "serving_default"
        known = [*self.signatures]
        if name not in known:
            raise Refused(
                400,
                f"Unknown signature_name {name!r:.50}. "
                f"Expected one of: {', '.join(known)}",
            )
        signature = self.signatures[name]
        rowwise = "instances" in request
        found = signature(**arguments(request, inputs(signature)))
        columns = {key: as_json(value.numpy()) for key, value in found.items()}
        if not rowwise:
            return {"outputs": columns}
        rows = zip(*columns.values(), strict=True)
        return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}


def inputs(signature):
    """The inputs of a signature, by name."""
    return signature.structured_input_signature[1]


def describe(spec):
    """A tensor as TensorFlow Serving describes it."""
    sizes = [{"size": str(-1 if n is None else n), "name": ""} for n in spec.shape]
    kind = f"DT_{'STRING' if spec.dtype.name == 'string' else spec.dtype.name.upper()}"
    shape = {"dim": sizes, "unknown_rank": False}
    return {"dtype": kind.replace("FLOAT32", "FLOAT"), "tensor_shape": shape}


def arguments(request, specs):
    """The tensors for a signature that a request holds."""
    given = request.get("instances", request.get("inputs"))
    if not given or ("instances" in request) == ("inputs" in request):
        raise Refused(400, "Expected one of `instances` and `inputs`, not empty.")
    if not isinstance(given, list | dict):
        kind = type(given).__name__
        raise Refused(
            400, f"Expected a list with an entry for each picture, not {kind}."
        )
    named = [given] if isinstance(given, dict) else given
    if all(isinstance(row, dict) and set(row) == set(specs) for row in named):
        columns = (
            given
            if named is not given
            else {key: [row[key] for row in given] for key in specs}
        )
    elif len(specs) == 1:
        columns = dict.fromkeys(specs, given)
    else:
        raise Refused(400, f"Expected the inputs {', '.join(specs)} by name.")
    lists = [column for column in columns.values() if isinstance(column, list)]
    count = max(map(len, lists), default=0)
    if count > MOST_PICTURES:
        raise Refused(
            413,
            f"The request has {count:,} pictures. Send at most {MOST_PICTURES}.",
        )
    try:
        return {key: tensor(columns[key], spec) for key, spec in specs.items()}
    except (TypeError, ValueError, binascii.Error) as error:
        raise Refused(400, f"This is no input for the model: {error}") from error


def tensor(value, spec):
    """A value of JSON as a tensor that fits a signature.

    Raises:
        ValueError: If its shape or its numbers do not.
    """
    import tensorflow as tf

    if spec.dtype == tf.string:
        array = np.array(decoded(value), object)  # Bytes may end in zeros.
    else:
        array = np.array(value)  # Ragged lists are a ValueError.
    if not spec.shape.is_compatible_with(array.shape):
        raise ValueError(f"expected the shape {spec.shape}, received {array.shape}")
    if spec.dtype.is_integer:
        least, most = spec.dtype.limits
        if array.dtype.kind not in "iu" or array.min() < least or array.max() > most:
            raise ValueError(f"expected whole numbers in {least}-{most}")
    return tf.constant(array, spec.dtype)


def decoded(value):
    """A value of JSON with its bytes in place of `{"b64": "..."}`."""
    if isinstance(value, list):
        return [decoded(part) for part in value]
    if isinstance(value, dict):
        if set(value) != {"b64"} or not isinstance(value["b64"], str):
            raise ValueError('an object is not {"b64": "..."}')
        return base64.b64decode(value["b64"], validate=True)
    return value


def as_json(array):
    """Numbers and texts of an array, as lists."""
    if array.dtype == object:
        return [
            as_json(part) if hasattr(part, "dtype") else text(part) for part in array
        ]
    return array.tolist()


def text(value):
    """Bytes as a text, which class names are."""
    return value.decode() if isinstance(value, bytes) else value


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers a connection; its `server` has the model and a place for each request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # Else head and body wait for each other.
    timeout = PATIENCE

    def do_GET(self):
        try:
            body = self.body() if self.command == "POST" else b""
            with self.server.place():
                self.send(200, self.outcome(body))
        except Refused as error:
            self.send(*error.answer())

    do_POST = do_GET

    def outcome(self, body):
        """What the request is answered with, or why it is not: `Refused`."""
        try:
            return self.answer(body)
        except Refused:
            raise
        except Exception as error:  # Of TensorFlow, for input that it does not take.
            raise Refused(400, f"{type(error).__name__}: {error}") from error

    def answer(self, body):
        """What the request is answered with."""
        servable = self.server.servable
        route = ROUTE.fullmatch(self.path.partition("?")[0])
        if not route or route["name"] != servable.name:
            known = f"/v1/models/{servable.name}"
            raise Refused(404, f"Nothing is here: {known} is, and {known}:predict.")
        match self.command, route["end"]:
            case "GET", None:
                return servable.status()
            case "GET", "/metadata":
                return servable.metadata()
            case "POST", ":predict":
                return servable.predict(parsed(body))
        raise Refused(405, "POST is for :predict, GET for the status and /metadata.")

    def body(self):
        """The bytes of the request. It has no place yet: they may arrive slowly."""
        length = self.length()
        found, end = bytearray(), time.monotonic() + PATIENCE
        try:
            while len(found) < length:
                self.connection.settimeout(max(0.01, end - time.monotonic()))
                part = self.rfile.read1(min(PIECE, length - len(found)))
                if not part:
                    raise Refused(400, "The request is shorter than it announced.")
                found += part
                if not self.server.hold(len(part)):
                    raise Refused(503, BUSY)
        except TimeoutError as error:
            message = f"The request did not arrive within {PATIENCE} seconds."
            raise Refused(408, message) from error
        finally:
            self.connection.settimeout(PATIENCE)
            self.server.hold(-len(found))
        return bytes(found)

    def length(self):
        """The bytes that the request announces."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise Refused(411, "The request has no Content-Length.")
        if len(length) > 18 or int(length) > self.server.most_bytes:
            most = f"{self.server.most_bytes:,} bytes"
            raise Refused(413, f"The request has more than {most}.")
        return int(length)

    def send(self, status, content):
        """Sends JSON."""
        self.write(status, "application/json", json.dumps(content).encode())

    def write(self, status, kind, data, **headers):
        """Sends an answer. The connection ends where a body may be left in it."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if status != 200 or self.unread():
            headers["Connection"] = "close"
        if status == 503:
            headers["Retry-After"] = "1"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def unread(self):
        """Whether the request has a body that nobody has read."""
        announced = self.command == "GET" and "Content-Length" in self.headers
        return announced or "Transfer-Encoding" in self.headers

    def log_message(self, form, *values):
        """Nothing: a lecture has enough to look at."""


def parsed(body):
    """The request that a body holds."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"The body is no JSON: {error}") from error
    if not isinstance(request, dict):
        raise Refused(400, "The body is no JSON object.")
    return request


class Server(http.server.ThreadingHTTPServer):
    """A server that finishes what it has begun when it is shut down.

    Args:
        servable: A `Servable`.
        host: Address to listen to; "127.0.0.1" is this machine alone.
        port: Number of the port; 0 takes any that is free.
        most_bytes: Size of the largest request.
        most_at_once: Requests that are computed at the same time.

    Example:

    >>> server = Server(Servable("saved_model", "films"))
    >>> threading.Thread(target=server.serve_forever).start()
    >>> server.finish()
    """

    handler = Handler

    def __init__(
        self,
        servable,
        host="127.0.0.1",
        port=8501,
        most_bytes=MOST_BYTES,
        most_at_once=MOST_AT_ONCE,
    ):
        if not 0 <= port <= 65535:
            raise ValueError(f"The port is {port}. Expected a number from 0 to 65535.")
        self.servable = servable
        self.most_bytes = most_bytes
        self.most_at_once = most_at_once
        self.places = threading.BoundedSemaphore(most_at_once)
        self.lock, self.arriving = threading.Lock(), 0  # Bytes of bodies.
        super().__init__((host, port), self.handler)

    def run(self):
        """Answers until it is interrupted or terminated (SIGINT, SIGTERM)."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        thread = threading.Thread(target=self.serve_forever)
        thread.start()
        try:
            thread.join()
        except KeyboardInterrupt:
            self.finish()

    def finish(self):
        """Takes no more requests, and waits a while for those that have a place."""
        self.shutdown()
        end = time.monotonic() + PATIENCE
        for _ in range(self.most_at_once):
            self.places.acquire(timeout=max(0, end - time.monotonic()))
        self.server_close()

    @contextlib.contextmanager
    def place(self):
        """One of the places of requests that compute."""
        if not self.places.acquire(blocking=False):
            raise Refused(503, BUSY)
        try:
            yield
        finally:
            self.places.release()

    def hold(self, count):
        """Counts bytes of bodies that arrive: is there room for them?"""
        with self.lock:
            self.arriving += count
            return self.arriving <= self.most_at_once * self.most_bytes

    def handle_error(self, request, client_address):
        """Prints what went wrong, unless the client has gone."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)
