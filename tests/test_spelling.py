"""The prose is spelled as a dictionary has it, or as `words.txt` does."""

import re
from pathlib import Path

import jupytext
import pytest
from spellchecker import SpellChecker

ROOT = Path(__file__).parents[1]
OWN = set(Path(__file__).with_name("words.txt").read_text("utf-8").lower().split())
PAGES = [
    ROOT / "README.md",
    ROOT / "sskeras" / "distributed.md",
    *sorted(ROOT.glob("benchmarks/*.md")),
    *sorted(ROOT.glob("tutorials/*.md")),
    *sorted(ROOT.glob("tutorials/**/[0-9]*.py")),
]
# Code, formulas, targets of links, tags.
NO_PROSE = r"```.*?```|\$\$.*?\$\$|\$[^$]*\$|`[^`]*`|\]\([^)]*\)|<[^>]*>"


def words(path):
    """Words of the prose of a page or of the text cells of a lesson."""
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        cells = jupytext.reads(text, "py:percent").cells
        text = "\n".join(c.source for c in cells if c.cell_type == "markdown")
    text = re.sub(NO_PROSE, " ", text, flags=re.DOTALL).replace("’", "'")
    return {re.sub("'s?$", "", w) for w in re.findall(r"[A-Za-z][A-Za-z']+", text)}


@pytest.fixture(scope="module")
def dictionary():
    return SpellChecker()


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_it_is_spelled_well(path, dictionary):
    found = words(path)
    assert len(found) > 20
    wrong = dictionary.unknown({w for w in found if not w.isupper()}) - OWN
    assert not wrong, f"correct them, or add them to words.txt: {wrong}"


def test_a_mistake_is_seen(tmp_path, dictionary):
    page = tmp_path / "page.md"
    page.write_text("The sofmax of `sofmaxx` and $sofmaxxx$ in [a](sofmaxxxx) lesson.")
    assert dictionary.unknown(words(page)) == {"sofmax"}
