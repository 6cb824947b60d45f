"""Functions that return functional Keras models: pictures in, logits out."""

from sskeras.networks.resnet import resnet as resnet
from sskeras.networks.two_path import two_path_resnet as two_path_resnet
