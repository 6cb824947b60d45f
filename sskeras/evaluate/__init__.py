"""Scores with 95 % intervals; numpy and pandas only."""

from sskeras.evaluate.scores import scores as scores
from sskeras.evaluate.scores import table as table
