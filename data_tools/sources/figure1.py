"""The Figure 1 COVID chest films."""

import os
import re

from data_tools.sources.metadata import Metadata


class Figure1(Metadata):
    """The Figure 1 collection, 55 films.

    Two thirds of the views are blank, and all are frontal, so views do not count.
    The file is called as the film: `COVID-00003a` and `COVID-00003b` are one patient.
    """

    name = "figure1"
    title = "the Figure 1 COVID-19 chest films (metadata.csv and images/)"
    get = "github.com/agchung/Figure1-COVID-chestxray-dataset"
    license = "none stated; research only, says its README"
    encoding = "cp1252"  # latin-1 would make a control character of an apostrophe
    every_view = True
    first_of_list = True

    def describe(self, row, record):
        """Copies to a row what the table says."""
        super().describe(row, record)
        row.license = self.license

    def patient(self, text):
        """Returns the patient of a film: without the letter that counts films."""
        return re.sub(r"(?<=\d)[a-z]$", "", text)

    def file(self, record):
        """Returns the path of a record's picture within the folder."""
        film = record["patientid"].strip()
        files = [self.picture("images", film + suffix) for suffix in (".jpg", ".png")]
        there = (file for file in files if os.path.isfile(self.folder / file))
        return next(there, files[0])
