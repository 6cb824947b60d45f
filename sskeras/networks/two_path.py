"""The two-path network of the paper: Figure 1 and Table II."""

import keras

from sskeras.networks import blocks


def two_path_resnet(
    input_shape=(224, 224, 1),
    num_classes=3,
    filters=(64, 128),
    dropout=0.5,
    name="two_path_resnet",
):
    """A shared part, then a supervised and an unsupervised path of equal shape.

    The paper gives neither filters, kernel sizes, strides nor a place for its
    dropout; the defaults are the smallest network that fits its words, with
    1,482,310 trainable weights for three classes.

    Args:
        input_shape: `(height, width, channels)` of the pictures, in 0-255. They are
            rescaled inside.
        num_classes: Integer, C in the paper.
        filters: Filters of the shared part and of each path.
        dropout: Rate before the last layer of each path, with independent masks.
        name: Name of the model.

    Returns:
        A functional `keras.Model` with two outputs of shape `(batch, num_classes)`,
        the logits z_sup and z_un. The graph is flat; the last convolutions are
        `supervised_block2_conv2` and `unsupervised_block2_conv2`.

    Example:
    >>> network = two_path_resnet((64, 64, 1), num_classes=3)
    >>> z_sup, z_un = network(pictures)
    """
    pictures = keras.Input(input_shape, name="pictures")
    z = blocks.shared_part(pictures, filters[0])  # z = f_sh(x)
    z_sup = blocks.path(z, num_classes, filters[1], dropout, name="supervised")
    z_un = blocks.path(z, num_classes, filters[1], dropout, name="unsupervised")
    return keras.Model(pictures, [z_sup, z_un], name=name)
