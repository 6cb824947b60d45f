"""A small HTTP server for a SavedModel, in the words of TensorFlow Serving's REST API.

For teaching and trying. TensorFlow Serving gives the same answers to the same requests,
so that a client moves from one to the other by its address alone.

Reference:
    TensorFlow Serving, "RESTful API" (2024).
"""

import base64
import binascii
import http.server
import json
import re
import signal
import threading

import numpy as np

MOST_BYTES = 32 << 20  # Of a request's body.
MOST_AT_ONCE = 8  # Requests that compute; another one is told to come again.
MOST_SAID = 200  # Characters of an error.
PATIENCE = 30  # Seconds for a client to send what it announced.
ROUTE = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(/versions/1)?(?P<end>:predict|/metadata)?"
)


class Refused(Exception):
    """A request that gets an error: its status and a message."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


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
        if name not in self.signatures:
            known = ", ".join(self.signatures)
            raise Refused(
                400, f"Unknown signature_name {name!r}. Expected one of: {known}"
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
    try:
        return {key: tensor(columns[key], spec) for key, spec in specs.items()}
    except (TypeError, ValueError, binascii.Error) as error:
        text = str(error)[:MOST_SAID]  # TensorFlow repeats what it was given.
        raise Refused(400, f"This is no input for the model: {text}") from error


def tensor(value, spec):
    """A value of JSON as a tensor that fits a signature.

    Raises:
        ValueError: If its shape or its numbers do not.
    """
    import tensorflow as tf

    kind = object if spec.dtype == tf.string else None  # Bytes may end in zeros.
    array = np.array(decoded(value), kind)  # Ragged lists are a ValueError.
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
        if not self.server.places.acquire(blocking=False):
            self.send(503, {"error": "Too many requests at once: try again."})
            return
        try:
            self.send(200, self.answer())
        except Refused as error:
            self.send(error.status, {"error": str(error)})
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # The client has gone.
        except Exception as error:  # Of TensorFlow, for input that it does not take.
            self.send(400, {"error": f"{type(error).__name__}: {error}"})
        finally:
            self.server.places.release()

    do_POST = do_GET

    def answer(self):
        """What the request is answered with."""
        body = self.body() if self.command == "POST" else b""
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
        """The bytes of the request."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise Refused(411, "The request has no Content-Length.")
        if int(length) > self.server.most_bytes:
            most = f"{self.server.most_bytes:,} bytes"
            raise Refused(413, f"The request has more than {most}.")
        found = self.rfile.read(int(length))
        if len(found) < int(length):
            raise Refused(400, "The request is shorter than it announced.")
        return found

    def send(self, status, content):
        """Sends JSON. After an error the connection ends: a body may be left in it."""
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status != 200:
            self.send_header("Connection", "close")
        if status == 503:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(data)

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
        self.servable = servable
        self.most_bytes = most_bytes
        self.most_at_once = most_at_once
        self.places = threading.BoundedSemaphore(most_at_once)
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
        """Takes no more requests, and waits for those that are being answered."""
        self.shutdown()
        for _ in range(self.most_at_once):
            self.places.acquire()
        self.server_close()
