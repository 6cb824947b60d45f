"""Asks TensorFlow Serving, or `sskeras serve`, about films.

    python client.py film.png other.jpg [--address http://127.0.0.1:8501] [--name films]

Needs nothing but Python. Not for clinical use.
"""

import argparse
import base64
import json
import sys
import urllib.error
import urllib.request


def main():
    """Prints a line for each film."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("films", nargs="+", help="PNG or JPEG files")
    parser.add_argument("--address", default="http://127.0.0.1:8501")
    parser.add_argument("--name", default="films", help="of the model (films)")
    arguments = parser.parse_args()
    answers = predict(arguments.films, arguments.address, arguments.name)
    for film, answer in zip(arguments.films, answers, strict=True):
        if answer["error"]:
            print(f"{film}: {answer['error']}")
            continue
        pairs = zip(answer["class_names"], answer["probabilities"], strict=True)
        shares = ", ".join(f"{name} {100 * p:.1f} %" for name, p in pairs)
        print(f"{film}: {answer['prediction']} ({shares})")


def predict(films, address, name):
    """The answers of a server, one dict for each film."""
    instances = []
    for film in films:
        with open(film, "rb") as file:
            text = base64.b64encode(file.read()).decode()
        instances.append({"encoded": {"b64": text}})
    request = urllib.request.Request(
        f"{address}/v1/models/{name}:predict",
        json.dumps({"signature_name": "serve_bytes", "instances": instances}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["predictions"]
    except urllib.error.HTTPError as error:
        sys.exit(f"The server refused: {error.read().decode()}")
    except urllib.error.URLError as error:
        sys.exit(f"No server answers at {address}: {error.reason}")


if __name__ == "__main__":
    main()
