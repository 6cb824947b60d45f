"""The experiments of a table, as data."""

import dataclasses
import re

SHARES = (0.05, 0.07, 0.09)  # Labeled shares of the paper.
COVID_WEIGHTS = (2, 5, 10)  # Class weights of COVID-19 that it tries.


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One row of a table: a system and how it is trained.

    Args:
        name: System, the same in every table that shows it.
        labeled: Share of the labels of each class that is kept.
        settings: Dict of `Settings` in which it differs from the others.
        covid_recall: COVID-19 films of the paper's 33 that its system found; `None`
            where its numbers do not tell, as `paper` explains.
        rivals: Names and labeled shares of experiments that it is compared with.
    """

    name: str
    labeled: float
    settings: dict
    covid_recall: float | None = None
    rivals: tuple[tuple[str, float], ...] = ()

    @property
    def key(self):
        """Name of its folder: `ssresnet-weight-2-5` for 5 % of the labels."""
        name = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")
        return f"{name}-{100 * self.labeled:g}"


def weighted(weight):
    """Class weights of normal, pneumonia and COVID-19."""
    return {"class_weight": (1.0, 1.0, float(weight))}


def resnet(weight=1):
    """Name of the supervised network with a class weight."""
    return f"ResNet, weight {weight}" if weight != 1 else "ResNet"


def ssresnet(weight):
    """Name of the paper's system with a class weight."""
    return f"SSResNet, weight {weight}"
