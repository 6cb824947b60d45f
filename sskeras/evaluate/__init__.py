"""Scores with 95 % intervals."""

from sskeras.evaluate.scores import SCORES as SCORES
from sskeras.evaluate.scores import cell as cell
from sskeras.evaluate.scores import scores as scores
from sskeras.evaluate.scores import table as table
from sskeras.evaluate.seeds import over_seeds as over_seeds
