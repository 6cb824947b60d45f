"""The released lists of COVIDx, versions 1 to 9: a parser that loses no line.

Their format drifts. A line is `id file label source`, but ids may hold a blank
(`COVID 1 COVID(1).png COVID-19 sirm`), the source may be missing or misspelled
(`rnsa`), and binary lists say `positive`. The one word that is a label is what a line
can be read by.

The lists are not part of this project (AGPL-3.0); they are read from a clone.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from data_tools.sources.base import Row

GET = "folder labels of github.com/lindawangg/COVID-Net"
LABELS = {
    "normal": "normal",
    "pneumonia": "pneumonia",
    "COVID-19": "covid-19",
    "positive": "covid-19",
    "negative": "negative",
    "level1": "level1",
    "level2": "level2",
}
NAMES = {
    "rsna": "rsna",
    "rnsa": "rsna",
    "cohen": "cohen",
    "fig1": "figure1",
    "actmed": "actualmed",
    "sirm": "radiography",
    "ricord": "ricord",
    "bimcv": "bimcv",
    "stonybrook": "stonybrook",
}
THREE, TWO = ("normal", "pneumonia", "covid-19"), ("negative", "covid-19")
COUNTS = {  # rows of train and of test by class, computed from the files
    "v1": ((7966, 8514, 66), (100, 100, 10)),
    "v2": ((7966, 5451, 152), (100, 100, 31)),
    "v3": ((7966, 5451, 253), (100, 100, 100)),
    "v4": ((7966, 5459, 473), (100, 100, 100)),
    "v5": ((7966, 5475, 517), (100, 100, 100)),
    "v6": ((13794, 517), (100, 100)),
    "v7A": ((7966, 5475, 1670), (100, 100, 100)),
    "v7B": ((13794, 1670), (100, 100)),
    "v8A": ((7966, 5475, 2158), (100, 100, 200)),
    "v8B": ((13794, 2158), (200, 200)),
    "v9A": ((8085, 5555, 16490), (100, 100, 200)),
    "v9B": ((13992, 16490), (200, 200)),
}
EXPECTED = {
    version: {
        split: dict(zip(THREE if len(n) == 3 else TWO, n, strict=True))
        for split, n in zip(("train", "test"), counts, strict=True)
    }
    for version, counts in COUNTS.items()
}
FILES = {
    version: tuple(f"{split}_COVIDx{version[1:].lstrip('1')}.txt" for split in splits)
    for version, splits in EXPECTED.items()
}


# Versions 3 to 9 have pictures of `radiography` too, which can never be found.
_ALL = ("rsna", "cohen", "figure1", "actualmed", "ricord", "bimcv", "stonybrook")
SOURCES = {
    version: _ALL[: {"1": 2, "2": 3, "8": 5, "9": 7}.get(version[1], 4)]
    for version in FILES
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a list.

    Attributes:
        number: Counted from 1.
        id: What the list takes for the patient.
        file: Name of the picture, without a folder.
        label, source: As they are called in this project.
    """

    number: int
    id: str
    file: str
    label: str
    source: str


def parse(path):
    """Reads a released list.

    Args:
        path: The file.

    Returns:
        List of `Line`, one for every line.

    Raises:
        ValueError: If a line cannot be understood.
    """
    try:
        text = Path(path).read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: not a text file ({error}). It comes from {GET}."
        ) from None
    lines = text.removesuffix("\n").split("\n") if text else []
    return [_line(path, number, line) for number, line in enumerate(lines, start=1)]


def _line(path, number, text):
    """Reads one line: the words before its label are id and file."""
    words = text.split()
    place = next((n for n, word in enumerate(words) if word in LABELS), 0)
    source = words[place + 1 :] or [guess(words[0] if words else "")]
    if place < 2 or len(source) != 1 or source[0] not in NAMES:
        raise ValueError(
            f"{path}, line {number}: expected `id file label source`, with one label "
            f"of {', '.join(LABELS)}, and a source of {', '.join(NAMES)} or none. "
            f"Received: {text!r}"
        )
    name = " ".join(words[: place - 1])
    label = LABELS[words[place]]
    return Line(number, name, words[place - 1], label, NAMES[source[0]])


def guess(name):
    """Returns the source of a line that names none, as seen from its id."""
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", name):
        return "rsna"
    return "fig1" if re.fullmatch(r"COVID-\d{5}[a-z]?", name) else "cohen"


def find_lists(folder, version):
    """Returns the paths of the training and the test list of a version.

    Args:
        folder: That of the lists, or a clone with the lists in `labels`.
        version: `v1` to `v9B`.

    Raises:
        ValueError: If there is no such version.
        FileNotFoundError: If a list is missing.
    """
    if version not in FILES:
        raise ValueError(
            f"There is no version {version!r} of COVIDx. Choose one of: "
            f"{', '.join(FILES)}"
        )
    for place in (Path(folder), Path(folder, "labels")):
        paths = [place / name for name in FILES[version]]
        if all(path.is_file() for path in paths):
            return tuple(paths)
    raise FileNotFoundError(
        f"{folder} does not hold {' and '.join(FILES[version])}, the lists of COVIDx "
        f"{version}. They come from the {GET}."
    )


def rows(folder, version, sources, rules):
    """Lists the rows of a version, located in the sources.

    The lists are the truth: what a source's own rules would drop (a lateral film, an
    abdomen) is in, repeated lines are, and the label is that of the list.

    Args:
        folder: That of the lists.
        version: `v1` to `v9B`.
        sources: Dict of name to `Source`.
        rules: The `Rules` of the recipe.

    Returns:
        List of `Row`, one for every line; `line` is that of its list and `split` is
        `train` or `test`.
    """
    known = {name: index(source, rules) for name, source in sources.items()}
    result = []
    paths = find_lists(folder, version)
    for split, path in zip(("train", "test"), paths, strict=True):
        for line in parse(path):
            row = locate(line, known, sources)
            row.split, row.rule = split, f"list {version}"
            result.append(row)
    return result


def index(source, rules):
    """Returns a dict of name in the lists to a source's first row of this name."""
    found = {}
    for row in source.rows(rules):
        if row.file:
            found.setdefault(source.list_name(row), row)
    return found


def locate(line, known, sources):
    """Returns the row of a line: that of its source with the label of the list.

    Args:
        line: A `Line`.
        known: Dict of source to what `index` returns.
        sources: Dict of name to `Source`.
    """
    own = {"source": line.source, "line": line.number, "label": line.label}
    patient = f"{line.source}:{line.id}"
    missing = Row(**own, file=line.file, patient=patient)
    if line.source == "radiography":
        return missing.drop("number", line.file)
    if line.source not in known:
        return missing.drop("no-source", line.source)
    found = known[line.source].get(line.file)
    if found is None:
        return missing.drop("not-on-disk", "no row of the source has this name")
    row = replace(found, **own, patient=found.patient or patient, dropped="", detail="")
    return sources[line.source].place(row)
