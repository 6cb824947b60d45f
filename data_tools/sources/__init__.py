"""Sources: folders as their publishers ship them, and what each of their rows is.

| name | file | what |
|---|---|---|
| `rsna` | `rsna.py` | RSNA Pneumonia Detection Challenge: boxes, exams, patients |
| `cohen` | `cohen.py` | COVID-19 image data collection, from publications |
| `figure1` | `figure1.py` | Figure 1 COVID chest films |
| `actualmed` | `actualmed.py` | Actualmed COVID chest films |
| `ricord` | `ricord.py` | RICORD 1c, DICOM |
| `bimcv`, `stonybrook` | `named.py` | BIMCV and Stony Brook: file names say it all |
| `radiography` | `radiography.py` | COVID-19 Radiography Database |
| `folders` | `folders.py` | own pictures, a folder for each class |
| `manifest` | `manifest.py` | own pictures, listed in a manifest |
| `medmnist` | `medmnist.py` | arrays in the layout of MedMNIST |

`base.py` says what they share. Cohen, Figure 1 and Actualmed have the same kind of
table: `metadata.py`. A new source is one small class and one line below.
"""

import re
from importlib import import_module
from pathlib import Path

# The order is the priority where several hold the same picture: originals first.
SOURCES = {
    "rsna": "rsna:Rsna",
    "cohen": "cohen:Cohen",
    "figure1": "figure1:Figure1",
    "actualmed": "actualmed:Actualmed",
    "ricord": "ricord:Ricord",
    "bimcv": "named:Bimcv",
    "stonybrook": "named:StonyBrook",
    "radiography": "radiography:Radiography",
}
KINDS = {  # of one's own sources, which get a name on the command line
    "folders": "folders:Folders",
    "manifest": "manifest:Manifest",
    "medmnist": "medmnist:MedMnist",
}


def find(name):
    """Returns the class of a source or of a kind of source.

    Raises:
        ValueError: If there is none; lists those there are.
    """
    places = SOURCES | KINDS
    if name not in places:
        raise ValueError(
            f"There is no source {name!r}. Choose one of {', '.join(SOURCES)}; or name "
            f"your own pictures, NAME=KIND:PATH with KIND one of {', '.join(KINDS)}."
        )
    module, attribute = places[name].split(":")
    return getattr(import_module(f"data_tools.sources.{module}"), attribute)


def parse(text):
    """Reads one `--source`.

    Args:
        text: `NAME=FOLDER` for a source of the list above, `NAME=KIND:PATH` for
            one's own pictures, NAME being any lower-case word.

    Returns:
        A `Source`.

    Raises:
        ValueError: If the text is no such pair.

    Example:
    >>> parse("cohen=downloads/covid-chestxray-dataset").name
    'cohen'
    >>> parse("mine=folders:films").name
    'mine'
    """
    name, _, path = text.partition("=")
    kind, _, rest = path.partition(":")
    own = kind in KINDS and name not in SOURCES
    path = rest if own else path
    if not path or not re.fullmatch("[a-z][a-z0-9_-]*", name):
        raise ValueError(
            "--source takes NAME=FOLDER, as in cohen=downloads/cohen, or your own "
            "pictures as NAME=KIND:PATH, as in mine=folders:films, with NAME a "
            f"lower-case word and KIND one of {', '.join(KINDS)}. Received: {text!r}"
        )
    if name in KINDS or (kind in KINDS and not own):
        raise ValueError(
            f"--source {text}: the name {name!r} is taken. Choose another for your own "
            "pictures."
        )
    path = Path(path).expanduser()
    return find(kind)(path, name) if own else find(name)(path)


def parse_all(texts):
    """Reads every `--source`.

    Args:
        texts: List of texts as `parse` takes them.

    Returns:
        Dict of name to `Source`.

    Raises:
        ValueError: If one is wrong, or two have the same name.
    """
    given = {}
    for text in texts:
        source = parse(text)
        if source.name in given:
            raise ValueError(
                f"--source {source.name} was given twice: {given[source.name].folder} "
                f"and {source.folder}. Give each source once."
            )
        given[source.name] = source
    return given


def priority(source):
    """Returns the key by which to sort sources; one's own come last, by name."""
    names = list(SOURCES)
    rank = names.index(source.name) if source.name in names else len(names)
    return rank, source.name
