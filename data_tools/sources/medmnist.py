"""Own pictures: arrays in the layout of MedMNIST."""

from pathlib import Path

from data_tools import manifest
from data_tools.sources.base import Row, Source

SPLITS = ("train", "val", "test")
CLASSES = {"pneumoniamnist": ("normal", "pneumonia")}


class MedMnist(Source):
    """An `.npz` file with `train_images`, `train_labels`, `val_images` and so on.

    Labels of PneumoniaMNIST, which shows children, get their names; those of other
    files are called by their numbers.

    Reference:
        Yang et al., "MedMNIST v2", 2023.
    """

    name = "medmnist"
    title = "an .npz file in the layout of MedMNIST"
    get = "medmnist.com"

    def __init__(self, folder, name=None):
        path = Path(folder)
        super().__init__(path if path.is_dir() else path.parent, name)
        self.path = path

    @property
    def file(self):
        """Path of the `.npz` file."""
        if not self.path.is_dir():
            return self.path
        found = sorted(self.path.glob("*.npz"))
        if len(found) != 1:
            raise ValueError(
                f"--source {self.name}: expected one .npz file in {self.path}, or the "
                f"path of one. Received: {[path.name for path in found]}"
            )
        return found[0]

    def check(self):
        """Raises an error if there is no such file."""
        super().check()
        if not self.file.is_file():
            raise FileNotFoundError(
                f"--source {self.name}: there is no {self.file}. Expected {self.title}."
            )

    def rows(self, rules):
        """Yields a `Row` for every picture."""
        number = 0
        for split, labels in self.labels().items():
            for position, label in enumerate(labels):
                number += 1
                file = f"{self.file.name}::{split}/{position}"
                row = Row(self.name, number, file, finding=str(label))
                row.label, row.rule = self.class_name(label), f"label {label}"
                yield row

    def labels(self):
        """Returns a dict of split to the list of its labels."""
        import zipfile
        import zlib

        import numpy as np

        damage = (EOFError, zipfile.BadZipFile, zlib.error)

        try:
            with np.load(self.file, allow_pickle=False) as arrays:
                labels = {
                    split: arrays[f"{split}_labels"]
                    for split in SPLITS
                    if f"{split}_labels" in arrays
                }
                counts = {split: len(arrays[f"{split}_images"]) for split in labels}
        except (ValueError, TypeError, KeyError, *damage) as error:
            raise ValueError(f"{self.file} is not {self.title}: {error}") from error
        labels = {split: self.flat(split, labels[split]) for split in labels}
        found = {split: len(numbers) for split, numbers in labels.items()}
        if not found or found != counts:
            raise ValueError(
                f"{self.file}: expected train_images, as many train_labels, and the "
                f"same of val and test. Received: labels {found}, pictures {counts}"
            )
        return labels

    def flat(self, split, labels):
        """Returns labels as a list of integers, one for each picture."""
        if labels.ndim == 2 and labels.shape[1] > 1:
            raise ValueError(
                f"{self.file}: {split}_labels has {labels.shape[1]} labels for each "
                "picture. A manifest has one class for each film; choose a file of "
                "the MedMNIST collection with one."
            )
        if labels.ndim not in (1, 2) or labels.dtype.kind not in "iu":
            raise ValueError(
                f"{self.file}: expected {split}_labels of integers, one for each "
                f"picture. Received: {labels.dtype} {labels.shape}"
            )
        return labels.ravel().tolist()

    def class_name(self, label):
        """Returns the name of a label's class."""
        stem = self.file.stem.split("_")[0]  # pneumoniamnist_224.npz
        names = CLASSES.get(stem, ())
        return names[label] if 0 <= label < len(names) else str(label)

    def version(self):
        """Returns a hash of the file."""
        return f"sha256:{manifest.sha256(self.file)[:12]}"
