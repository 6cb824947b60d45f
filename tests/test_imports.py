"""Modules import downwards only, and start-up stays cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = [
    {"losses", "schedules", "metrics", "augment", "layers", "precision"},
    {"networks", "data", "plots"},
    {"methods"},
    {"export", "explain", "evaluate", "serve"},
    {"experiments"},
    {"cli"},
]
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
FILES = sorted((ROOT / "sskeras").rglob("*.py"))


def imported(path, package):
    """First-level modules of a package that a file imports."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package):
            _, *rest = node.module.split(".")
            yield from rest[:1] or [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == package:
                    yield (alias.name.split(".") + ["__init__"])[1]


def mistakes(path, own):
    """Imports of a file of module `own` that do not point downwards."""
    names = set(imported(path, "sskeras")) - {own}
    if own == "methods":  # A method is given its network and its batches.
        return {name for name in names if RANK.get(name, 99) > 0}
    return {name for name in names if RANK.get(name, 99) >= RANK[own]}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards(path):
    own = path.relative_to(ROOT / "sskeras").parts[0].removesuffix(".py")
    if own == "__init__":
        assert not set(imported(path, "sskeras"))
    else:
        assert not mistakes(path, own)


def test_methods_are_free_of_tensorflow():
    """So that a step for another back end can stand beside that of `base.py`."""
    for path in (ROOT / "sskeras" / "methods").glob("*.py"):
        uses = "import tensorflow" in path.read_text("utf-8")
        assert uses == (path.name in ("base.py", "replicas.py")), path


def test_the_import_test_sees_a_wrong_arrow(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from sskeras.methods import base\nimport sskeras.cli\n")
    assert mistakes(wrong, "losses") == {"methods", "cli"}
    wrong.write_text("from sskeras import losses, networks\n")
    assert mistakes(wrong, "methods") == {"networks"}


def test_data_tools_knows_neither_sskeras_nor_tensorflow():
    for path in (ROOT / "data_tools").rglob("*.py"):
        for package in ("sskeras", "tensorflow", "keras"):
            assert not list(imported(path, package)), path
            assert f"import {package}" not in path.read_text("utf-8"), path


def modules_after(code):
    """Top-level modules loaded by a fresh interpreter that runs some code."""
    code += "\nimport sys; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert not done.returncode, done.stderr
    return set(done.stdout.splitlines()[-1].split())


HEAVY = {"tensorflow", "keras", "numpy", "pandas", "matplotlib", "sklearn", "scipy"}


def test_the_package_and_its_help_load_nothing_heavy():
    assert not HEAVY & modules_after("import sskeras")
    help_ = "import contextlib, sskeras.cli\n"
    help_ += "with contextlib.suppress(SystemExit): sskeras.cli.main(['--help'])"
    assert not HEAVY & modules_after(help_)


def test_manifests_are_read_without_tensorflow():
    found = modules_after("from sskeras.data import read_manifest, hide_labels")
    assert not {"tensorflow", "keras"} & found


def test_the_table_of_contents_is_complete():
    import sskeras

    for name in sskeras.__all__:
        assert getattr(sskeras, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sskeras.nothing


REGISTERED = """
import pkgutil, sskeras, keras
from sskeras.methods import saving

known = set(keras.saving.get_custom_objects())
for module in pkgutil.walk_packages(sskeras.__path__, "sskeras."):
    __import__(module.name)
print(sorted(set(keras.saving.get_custom_objects()) - known), len(known))
"""


def test_what_loads_a_model_knows_every_class_of_the_package():
    """Also in a process that has built none of them."""
    done = subprocess.run(
        [sys.executable, "-c", REGISTERED], capture_output=True, text=True, cwd=ROOT
    )
    unknown, count = done.stdout.rsplit(maxsplit=1)
    assert unknown == "[]" and int(count) > 20, done.stderr
