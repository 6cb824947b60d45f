"""RICORD 1c: DICOM films of patients with COVID-19."""

import functools
from collections import Counter
from pathlib import PurePosixPath

from data_tools.sources.base import Row, Source

PREFIX = "MIDRC-RICORD-1C-"


class Ricord(Source):
    """RICORD 1c as its archive's downloader leaves it.

    Files are `MIDRC-RICORD-1C-<patient>/<study>/<series>/*.dcm`, at any depth. The
    released lists call them by patient, the last five characters of the study and
    the rank in the sorted files of the study, so that names of a partial download
    differ.

    Reference:
        Tsai et al., "The RSNA International COVID-19 Open Radiology Database
        (RICORD)", 2021.
    """

    name = "ricord"
    title = f"MIDRC-RICORD-1C (folders {PREFIX}<patient>)"
    get = "The Cancer Imaging Archive, collection MIDRC-RICORD-1C"
    walks = True
    license = "CC BY-NC 4.0"

    def rows(self, rules):
        """Yields a `Row` for every file; reads the header of each film."""
        from tqdm import tqdm

        bar = tqdm(self.files, desc="ricord headers", unit="file", delay=2)
        for number, file in enumerate(bar, start=1):
            row = Row(self.name, number, file, license=self.license)
            if not is_film(file):
                yield row.drop("not-used", "not a DICOM file of a study")
                continue
            patient = PurePosixPath(file).parts[-4].removeprefix(PREFIX)
            row.patient = f"ricord:{patient}"
            row.label, row.rule = "covid-19", "every patient has COVID-19"
            if not self.place(row).dropped:
                self.read_view(row, rules)
            yield row

    def read_view(self, row, rules):
        """Takes the view from the file's header and drops what is not frontal."""
        from pydicom import dcmread
        from pydicom.errors import InvalidDicomError

        try:
            header = dcmread(
                self.folder / row.file,
                stop_before_pixels=True,
                specific_tags=["ViewPosition"],
            )
            row.view = str(header.get("ViewPosition", "") or "")
        except InvalidDicomError as error:
            row.drop("not-a-picture", str(error))
        except Exception as error:  # pydicom raises many kinds on damaged files
            row.drop("unreadable", f"{type(error).__name__}: {error}")
        if row.view not in rules.views:
            row.drop("view", row.view or "blank")

    def list_name(self, row):
        """Returns the name by which the released lists call a row's file."""
        return self.list_names.get(row.file, super().list_name(row))

    @functools.cached_property
    def list_names(self):
        """Dict of file to its name in the released lists."""
        ranks, names = Counter(), {}
        for file in filter(is_film, self.files):
            patient, study = PurePosixPath(file).parts[-4:-2]
            names[file] = f"{patient}-{study[-5:]}-{ranks[patient, study]}.png"
            ranks[patient, study] += 1
        return names


def is_film(file):
    """Returns whether a path is that of a DICOM file of a study."""
    path = PurePosixPath(file)
    return (
        path.suffix == ".dcm"
        and len(path.parts) >= 4
        and path.parts[-4].startswith(PREFIX)
    )
