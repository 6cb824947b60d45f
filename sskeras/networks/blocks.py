"""Building blocks of the residual networks: equations 3, 6 and 9 of the paper."""

from keras import layers

from sskeras.layers import BatchNormalization


def convolution(x, filters, kernel_size, strides=1, *, name):
    """Convolution without bias: a batch normalization always follows."""
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)


def normalize(x, *, name):
    """Batch normalization and ReLU."""
    x = BatchNormalization(name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def residual_block(x, *, name):
    """The standard block of He et al., x + conv(conv(x)), shape unchanged.

    Reference:
        "Deep Residual Learning for Image Recognition" (He et al., 2016), Figure 2.
    """
    filters = x.shape[-1]
    y = convolution(x, filters, 3, name=f"{name}_conv1")
    y = normalize(y, name=f"{name}_1")
    y = convolution(y, filters, 3, name=f"{name}_conv2")
    y = BatchNormalization(name=f"{name}_2_norm")(y)
    y = layers.Add(name=f"{name}_add")([x, y])
    return layers.ReLU(name=f"{name}_relu")(y)


def stage(x, filters, kernel_size, *, name):
    """A row of Table II up to its pooling: one convolution, two residual blocks, BN.

    The convolution halves height and width.
    """
    x = convolution(x, filters, kernel_size, strides=2, name=f"{name}_conv")
    x = normalize(x, name=f"{name}_conv")
    x = residual_block(x, name=f"{name}_block1")
    x = residual_block(x, name=f"{name}_block2")
    return normalize(x, name=f"{name}_last")


def shared_part(pictures, filters):
    """f_sh: everything both paths share, from pictures in 0-255 to z."""
    x = layers.Rescaling(1 / 255, name="rescaling")(pictures)
    x = stage(x, filters, 7, name="shared")
    return layers.MaxPooling2D(3, strides=2, padding="same", name="shared_pool")(x)


def path(z, num_classes, filters, dropout, *, name):
    """f_sup or f_un: from the shared z to the logits of one path.

    Its last convolution, for Grad-CAM, is called `{name}_block2_conv2`.
    """
    x = stage(z, filters, 3, name=name)
    x = layers.GlobalAveragePooling2D(name=f"{name}_pool")(x)
    x = layers.Dropout(dropout, name=f"{name}_dropout")(x)
    # Logits are float32 under every precision: softmax and squares need the range.
    return layers.Dense(num_classes, dtype="float32", name=f"{name}_logits")(x)
