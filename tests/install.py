"""Builds the package, installs it into empty environments and tries it there.

    python tests/install.py                       # wheel and sdist, this Python
    python tests/install.py python3.12 python3.13

Each environment has TensorFlow of its own: a minute and 2 GB apiece, while it lasts.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TRY = """
set -e
sskeras methods | grep -q ssresnet
python -m data_tools phantom --out films --count 120 --size 32
sskeras train --data films --labeled 0.5 --image-size 32 --filters 4 8 --epochs 1 \
    --batch-size 32 --out run
sskeras predict run films/images --out predictions.csv
sskeras evaluate run --data films
sskeras export run --out saved_model
python -c "
import tensorflow as tf
served = tf.saved_model.load('saved_model')
film = tf.io.read_file(tf.io.gfile.glob('films/images/*.png')[0])
print(served.serve_bytes(film[None])['prediction'])
"
"""


def main(pythons):
    """Tries every package with every Python and prints what works."""
    with tempfile.TemporaryDirectory() as folder:
        packages = build(Path(folder, "packages"))
        failed = 0
        for python in pythons:
            for package in packages:
                name = f"{python} {package.name}"
                place = Path(folder, f"{Path(python).name}-{package.suffix[1:]}")
                done = attempt(python, package, place)
                print(
                    f"{name}: {'works' if not done.returncode else 'fails'}", flush=True
                )
                if done.returncode:
                    failed += 1
                    print(done.stdout[-3000:])
    return failed


def build(folder):
    """Returns the paths of a wheel and an sdist."""
    line = [sys.executable, "-m", "build", "--outdir", folder, ROOT]
    subprocess.run(line, check=True, capture_output=True)
    return sorted(folder.iterdir())


def attempt(python, package, place):
    """Installs a package into a new environment and uses it from an empty folder."""
    place.mkdir()
    script = f"set -e\n{python} -m venv env\n. env/bin/activate\n"
    script += f"pip install --quiet '{package}'\n{TRY}"
    return subprocess.run(
        ["bash", "-c", script],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or [sys.executable]))
