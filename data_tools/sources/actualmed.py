"""The Actualmed COVID chest films."""

from data_tools.sources.metadata import Metadata


class Actualmed(Metadata):
    """The Actualmed collection, 238 films of 215 patients.

    A blank finding was inconclusive, say the notes. Eight patients change their
    finding between films, so a patient has no class, but films have.
    """

    name = "actualmed"
    title = "the Actualmed COVID-19 chest films (metadata.csv and images/)"
    get = "github.com/agchung/Actualmed-COVID-chestxray-dataset"
    license = "none stated; research only, says its README"
    columns = (*Metadata.columns, "imagename")

    def describe(self, row, record):
        """Copies to a row what the table says."""
        super().describe(row, record)
        row.license = self.license

    def file(self, record):
        """Returns the path of a record's picture within the folder."""
        name = record["imagename"]
        return self.picture("images", name) if name.strip() else ""
