"""Export a trained method: SavedModel, ONNX, LiteRT.

Each is loaded by its own runtime in a process of its own and compared with the method
before it appears.
"""

from sskeras.export.about import metadata as metadata
from sskeras.export.common import float32_twin as float32_twin
from sskeras.export.portable import litert as litert
from sskeras.export.portable import onnx as onnx
from sskeras.export.saved_model import NO_PICTURE as NO_PICTURE
from sskeras.export.saved_model import saved_model as saved_model
