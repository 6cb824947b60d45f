"""Every lesson runs, holds what it claims, and is what its notebook shows."""

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.slow

TUTORIALS = Path(__file__).parents[1] / "tutorials"
spec = importlib.util.spec_from_file_location("build", TUTORIALS / "build.py")
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)
SOURCES = build.sources()


@pytest.fixture(params=SOURCES, ids=lambda path: str(path.relative_to(TUTORIALS)))
def source(request):
    return request.param


def committed(source):
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def test_every_lesson_has_a_solution_and_a_notebook():
    lessons = [path.name for path in SOURCES if path.parent == TUTORIALS]
    solutions = [path.name for path in SOURCES if path.parent != TUTORIALS]
    assert lessons and lessons == solutions
    assert all(path.with_suffix(".ipynb").exists() for path in SOURCES)


def runs_in_its_solution(source):
    solution = source.parent / "solutions" / source.name
    return solution.exists() and re.search(
        rf"^# %run .*{source.name}$", solution.read_text("utf-8"), flags=re.MULTILINE
    )


def test_it_runs_and_holds_what_it_claims(source, tmp_path):
    if runs_in_its_solution(source):
        pytest.skip("Its solution runs it first.")
    copy = tmp_path / "tutorials"
    (copy / "solutions").mkdir(parents=True)
    for path in SOURCES:
        (copy / path.relative_to(TUTORIALS)).write_text(path.read_text("utf-8"))
    folder = copy / source.relative_to(TUTORIALS).parent
    done = build.execute(build.notebook(source, checks=True), folder, fast=True)
    for cell in (cell for cell in done.cells if cell.cell_type == "code"):
        assert cell.execution_count, cell.source


def test_an_error_within_run_is_seen(tmp_path):
    (tmp_path / "lesson.py").write_text("assert False, 'a claim that is wrong'")
    (tmp_path / "solution.py").write_text("# %%\n# %run -i lesson.py\n")
    made = build.notebook(tmp_path / "solution.py")
    with pytest.raises(RuntimeError, match="a claim that is wrong"):
        build.execute(made, tmp_path)


def test_the_notebook_is_that_of_its_source(source):
    wanted = build.notebook(source)
    found = committed(source)
    assert [(c.id, c.cell_type, c.source) for c in found.cells] == [
        (c.id, c.cell_type, c.source) for c in wanted.cells
    ]


def test_the_notebook_has_outputs_and_no_noise(source):
    code = [cell for cell in committed(source).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
    for output in (output for cell in code for output in cell.outputs):
        assert output.get("name") != "stderr" and output.output_type != "error"
        text = str(output.get("text", "")) + str(
            output.get("data", {}).get("text/plain")
        )
        assert "INFO:" not in text and str(Path.home()) not in text
        assert not re.search(r"/(tmp|work|home)/", text), text


def test_a_lesson_says_what_it_must(source):
    text = " ".join(" ".join(c.source for c in build.notebook(source).cells).split())
    if source.parent == TUTORIALS:
        for needed in ("**Goal.**", "**Time.**", "## Summary", "## Exercises"):
            assert needed in text, needed
        assert "Not for clinical use" in text and "colab-badge" in text
        assert f"{source.stem}.ipynb" in text and f"solutions/{source.stem}" in text


def test_links_between_notebooks_lead_somewhere(source):
    for cell in build.notebook(source).cells:
        for link in re.findall(r"\]\(([^):]+\.ipynb)\)", cell.source):
            target = source.parent / link
            assert target.with_suffix(".py").exists(), link
