"""What an export says about itself."""

import importlib.metadata
import json

INTENDED_USE = (
    "Research and teaching. Not a medical device, not tested for clinical use. In "
    "public chest X-ray collections the classes come from different hospitals: a good "
    "score may tell the hospital rather than the disease."
)


def metadata(model, training=None):
    """What travels inside every export, as JSON.

    Args:
        model: A `Method`.
        training: JSON-serializable dict of how it was trained, such as the settings of
            a run.

    Returns:
        Text: an object with `classes` in the order of the probabilities, `pictures`
        (`height`, `width`, `channels`, `dtype`, `range`), `method`, `sskeras` (the
        version), `training` and `intended_use`.
    """
    height, width, channels = model.network.input_shape[1:]
    num_classes = model.network.outputs[0].shape[-1]
    found = {
        "classes": list(model.class_names or map(str, range(num_classes))),
        "pictures": {
            "height": height,
            "width": width,
            "channels": channels,
            "dtype": "uint8",
            "range": [0, 255],
        },
        "method": type(model).__name__,
        "sskeras": importlib.metadata.version("sskeras"),
        "training": training or {},
        "intended_use": INTENDED_USE,
    }
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
