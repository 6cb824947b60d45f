"""Fuzzes the reader of manifests, guided by the lines that each input reaches.

    python benchmarks/fuzz_guided.py -runs=50000       # options are libFuzzer's

The other entries spend their time in TensorFlow, HDF5 and zip, whose lines cannot be
seen from here: `fuzz.py` feeds those without guidance. What is wrong is as there; the
limits are 60 seconds and 2 GiB in all.
Needs `pip install atheris` (Linux, Python up to 3.13).
"""

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["sskeras.data", "data_tools.manifest"]):
    from sskeras.data import manifest, manifest_checks  # noqa: F401

import fuzz
import fuzz_kinds

from data_tools import phantom


def main():
    """Draws films, then reads what the fuzzer makes of their manifest."""
    warnings.simplefilter("ignore")
    folder = tempfile.mkdtemp()
    phantom.write(Path(folder, "films"), count=80, seed=0, size=32)
    attempt, place = fuzz_kinds.Manifests(folder), Path(folder, "place")
    place.mkdir()
    seeds = Path(folder, "seeds")
    seeds.mkdir()
    for number, content in enumerate(attempt.sound):
        (seeds / str(number)).write_bytes(content)
    deeds = fuzz.misdeeds(place)

    def one(content):
        try:
            attempt(content, place)
        except fuzz.PROMISED as error:
            if not str(error):
                raise
        if deeds:
            raise AssertionError("; ".join(deeds))

    limits = ["-max_len=4096", "-timeout=60", "-rss_limit_mb=2048"]
    atheris.Setup([sys.argv[0], *limits, *sys.argv[1:], str(seeds)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
