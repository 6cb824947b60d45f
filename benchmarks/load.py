"""Loads `sskeras serve` with requests: are the answers right, is the memory flat?

    python benchmarks/load.py                       # 10 minutes, 4 clients
    python benchmarks/load.py --minutes 1 --clients 8

Clients send PNG files of drawn films, one to four in a request, and in one of ten also
bytes that are no picture. Every answer is compared with what `predict` says of the same
film. Memory is that of the server's process, each second after the first tenth of the
time. Run it where nothing else runs.
"""

import argparse
import base64
import collections
import http.client
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from common import print_machine, print_table

PREDICT = "/v1/models/films:predict"
BROKEN = {"b64": base64.b64encode(b"no picture").decode()}


def main():
    """Trains a small model, serves it, loads it and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=4)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files, expected = prepare(Path(folder))
        server, address = serve(Path(folder, "run", "saved_model"))
        try:
            load = Load(address, files, expected, 60 * arguments.minutes)
            memory = load.run(arguments.clients, server.pid)
        finally:
            server.terminate()
            ended = server.wait(60)
    low, high = min(memory), max(memory)
    heads = ["requests", "a second", "wrong answers", "refused (503)", "other errors"]
    number = len(load.seconds)
    rate = f"{number / (60 * arguments.minutes):.0f}"
    found = load.count
    print_table(heads, [[number, rate, found["wrong"], found["busy"], found["error"]]])
    shown = [
        f"{1000 * np.percentile(load.seconds, p):.1f} ms" for p in (50, 95, 99, 100)
    ]
    heads = ["median", "95 %", "99 %", "slowest", "memory, lowest and highest"]
    print_table(heads, [[*shown, f"{low >> 20} and {high >> 20} MiB"]])
    print_machine()
    if found["wrong"] or found["error"] or ended or high - low > 64 << 20:
        sys.exit("Answers were wrong, the memory grew, or the server ended badly.")


def prepare(folder):
    """Encoded films, and the probabilities of a small model for them."""
    import sskeras
    from data_tools import phantom
    from sskeras import data

    films = phantom.write(folder / "films", count=120, seed=0, size=256)
    line = [sys.executable, "-m", "sskeras.cli", "train", "--data", str(films)]
    line += "--image-size 64 --filters 8 16 --epochs 2 --precision float32".split()
    subprocess.run([*line, "--out", folder / "run"], check=True, capture_output=True)
    paths = data.read_manifest(films).path[:64]
    x = data.load_pictures(paths, 64, progress=False)
    model = sskeras.load_model(folder / "run" / "model.keras")
    encoded = [base64.b64encode(Path(path).read_bytes()).decode() for path in paths]
    return [{"b64": text} for text in encoded], model.predict(x, verbose=0)


def serve(saved_model):
    """Starts the server; returns its process and its address."""
    line = [sys.executable, "-m", "sskeras.cli", "serve", saved_model, "--port", "0"]
    server = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    return server, re.search(r"http://([^/]+)/", server.stdout.readline())[1]


class Load:
    """Clients that ask until the time is over, and what they saw."""

    def __init__(self, address, files, expected, seconds):
        self.address, self.files, self.expected = address, files, expected
        self.end = time.monotonic() + seconds
        self.warm = time.monotonic() + seconds / 10
        self.seconds, self.count = [], collections.Counter()

    def run(self, clients, pid):
        """Runs the clients; returns the server's memory in bytes, second by second."""
        threads = [threading.Thread(target=self.ask, args=(i,)) for i in range(clients)]
        for thread in threads:
            thread.start()
        memory = []
        while any(thread.is_alive() for thread in threads):
            time.sleep(1)
            if self.warm < time.monotonic() < self.end:
                status = Path(f"/proc/{pid}/status").read_text()
                memory.append(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) << 10)
        return memory

    def ask(self, number):
        """Sends one request after the other over one connection."""
        draw = random.Random(number)
        client = http.client.HTTPConnection(self.address, timeout=60)
        while time.monotonic() < self.end:
            chosen = draw.choices(range(len(self.files)), k=draw.choice((1, 1, 2, 4)))
            rows = [self.files[i] for i in chosen]
            if draw.random() < 0.1:
                chosen, rows = [*chosen, None], [*rows, BROKEN]
            body = json.dumps({"signature_name": "serve_bytes", "instances": rows})
            start = time.perf_counter()
            try:
                client.request("POST", PREDICT, body)
                answer = client.getresponse()
                found = json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError):
                self.count["error"] += 1
                client.close()
                continue
            self.seconds.append(time.perf_counter() - start)
            if answer.status == 200:
                right = self.right(chosen, found["predictions"])
                self.count["right" if right else "wrong"] += 1
            else:
                self.count["busy" if answer.status == 503 else "error"] += 1

    def right(self, chosen, answers):
        """Whether each answer is what `predict` says, or an error for no picture."""
        return all(
            bool(answer["error"])
            if i is None
            else np.allclose(answer["probabilities"], self.expected[i], atol=1e-5)
            for i, answer in zip(chosen, answers, strict=True)
        )


if __name__ == "__main__":
    main()
