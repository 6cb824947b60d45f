"""Layers that Keras lacks or does slowly."""

from sskeras.layers.batch_normalization import BatchNormalization as BatchNormalization
from sskeras.layers.weights import set_weights as set_weights
