"""Makes the notebooks of a folder from their sources, with outputs.

    python tutorials/build.py              # all of them: make tutorials
    python tutorials/build.py 02 05        # those whose names begin so

A source is a Python file in the percent format of jupytext, and the only thing to edit.
Cells tagged `check` hold what a lesson claims as assertions; they run here and in the
tests, and notebooks do not show them. What goes to standard error is left out.
"""

import argparse
import base64
import itertools
import os
import time
from pathlib import Path

import jupytext
import nbclient
import nbformat

HERE = Path(__file__).parent
FAST = "SSKERAS_FAST"  # In the environment: seconds in place of minutes, for tests.
LARGEST_PICTURE = 300_000  # Bytes.
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def main():
    """Makes the notebooks that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="beginnings of names (all)")
    names = parser.parse_args().names or [""]
    for source in sources():
        if any(source.name.startswith(name) for name in names):
            start = time.perf_counter()
            print(f"{source.relative_to(HERE)} ...", end=" ", flush=True)
            made = execute(notebook(source, checks=True), source.parent)
            write(source, without_checks(made))
            print(f"{time.perf_counter() - start:.0f} s", flush=True)


def sources():
    """The lessons in order, then their solutions."""
    return sorted(HERE.glob("[0-9]*.py")) + sorted(HERE.glob("solutions/[0-9]*.py"))


def notebook(source, checks=False):
    """The notebook of a source, not executed yet.

    Args:
        source: Path.
        checks: Whether it has the cells that are tagged `check`.
    """
    made = jupytext.read(source)
    made.metadata = {"kernelspec": KERNEL, "accelerator": "GPU"}
    made.cells = [cell for cell in made.cells if checks or not is_check(cell)]
    numbers = {True: itertools.count(), False: itertools.count()}
    for cell in made.cells:  # The same names in every build.
        check = is_check(cell)
        cell["id"] = f"{'check' if check else 'cell'}-{next(numbers[check]):02d}"
        cell.metadata = {}
    return made


def without_checks(made):
    """An executed notebook without the cells that check."""
    made.cells = [cell for cell in made.cells if not cell.id.startswith("check")]
    code = (cell for cell in made.cells if cell.cell_type == "code")
    for number, cell in enumerate(code, start=1):
        cell.execution_count = number
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
    return made


def is_check(cell):
    return "check" in cell.metadata.get("tags", ())


def execute(made, folder, fast=False):
    """Runs a notebook in a folder, in a kernel of its own, and returns it."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONHASHSEED": "0"}
    if fast:
        environment[FAST] = "1"
    client = nbclient.NotebookClient(
        made, timeout=1200, resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=environment)
    return clean(made)


def clean(made):
    """Leaves out what is noise in an executed notebook, and refuses what went wrong.

    What `%run` fails with is no error of the cell for nbclient, only an output.
    """
    for cell in made.cells:
        cell.metadata = {}
        if cell.cell_type != "code":
            continue
        cell.outputs = joined(o for o in cell.outputs if o.get("name") != "stderr")
        for output in cell.outputs:
            picture = output.get("data", {}).get("image/png", "")
            if len(base64.b64decode(picture)) > LARGEST_PICTURE:
                raise ValueError(f"A picture is too large, below\n{cell.source}")
            if output.output_type == "error":
                trace = "\n".join(output.traceback)
                raise RuntimeError(f"An error, below\n{cell.source}\n\n{trace}")
    return made


def joined(outputs):
    """One output where a cell printed in several parts, as on a busy machine."""
    found = []
    for output in outputs:
        if found and output.get("name") == found[-1].get("name") == "stdout":
            found[-1].text += output.text
        else:
            found.append(output)
    return found


def write(source, made):
    """Writes the notebook beside its source."""
    nbformat.validate(made)
    nbformat.write(made, source.with_suffix(".ipynb"))


if __name__ == "__main__":
    main()
