"""Own pictures: a folder for each class."""

from data_tools.sources.base import Row, Source

SPLITS = ("train", "val", "valid", "validation", "test")
CLASSES = {"covid19": "covid-19", "covid": "covid-19"}
CLASSES |= {"unlabeled": "", "unlabelled": ""}
CLASSES |= {name: name for name in ("normal", "pneumonia")}


class Folders(Source):
    """A folder with a folder for each class: `CLASS/...` or `train/CLASS/...`.

    Folders `train`, `val` and `test` say nothing: a set is split anew, as such folders
    often hold the same films. There are no patients here. Films in a folder
    `unlabeled` are kept without a label.
    """

    name = "folders"
    title = "a folder of pictures for each class"
    walks = True
    get = "your own disk"

    def rows(self, rules):
        """Yields a `Row` for every file."""
        for number, file in enumerate(self.files, start=1):
            parts = file.split("/")
            if parts[0] in SPLITS:
                parts = parts[1:]
            row = Row(self.name, number, file)
            if any(part.startswith(".") for part in parts):
                yield row.drop("not-a-picture", "hidden")
                continue
            self.place(row)
            if len(parts) == 1:
                yield row.drop("no-label", "not in a class's folder")
                continue
            row.finding, row.rule = parts[0], f"folder {parts[0]}"
            row.label = canonical(parts[0])
            yield row


def canonical(name):
    """Returns a class's name in lower case if it is one of the paper's.

    Films in a folder `unlabeled` have no label, `""`.

    Example:
    >>> canonical("COVID_19"), canonical("Normal"), canonical("Effusion")
    ('covid-19', 'normal', 'Effusion')
    """
    key = name.strip().lower().replace("-", "").replace("_", "").replace(" ", "")
    return CLASSES.get(key, name.strip())
