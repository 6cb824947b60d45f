"""What Cohen, Figure 1 and Actualmed share: `metadata.csv` and a folder of images."""

import os
from pathlib import PurePosixPath

from data_tools.sources.base import Row, Source
from data_tools.sources.table import read_table

UNKNOWN = ("", "todo", "unknown")


class Metadata(Source):
    """A folder with `metadata.csv`, one row for each picture, and `images/`.

    A row is dropped for the first of: modality, view, finding, file.
    """

    table = "metadata.csv"
    needs = ("metadata.csv", "images")
    encoding = "utf-8-sig"
    columns = ("patientid", "finding", "view")
    every_view = False  # whether films count whose view is not known
    first_of_list = False  # whatever the recipe says

    def records(self):
        """Returns the table as `read_table` does."""
        return read_table(self.folder / self.table, self.encoding, self.columns)

    def rows(self, rules):
        """Yields a `Row` for every row of the table."""
        table = self.records()
        paths = any("/" in record["finding"] for _, record in table if record)
        first = self.first_of_list or rules.first_of_list
        for line, record in table:
            row = Row(self.name, line)
            if record is None:
                yield row.drop("bad-row")
                continue
            self.describe(row, record)
            finding = finding_of(row.finding, paths, first)
            row.label = rules.findings.get(finding, "")
            row.rule = f"finding {finding}" if row.label else ""
            yield self.judge(row, finding, rules)

    def describe(self, row, record):
        """Copies to a row what the table says."""
        row.finding, row.view = record["finding"], record["view"].strip()
        row.modality = record.get("modality", "").strip()
        row.age, row.sex = record.get("age", ""), record.get("sex", "")
        row.license = record.get("license", "").strip()
        row.url = record.get("url", "").strip()
        patient = self.patient(record["patientid"].strip())
        row.patient = f"{self.name}:{patient}" if patient else ""
        row.file = self.file(record)

    def patient(self, text):
        """Returns the patient that a `patientid` stands for."""
        return text

    def file(self, record):
        """Returns the path of a record's picture within the folder."""
        raise NotImplementedError

    def picture(self, folder, name):
        """Returns a file's path; a blank at the end of a name may be a slip."""
        path = str(PurePosixPath(folder, name))
        stripped = str(PurePosixPath(folder, name.strip()))
        return path if os.path.isfile(self.folder / path) else stripped

    def judge(self, row, finding, rules):
        """Drops a row that the rules do not take; returns it."""
        if row.modality.lower() not in ("", "x-ray"):
            return row.drop("modality", row.modality)
        if not self.every_view and row.view not in rules.views:
            return row.drop("view", row.view or "blank")
        if finding.strip().lower() in UNKNOWN:
            return row.drop("no-label")
        if not row.label:
            return row.drop("finding")
        return self.place(row)


def finding_of(text, paths, first_of_list):
    """Returns the part of a finding that decides on the class.

    Args:
        text: As in the table: `COVID-19`, later `COVID-19, ARDS`, later still
            `Pneumonia/Viral/COVID-19`.
        paths: Whether the table has paths, of which the last element counts.
        first_of_list: Whether the first of a list counts. Otherwise all of it does,
            with any blank at its end, as in the script behind the paper.
    """
    if first_of_list:
        text = text.split(",")[0].strip()
    return text.rsplit("/", 1)[-1] if paths else text
