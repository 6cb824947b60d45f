"""Own pictures: listed in a manifest."""

from data_tools import manifest
from data_tools.sources.base import Row, Source
from data_tools.sources.folders import canonical

KEPT = ("finding", "view", "modality", "age", "sex", "license", "url")


class Manifest(Source):
    """A manifest, or the folder that holds one as `manifest.csv`.

    Labels, patients and what is said of each film are kept. Its columns `split` and
    `weight` are not, as a set is split anew. A `source` of its own is kept behind the
    name given on the command line, `mine/nih`.
    """

    name = "manifest"
    title = "a manifest with the columns image and label"
    get = "your own disk"

    def __init__(self, folder, name=None):
        self.path = manifest.locate(folder)
        super().__init__(self.path.parent, name)

    def rows(self, rules):
        """Yields a `Row` for every row of the manifest."""
        records = manifest.read(self.path)
        lines = [line for line, _ in manifest.read_csv(self.path)[1]]
        for line, record in zip(lines, records, strict=True):
            row = Row(self.name, line, record["image"], finding=record["label"])
            row.label, row.rule = canonical(record["label"]), "manifest"
            row.origin = record.get("source", "")
            patient = record.get("patient_id", "")
            row.patient = f"{self.name}:{patient}" if patient else ""
            for column in KEPT:
                if record.get(column):
                    setattr(row, column, record[column])
            yield self.place(row)

    def version(self):
        """Returns a hash of the manifest."""
        return f"sha256:{manifest.sha256(self.path)[:12]}"
