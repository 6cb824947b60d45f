"""What all sources share: a row, and how a source says what it holds."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path


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
    """

    findings: dict
    views: tuple
    every_box: bool = False


class Source:
    """A folder as its publisher ships it.

    A subclass names the source and yields its rows. It reads tables and headers,
    never pixels.

    Args:
        folder: Where the download lies.
    """

    name = ""  # in `--source NAME=FOLDER` and in the manifest
    title = ""
    get = ""  # where it comes from
    license = ""  # of the whole, where rows have none of their own
    list_names = ()  # what the released lists call it
    needs = ()  # files or folders that must be there

    def __init__(self, folder):
        self.folder = Path(folder)

    def check(self):
        """Raises an error that names the first thing that is missing or wrong."""
        if not self.folder.is_dir():
            raise FileNotFoundError(
                f"--source {self.name}={self.folder}: there is no such folder. Give "
                f"the one that holds {self.title}; it comes from {self.get}."
            )
        for name in self.needs:
            if not (self.folder / name).exists():
                raise FileNotFoundError(
                    f"--source {self.name}: {self.folder / name} is missing. Expected "
                    f"{self.title}, as it comes from {self.get}."
                )

    def version(self):
        """Returns what identifies the copy: commit, or hash of the table."""
        raise NotImplementedError

    def rows(self, rules):
        """Yields a `Row` for every row of the table, kept or dropped.

        Args:
            rules: The `Rules` of the recipe.
        """
        raise NotImplementedError

    def list_name(self, row):
        """Returns the name by which the released lists call a row's file."""
        return Path(row.file).name


def read_table(path, encoding="utf-8-sig"):
    """Reads a csv file of any publisher.

    Headers drift: they are lower-cased, stripped, and blanks become underscores.

    Args:
        path: The file.
        encoding: Its encoding.

    Returns:
        List of `(line, dict)`, the dict of text; `(line, None)` where a row has
        another number of fields than the header.

    Raises:
        ValueError: If the file is not in this encoding or holds NUL bytes.
    """
    raw = Path(path).read_bytes()
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}, line {line}: not {encoding} (byte 0x{raw[error.start]:02x}). "
            "Download the file again."
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise ValueError(f"{path}, line {line}: a NUL byte. Download the file again.")
    reader = csv.reader(io.StringIO(text, newline=""))
    header = [name.strip().lower().replace(" ", "_") for name in next(reader, [])]
    table, line = [], reader.line_num + 1
    for cells in reader:
        if cells:
            fits = len(cells) == len(header)
            record = dict(zip(header, cells, strict=True)) if fits else None
            table.append((line, record))
        line = reader.line_num + 1
    return table
