"""Layers that Keras lacks or does slowly."""

from sskeras.layers.batch_normalization import BatchNormalization as BatchNormalization
from sskeras.layers.patch_dictionary import PatchDictionary as PatchDictionary
from sskeras.layers.second_judge import SecondJudge as SecondJudge
from sskeras.layers.weights import set_weights as set_weights
