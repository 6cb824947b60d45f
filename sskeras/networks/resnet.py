"""The supervised counterpart of the two-path network: Table III's ResNet."""

import keras

from sskeras.networks import blocks


def resnet(
    input_shape=(224, 224, 1),
    num_classes=3,
    filters=(64, 128),
    dropout=0.5,
    name="resnet",
):
    """The shared part and the supervised path of `two_path_resnet`, alone.

    Layers have the names they have there, so that weights can be handed over by
    name. 816,835 trainable weights for three classes and the default filters.

    Args:
        input_shape: `(height, width, channels)` of the pictures, in 0-255. They are
            rescaled inside.
        num_classes: Integer.
        filters: Filters of the first and of the second stage.
        dropout: Rate before the last layer.
        name: Name of the model.

    Returns:
        A functional `keras.Model` with one output of shape `(batch, num_classes)`,
        the logits.
    """
    pictures = keras.Input(input_shape, name="pictures")
    z = blocks.shared_part(pictures, filters[0])
    logits = blocks.path(z, num_classes, filters[1], dropout, name="supervised")
    return keras.Model(pictures, logits, name=name)
