"""The RSNA Pneumonia Detection Challenge: exams of NIH ChestX-ray14, read anew."""

import functools
import json
import os

from data_tools import manifest
from data_tools.sources.base import Row, Source
from data_tools.sources.table import read_table

LABELS = "stage_2_train_labels.csv"
CLASSES = "stage_2_detailed_class_info.csv"
PICTURES = "stage_2_train_images"
MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
SUFFIXES = (".dcm", ".png", ".jpg")
ROWS, EXAMS = 30_227, 26_684


class Rsna(Source):
    """The challenge's stage 2.

    The table has a row for each box that radiologists drew, so a film with three
    opacities has three rows. `patientId` is an exam, not a patient: 26,684 exams are
    11,452 patients, whom only the official mapping to ChestX-ray14 tells apart.

    Reference:
        Shih et al., "Augmenting the National Institutes of Health Chest Radiograph
        Dataset with Expert Annotations of Possible Pneumonia", 2019.
    """

    name = "rsna"
    title = f"the RSNA challenge, stage 2 ({LABELS}, {CLASSES}, {PICTURES}/)"
    get = "kaggle.com/c/rsna-pneumonia-detection-challenge"
    license = "RSNA challenge terms: research and education, with attribution"
    needs = (PICTURES,)

    def check(self):
        """Raises an error if a table is missing or the two contradict each other."""
        super().check()
        for name in (LABELS, CLASSES):
            if not self.locate(name):
                raise FileNotFoundError(
                    f"--source rsna: {self.folder / name} is missing. Expected "
                    f"{self.title}, as it comes from {self.get}."
                )
        self.remarks()  # reads all tables

    def locate(self, name):
        """Returns the path of a file here or one folder down, None without it."""
        paths = [self.folder / name, *sorted(self.folder.glob(f"*/{name}"))]
        return next((path for path in paths if path.is_file()), None)

    @functools.cached_property
    def tables(self):
        """The table of boxes, and a dict of exam to class."""
        labels = read_table(self.locate(LABELS), needs=("patientid", "target"))
        infos = read_table(self.locate(CLASSES), needs=("patientid", "class"))
        targets = one_each(LABELS, labels, "target")
        classes = one_each(CLASSES, infos, "class")
        if lonely := sorted(targets.keys() ^ classes.keys()):
            raise ValueError(
                f"{self.folder}: {len(lonely):,} exams are in only one of {LABELS} and "
                f"{CLASSES}, the first is {lonely[0]}. Download both again."
            )
        for exam, target in targets.items():
            opaque = classes[exam] == "Lung Opacity"
            if target != str(int(opaque)):
                raise ValueError(
                    f"{self.folder}: exam {exam} has the class {classes[exam]!r} and "
                    f"the target {target!r}. Download both tables again."
                )
        return labels, classes

    @functools.cached_property
    def pictures(self):
        """Dict of exam to the name of its file; a DICOM file is preferred."""
        names = sorted(os.listdir(self.folder / PICTURES), reverse=True)
        pairs = map(os.path.splitext, names)
        return {stem: suffix for stem, suffix in pairs if suffix in SUFFIXES}

    @functools.cached_property
    def patients(self):
        """Dict of exam to NIH patient, empty without the mapping."""
        path = self.locate(MAPPING)
        if not path:
            return {}
        try:
            exams = json.loads(path.read_text("utf-8"))
            return {e["subset_img_id"]: f"nih:{e['img_id'][:8]}" for e in exams}
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ValueError(
                f"{path}: expected a list of subset_img_id and img_id. Download it "
                f"again. Received: {type(error).__name__}: {error}"
            ) from error

    def rows(self, rules):
        """Yields a `Row` for every row of the table, that is for every box."""
        labels, classes = self.tables
        seen = set()
        for line, record in labels:
            row = Row(self.name, line, license=self.license)
            if record is None:
                yield row.drop("bad-row")
                continue
            exam = record["patientid"]
            row.file = f"{PICTURES}/{exam}{self.pictures.get(exam, '.dcm')}"
            row.finding = classes[exam]
            row.patient = self.patients.get(exam, f"rsna:{exam}")
            self.judge(row, record["target"])
            if exam in seen and not rules.every_box:
                row.drop("repeat", "another box on the same film")
            seen.add(exam)
            yield self.place(row)

    def judge(self, row, target):
        """Gives a row its class or drops it."""
        if target == "1":
            row.label, row.rule = "pneumonia", "target 1"
        elif row.finding == "Normal":
            row.label, row.rule = "normal", "class Normal"
        else:
            row.drop("not-used")

    def list_name(self, row):
        """Returns the name by which the released lists call a row's file."""
        return os.path.splitext(super().list_name(row))[0] + ".png"

    def version(self):
        """Returns a hash of the table of boxes."""
        return f"sha256:{manifest.sha256(self.locate(LABELS))[:12]}"

    def remarks(self):
        """Says loudly what is wrong with the counts and with the patients."""
        labels, classes = self.tables
        sentences = []
        if (len(labels), len(classes)) != (ROWS, EXAMS):
            sentences.append(
                f"RSNA'S TABLE IS NOT WHOLE: {len(labels):,} rows of {len(classes):,} "
                f"exams, expected {ROWS:,} of {EXAMS:,}. Download it again."
            )
        if unknown := len(classes.keys() - self.patients.keys()):
            sentences.append(
                f"THE PATIENTS OF {unknown:,} RSNA EXAMS ARE UNKNOWN: films of one "
                f"patient may stand on both sides of a split. Put RSNA's {MAPPING} "
                "beside the tables."
            )
        return sentences


def one_each(name, table, column):
    """Returns a dict of exam to its value in a column.

    Raises:
        ValueError: If an exam has two values.
    """
    values = {}
    for line, record in table:
        if record is None:
            continue
        value = values.setdefault(record["patientid"], record[column])
        if value != record[column]:
            raise ValueError(
                f"{name}, line {line}: exam {record['patientid']} has the {column} "
                f"{record[column]!r} here and {value!r} above. Download it again."
            )
    return values
