"""`sskeras serve`: TensorFlow Serving's requests, limits, and a clean end."""

import base64
import concurrent.futures
import contextlib
import http.client
import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml
from small_methods import SHAPE, new

from sskeras import export, serve
from sskeras.experiments.workers import free_ports
from sskeras.serve import Refused, Servable, Server

EXAMPLES = Path(__file__).parents[1] / "tutorials" / "serving"
PREDICT = "/v1/models/films:predict"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model = new("Supervised", class_names=("normal", "pneumonia", "covid-19"))
    model.compile("adam")
    folder = tmp_path_factory.mktemp("serve") / "saved_model"
    export.saved_model(model, folder)
    return folder


@pytest.fixture(scope="module")
def films():
    return np.random.default_rng(0).integers(0, 256, (3, *SHAPE)).astype("uint8")


@pytest.fixture(scope="module")
def servable(folder):
    return Servable(folder, "films")


@contextlib.contextmanager
def started(servable, **limits):
    """A server that answers."""
    server = Server(servable, port=0, **limits)
    threading.Thread(target=server.serve_forever).start()
    try:
        yield server
    finally:
        server.finish()


@pytest.fixture(scope="module")
def server(servable):
    with started(servable, most_bytes=100_000) as found:
        yield found


@pytest.fixture
def ask(server):
    """Asks the server: the status and the answer."""

    def request(path, content=None, method=None, headers=None):
        line = http.client.HTTPConnection("localhost", server.server_port, timeout=60)
        body = (
            content if isinstance(content, (bytes, type(None))) else json.dumps(content)
        )
        line.request(
            method or ("GET" if body is None else "POST"), path, body, headers or {}
        )
        answer = line.getresponse()
        found = json.loads(answer.read())
        line.close()
        return answer.status, found

    return request


def b64(picture):
    return {"b64": base64.b64encode(tf.io.encode_png(picture).numpy()).decode()}


def test_the_status_says_that_it_is_there(ask):
    for path in ("/v1/models/films", "/v1/models/films/versions/1"):
        status, found = ask(path)
        assert status == 200
        assert found["model_version_status"][0]["state"] == "AVAILABLE"


def test_the_metadata_are_those_of_the_signatures(ask):
    status, found = ask("/v1/models/films/metadata")
    signatures = found["metadata"]["signature_def"]["signature_def"]
    assert status == 200 and {"serve", "serve_bytes"} < {*signatures}
    encoded = signatures["serve_bytes"]["inputs"]["encoded"]
    assert encoded["dtype"] == "DT_STRING"
    assert encoded["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}]
    outputs = signatures["serve"]["outputs"]
    assert outputs["probabilities"]["dtype"] == "DT_FLOAT"


def test_rows_of_bytes_get_rows_of_answers(ask, folder, films):
    expected = tf.saved_model.load(str(folder)).serve(films)
    instances = [b64(film) for film in films]
    named = [{"encoded": instance} for instance in instances]
    for rows in (instances, named):
        content = {"signature_name": "serve_bytes", "instances": rows}
        status, found = ask(PREDICT, content)
        assert status == 200
        answers = found["predictions"]
        probabilities = [answer["probabilities"] for answer in answers]
        np.testing.assert_allclose(probabilities, expected["probabilities"], atol=1e-6)
        assert answers[0]["class_names"] == ["normal", "pneumonia", "covid-19"]
        names = [answer["prediction"].encode() for answer in answers]
        assert names == [*expected["prediction"].numpy()]


def test_bytes_that_end_in_zeros_are_whole(ask, films):
    encoded = tf.io.encode_png(films[0]).numpy() + bytes(5)
    text = {"b64": base64.b64encode(encoded).decode()}
    content = {"signature_name": "serve_bytes", "instances": [b64(films[0]), text]}
    _, found = ask(PREDICT, content)
    one, other = found["predictions"]
    assert one == other


def test_columns_get_columns(ask, folder, films):
    expected = tf.saved_model.load(str(folder)).serve(films)["probabilities"]
    for given in (films.tolist(), {"pictures": films.tolist()}):
        status, found = ask(PREDICT, {"inputs": given})
        assert status == 200
        np.testing.assert_allclose(
            found["outputs"]["probabilities"], expected, atol=1e-6
        )


def spoiled(picture, kind):
    """Bytes that are no picture that is taken."""
    png = tf.io.encode_png(picture).numpy()
    return {
        "empty": b"",
        "text": b"no picture",
        "gif": b"GIF89a, perhaps, but longer than that",
        "cut": png[:-40],
        "huge": png[:16] + (20_000).to_bytes(4, "big") * 2 + png[24:],
    }[kind]


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("kind", ["empty", "text", "gif", "cut", "huge"])
def test_a_bad_picture_is_said_and_the_others_are_answered(ask, films, kind, place):
    rows = [b64(film) for film in films]
    content = {"signature_name": "serve_bytes", "instances": rows}
    _, expected = ask(PREDICT, content)
    bad = base64.b64encode(spoiled(films[0], kind)).decode()
    rows.insert(place, {"b64": bad})
    status, found = ask(PREDICT, content)
    bad = found["predictions"].pop(place)
    assert status == 200 and "no whole PNG or JPEG" in bad["error"]
    assert bad["prediction"] == "" and not any(bad["probabilities"])
    for good, alone in zip(found["predictions"], expected["predictions"], strict=True):
        assert good["error"] == alone["error"] == ""
        assert good["prediction"] == alone["prediction"]
        np.testing.assert_allclose(
            good["probabilities"], alone["probabilities"], atol=1e-6
        )


@pytest.mark.parametrize(
    "content, message",
    [
        (b"{", "no JSON"),
        (b"[" * 90_000, "no JSON"),
        (b"[1]", "no JSON object"),
        ({}, "instances"),
        ({"instances": []}, "instances"),
        ({"instances": [1], "inputs": [1]}, "instances"),
        ({"instances": 5}, "Expected a list with an entry for each picture, not int"),
        ({"inputs": True}, "Expected a list with an entry for each picture, not bool"),
        ({"instances": [1], "signature_name": "x"}, "Unknown signature_name 'x'"),
        ({"instances": [1], "signature_name": [1]}, "Unknown signature_name [1]"),
        ({"instances": [1], "signature_name": "x" * 9000}, "one of: serv"),
        ({"instances": [{"b64": "%"}], "signature_name": "serve_bytes"}, "no input"),
        ({"instances": [{"b65": ""}], "signature_name": "serve_bytes"}, "no input"),
        ({"instances": [[1, 2], [3]]}, "no input"),
        ({"instances": [[[1]]]}, "expected the shape"),
        ({"instances": [[[[300]]]]}, "whole numbers in 0-255"),
        ({"instances": [[[[-1]]]]}, "whole numbers in 0-255"),
        ({"instances": [[[[0.5]]]]}, "whole numbers in 0-255"),
        ({"instances": [[[[10**30]]]]}, "no input"),
        ({"instances": "abc"}, "Expected a list"),
        ({"instances": [1] * 256}, "expected the shape"),
    ],
)
def test_a_wrong_request_is_an_error_with_a_message(ask, content, message):
    status, found = ask(PREDICT, content)
    assert status == 400 and message in found["error"], found
    assert len(found["error"]) < 300


@pytest.mark.parametrize(
    "path, content, method, headers, expected",
    [
        ("/", None, None, None, 404),
        ("/v1/models/other", None, None, None, 404),
        ("/v1/models/films/versions/2:predict", {}, None, None, 404),
        ("/v1/models/../films", None, None, None, 404),
        (PREDICT, None, "GET", None, 405),
        ("/v1/models/films", {}, None, None, 405),
        (PREDICT, b" " * 100_001, None, None, 413),
        (PREDICT, None, "POST", {"Content-Length": "9" * 5000}, 413),
        (PREDICT, {"instances": [1] * 257}, None, None, 413),
        (PREDICT, {"inputs": {"pictures": [[]] * 257}}, None, None, 413),
        (PREDICT, None, "POST", {"Content-Length": "x"}, 411),
    ],
)
def test_other_ways_are_refused(ask, path, content, method, headers, expected):
    status, found = ask(path, content, method, headers)
    assert status == expected and found["error"]


def test_an_error_repeats_little_of_what_it_was_given():
    status, content = Refused(400, "x" * 9000).answer()
    assert status == 400 and len(content["error"]) < 300


def status_of(server):
    """The answer to a client that asks whether the model is there."""
    line = http.client.HTTPConnection("localhost", server.server_port, timeout=60)
    line.request("GET", "/v1/models/films")
    answer = line.getresponse()
    line.close()
    return answer


def test_one_too_many_is_told_to_come_again(servable):
    with started(servable, most_at_once=1) as server, server.place():
        answer = status_of(server)
        assert answer.status == 503 and answer.headers["Retry-After"] == "1"


def announced(server, length, part):
    """A client that has sent a part of what it announced."""
    client = http.client.HTTPConnection("localhost", server.server_port, timeout=10)
    client.putrequest("POST", PREDICT)
    client.putheader("Content-Length", str(length))
    client.endheaders(part)
    return client


def test_a_slow_client_has_no_place_and_must_end_in_time(servable, monkeypatch):
    monkeypatch.setattr(serve, "PATIENCE", 0.5)
    with started(servable, most_at_once=1) as server:
        slow = announced(server, 100, b"{")
        time.sleep(0.2)
        assert status_of(server).status == 200
        time.sleep(0.4)
        slow.send(b"}")
        assert slow.getresponse().status == 408
        slow.close()


def test_bodies_that_arrive_have_room_for_some(servable):
    with started(servable, most_at_once=1, most_bytes=900) as server:
        first = announced(server, 900, bytes(600))
        while server.arriving < 600:
            time.sleep(0.01)
        second = announced(server, 900, bytes(600))
        assert second.getresponse().status == 503
        first.send(bytes(300))
        assert b"no JSON" in first.getresponse().read()
        assert server.arriving == 0
        first.close()
        second.close()


def test_a_request_without_an_end_does_not_keep_the_server(servable, monkeypatch):
    monkeypatch.setattr(serve, "PATIENCE", 0.2)
    server = Server(servable, port=0)
    threading.Thread(target=server.serve_forever).start()
    with server.place():
        ending = threading.Thread(target=server.finish, daemon=True)
        ending.start()
        ending.join(5)
        assert not ending.is_alive()


@pytest.mark.parametrize(
    "head, body",
    [
        ("Content-Length: 5", "hello"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
    ],
)
def test_a_body_that_nobody_reads_is_no_request(server, head, body):
    request = f"GET /v1/models/films HTTP/1.1\r\n{head}\r\n\r\n{body}"
    with socket.create_connection(("localhost", server.server_port), 10) as line:
        line.sendall(request.encode())
        with contextlib.suppress(ConnectionError):
            answer = line.recv(1 << 16)
            while part := line.recv(1 << 16):
                answer += part
    assert answer.count(b"HTTP/1.1 ") == 1 and b"200 OK" in answer
    assert b"Connection: close" in answer


@pytest.mark.parametrize("start", ["GET /v1", f"POST {PREDICT} HTTP/1.1\r\n\r\n"])
def test_a_client_that_goes_away_is_passed_over(server, capsys, start):
    for _ in range(5):
        line = socket.create_connection(("localhost", server.server_port))
        line.sendall(start.encode())
        reset = struct.pack("ii", 1, 0)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        line.close()
    assert status_of(server).status == 200
    for thread in threading.enumerate():
        if "process_request" in thread.name:
            thread.join(5)
    assert capsys.readouterr().err == ""


def test_other_errors_are_printed(server, capsys):
    try:
        raise KeyError("surprise")
    except KeyError:
        server.handle_error(None, ("localhost", 1))
    assert "surprise" in capsys.readouterr().err


@pytest.mark.parametrize("port", [-1, 70_000])
def test_a_port_that_is_none_is_said(port):
    with pytest.raises(ValueError, match=f"{port}. Expected a number"):
        Server(None, port=port)


def test_many_clients_get_the_answers_of_one(ask, films):
    content = {"signature_name": "serve_bytes", "instances": [b64(f) for f in films]}
    expected = ask(PREDICT, content)
    with concurrent.futures.ThreadPoolExecutor(6) as clients:
        found = [*clients.map(lambda _: ask(PREDICT, content), range(60))]
    assert all(answer == expected for answer in found)


def client(*arguments):
    """Runs the client of the tutorials in a Python without packages."""
    line = [
        sys.executable,
        "-I",
        "-S",
        str(EXAMPLES / "client.py"),
        *map(str, arguments),
    ]
    return subprocess.run(line, capture_output=True, text=True, timeout=60)


def test_the_client_asks_about_films(server, films, tmp_path):
    for number, film in enumerate(films):
        tf.io.write_file(str(tmp_path / f"{number}.png"), tf.io.encode_png(film))
    (tmp_path / "3.png").write_bytes(b"no picture")
    found = sorted(tmp_path.glob("*.png"))
    address = f"http://localhost:{server.server_port}"
    done = client(*found, "--address", address)
    assert not done.returncode, done.stderr
    *lines, last = done.stdout.splitlines()
    expected = server.servable.loaded.serve(films)["prediction"].numpy()
    for file, line, name in zip(found, lines, expected, strict=False):
        assert line.startswith(f"{file}: {name.decode()} (normal ")
    assert len(lines) == 3 and "no whole PNG or JPEG" in last
    done = client(found[0], "--address", address, "--name", "others")
    assert done.returncode == 1 and "The server refused" in done.stderr
    done = client(found[0], "--address", f"http://localhost:{free_ports(1)[0]}")
    assert done.returncode == 1 and "No server answers" in done.stderr


def test_the_compose_file_is_for_the_client():
    content = yaml.safe_load((EXAMPLES / "compose.yaml").read_text("utf-8"))
    service = content["services"]["films"]
    name = service["environment"]["MODEL_NAME"]
    [volume], [port] = service["volumes"], service["ports"]
    assert name == "films" and f":/models/{name}/1:ro" in volume
    assert port == "127.0.0.1:8501:8501"


def test_the_command_serves_and_ends_cleanly(folder, films):
    line = [sys.executable, "-m", "sskeras.cli", "serve", str(folder), "--port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(line, **pipes)
    said = process.stdout.readline()
    assert "not a medical device" in said
    address = said.split("/")[2]
    client = http.client.HTTPConnection(address, timeout=60)
    body = {"signature_name": "serve_bytes", "instances": [b64(films[0])]}
    client.request("POST", PREDICT, json.dumps(body))
    assert client.getresponse().status == 200
    process.send_signal(signal.SIGTERM)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and "Stopped" in rest and not errors


def test_what_is_no_saved_model_is_said(tmp_path):
    line = [sys.executable, "-m", "sskeras.cli", "serve", str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 1 and "is no SavedModel" in done.stderr
