"""Scores with 95 % intervals, and how far probabilities can be trusted."""

from sskeras.evaluate.calibration import brier as brier
from sskeras.evaluate.calibration import calibrated as calibrated
from sskeras.evaluate.calibration import ece as ece
from sskeras.evaluate.calibration import reliability as reliability
from sskeras.evaluate.calibration import temperature as temperature
from sskeras.evaluate.control import source_only as source_only
from sskeras.evaluate.decisions import conformal_threshold as conformal_threshold
from sskeras.evaluate.decisions import (
    sensitivity_and_specificity as sensitivity_and_specificity,
)
from sskeras.evaluate.decisions import threshold_at as threshold_at
from sskeras.evaluate.scores import SCORES as SCORES
from sskeras.evaluate.scores import cell as cell
from sskeras.evaluate.scores import scores as scores
from sskeras.evaluate.scores import table as table
from sskeras.evaluate.seeds import over_seeds as over_seeds
from sskeras.evaluate.trust import auc as auc
from sskeras.evaluate.trust import trust as trust
