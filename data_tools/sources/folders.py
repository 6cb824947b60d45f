"""Own pictures: a folder for each class."""

from data_tools.sources.base import Row, Source

SPLITS = ("train", "val", "test")
CLASSES = {"covid19": "covid-19", "covid": "covid-19"}
CLASSES |= {name: name for name in ("normal", "pneumonia")}


class Folders(Source):
    """A folder with a folder for each class: `CLASS/...` or `train/CLASS/...`.

    Folders `train`, `val` and `test` say nothing: a set is split anew, by patients,
    as such folders often hold the same films. There are no patients here.
    """

    name = "folders"
    title = "a folder of pictures for each class"
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
            if len(parts) > 1:
                row.finding = parts[0]
                row.label, row.rule = canonical(parts[0]), f"folder {parts[0]}"
            self.place(row)
            yield row if row.label else row.drop("no-label", "not in a class's folder")


def canonical(name):
    """Returns a class's name in lower case if it is one of the paper's.

    Example:
    >>> canonical("COVID_19"), canonical("Normal"), canonical("Effusion")
    ('covid-19', 'normal', 'Effusion')
    """
    key = name.strip().lower().replace("-", "").replace("_", "").replace(" ", "")
    return CLASSES.get(key, name)
