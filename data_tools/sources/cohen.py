"""The COVID-19 image data collection of Cohen et al., films from publications."""

import subprocess

from data_tools.sources.metadata import Metadata

COMMIT = "7f963894"  # 2020-04-06: the first of four whose counts are the paper's


class Cohen(Metadata):
    """Cohen's collection.

    Its table changes daily: header names, the way a finding is written, files that
    are renamed or vanish. Masks and other derived pictures lie beside the films, so
    the table is the list and never the folder. Patient 62 is two people.

    Reference:
        Cohen, Morrison and Dao, "COVID-19 Image Data Collection", 2020.
    """

    name = "cohen"
    title = "the COVID-19 image data collection (metadata.csv and images/)"
    get = f"github.com/ieee8023/covid-chestxray-dataset, commit {COMMIT} for the paper"
    license = "of each picture its own; tables CC BY-NC-SA 4.0"
    columns = (*Metadata.columns, "filename")

    def file(self, record):
        """Returns the path of a record's picture within the folder."""
        if not record["filename"].strip():
            return ""
        return self.picture(record.get("folder") or "images", record["filename"])

    def commit(self):
        """Returns the commit of a clone, `""` for a download or without git."""
        if not (self.folder / ".git").exists():
            return ""
        command = ["git", "-C", str(self.folder), "rev-parse", "HEAD"]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError:
            return ""
        return "" if done.returncode else done.stdout.strip()

    def version(self):
        """Returns the commit of a clone, and a hash of the table."""
        return f"{self.commit()} {super().version()}".strip()

    def remarks(self):
        """Says how to come by the paper's counts."""
        commit = self.commit()
        if commit.startswith(COMMIT):
            return []
        return [
            f"cohen is at {commit[:8] or 'an unknown commit'}, and its table changed "
            f"daily. The paper's counts need {COMMIT}: git clone, then git checkout."
        ]
