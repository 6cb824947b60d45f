"""What all sources share: a row, and how a source says what it holds."""

import functools
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(slots=True)
class Row:
    """One row of a source's table, or one file where a source has no table.

    Attributes:
        source: Name of the source.
        line: Line of the table as an editor shows it, or number of the file.
        file: Path within the source's folder; `""` if there is none. A picture
            inside an archive is `archive.npz::train/12`.
        label: Class, `""` where it is not known.
        finding: What the table says, unchanged.
        patient: `source:patient`, `""` where it is not known.
        view, modality, age, sex: As the table says.
        origin: Where a collection has it from, if it says so.
        rule: What made the label of the finding, in a few words.
        license, url: Of this picture.
        split: Split of a released list, else `""`.
        dropped: Reason, see `ledger.REASONS`; `""` for a kept row.
        detail: What the reason leaves open.
    """

    source: str
    line: int
    file: str = ""
    label: str = ""
    finding: str = ""
    patient: str = ""
    view: str = ""
    modality: str = ""
    age: str = ""
    sex: str = ""
    origin: str = ""
    rule: str = ""
    license: str = ""
    url: str = ""
    split: str = ""
    dropped: str = ""
    detail: str = ""

    def drop(self, reason, detail=""):
        """Drops the row, unless it has been dropped before; returns it."""
        if not self.dropped:
            self.dropped, self.detail = reason, detail
        return self


@dataclass(frozen=True)
class Rules:
    """What a recipe asks of the sources.

    Attributes:
        findings: Dict of finding (as in the table) to class.
        views: Views taken from sources that mix them.
        every_box: Whether each row of the RSNA table counts, one for each box, as
            in the paper, or each film once.
        first_of_list: Whether of a finding such as `COVID-19, ARDS` the first
            counts; else it has to be in `findings` as a whole.
    """

    findings: dict
    views: tuple
    every_box: bool = False
    first_of_list: bool = False


class Source:
    """A folder as its publisher ships it.

    A subclass names the source and yields its rows. It reads tables and headers,
    never pixels.

    Args:
        folder: Where the download lies.
        name: What to call it; only a source of one's own needs one.
    """

    name = ""  # in `--source NAME=FOLDER` and in the manifest
    title = ""
    get = ""  # where it comes from
    license = ""  # of the whole, where rows have none of their own
    table = ""  # that lists the pictures, if there is one
    needs = ()  # files or folders that must be there
    walks = False  # whether every file of the folder is a row

    def __init__(self, folder, name=None):
        self.folder = Path(folder)
        self.name = name or self.name

    def check(self):
        """Raises an error that names the first thing that is missing or wrong."""
        if not self.folder.is_dir():
            raise FileNotFoundError(
                f"--source {self.name}={self.folder}: there is no such folder. "
                f"Expected {self.title}, from {self.get}."
            )
        for name in self.needs:
            if not (self.folder / name).exists():
                raise FileNotFoundError(
                    f"--source {self.name}: {self.folder / name} is missing. Expected "
                    f"{self.title}, from {self.get}."
                )

    def version(self):
        """Returns what identifies the copy: a hash of its table, or of its files."""
        if self.table:
            content = (self.folder / self.table).read_bytes()
        else:
            paths = [self.folder / file for file in self.files]
            sizes = [path.stat().st_size if path.is_file() else 0 for path in paths]
            content = repr(list(zip(self.files, sizes, strict=True))).encode()
        return f"sha256:{hashlib.sha256(content).hexdigest()[:12]}"

    def remarks(self):
        """Returns a list of sentences that whoever builds a set should read."""
        return []

    def rows(self, rules):
        """Yields a `Row` for every row of the table, kept or dropped.

        Args:
            rules: The `Rules` of the recipe.
        """
        raise NotImplementedError

    def list_name(self, row):
        """Returns the name by which the released lists call a row's file."""
        return PurePosixPath(row.file).name.strip()

    @functools.cached_property
    def files(self):
        """Paths of all files, sorted; a hidden or linked folder counts as one."""
        found = []
        for place, folders, names in os.walk(self.folder, onerror=_fail):
            inner = os.path.relpath(place, self.folder)
            closed = [name for name in folders if self._is_closed(place, name)]
            folders[:] = set(folders) - set(closed)
            found += [os.path.join(inner, name) for name in names + closed]
        return sorted(PurePosixPath(_text(path)).as_posix() for path in found)

    @staticmethod
    def _is_closed(place, name):
        return name.startswith(".") or os.path.islink(os.path.join(place, name))

    def place(self, row):
        """Drops a row whose file is missing or outside the folder; returns it.

        A linked picture must stay inside; a linked folder is how one's disks are.
        """
        path = os.path.join(self.folder, row.file)
        parts = PurePosixPath(row.file.replace("\\", "/")).parts
        if ".." in parts or parts[:1] == ("/",) or ":" in row.file[1:2]:
            return row.drop("path-escape")
        if os.path.islink(path):
            target = os.path.realpath(path)
            if not Path(target).is_relative_to(os.path.realpath(self.folder)):
                return row.drop("path-escape", "a link")
        if not os.path.isfile(path):
            row.drop("not-on-disk", "a folder" if os.path.isdir(path) else "")
        return row


def _fail(error):
    raise error


def _text(path):
    """Returns a path as UTF-8; what is none becomes a name that no file has."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return text.replace(os.sep, "/")
