"""COVID-Net: the 117.4 M network of Wang et al., and one that a laptop can train."""

import keras
from keras import initializers, layers

from sskeras.layers import BatchNormalization

MODULES = (3, 4, 6, 3)  # PEPX modules of the four stages.
# Inner widths of a module in 16ths of its input channels: the first projection, the
# expansion with the depthwise convolution, the second projection.
WIDTHS = {"calibrated": (4, 8, 3), "iliasprc": (8, 12, 8)}


def covid_net(
    input_shape=(224, 224, 3),
    num_classes=3,
    filters=(256, 512, 1024, 2048),
    dense=(1024, 1024),
    stem=64,
    widths="calibrated",
    batch_norm=False,
    name="covid_net",
):
    """COVIDNet-CXR Small, as far as it can be known: 117,403,343 weights.

    Known, from the figure of its paper: the stem, 3/4/6/3 PEPX modules in four stages,
    the outputs of every stage, the chain of long-range 1x1 convolutions, two fully
    connected layers. A module receives the sum of everything its stage has computed so
    far; the first module of a stage and the next link of the chain receive the sum of
    the stage before.

    Not known: the channels inside the modules. The authors published neither code nor
    these numbers; a search had chosen them module by module. "calibrated" takes simple
    ratios because the total then is the published 117.4 M, not because they are the
    authors'. Neither the figure nor the paper shows activations, downsampling or
    initializers: here every convolution has a bias and, but for those of the chain, a
    ReLU; stages begin with 2x2 max pooling; a module starts out small beside the sum
    that it joins, which keeps the activations in range. COVIDNet-CXR Large (127.4 M)
    cannot be reconstructed: no figure of it exists.

    Scores of this network are those of a training from scratch. The authors pre-trained
    theirs on ImageNet and withhold these weights. Who compares with COVID-Net numbers
    in the literature must know that some, probably Table III of the SSResNet paper
    among them, come from the authors' released weights, which may have been trained on
    the very test images.

    Args:
        input_shape: `(height, width, channels)` of the pictures, in 0-255. They are
            rescaled inside. Height and width are at least 32.
        num_classes: Integer.
        filters: Output channels of the four stages, multiples of 16.
        dense: Units of the fully connected layers before the logits. The first holds
            88 % of the weights of the default network.
        stem: Output channels of the first convolution, a multiple of 16.
        widths: Channels inside a module with n input channels: "calibrated" for n/4,
            n/2 and 3n/16, or "iliasprc" for n/2, 3n/4 and n/2, which with
            `dense=(1024, 256)` is a public re-implementation of 134,513,939 weights.
        batch_norm: Boolean, whether to normalize the output of every module. The
            figure shows no normalization.
        name: Name of the model.

    Returns:
        A functional `keras.Model` with one output of shape `(batch, num_classes)`,
        the logits. The last sum before the head, for Grad-CAM, is `stage4_sum3`.

    Raises:
        ValueError: If the channels of a module would not be whole numbers, or the
            pictures are too small.

    Reference:
        "COVID-Net: a tailored deep convolutional neural network design for detection
        of COVID-19 cases from chest X-ray images" (Wang et al., 2020), arXiv
        2003.09871, Figure 2. "iliasprc": https://github.com/iliasprc/COVIDNet at
        9d23941.
    """
    _check(input_shape, filters, stem, widths)
    pictures = keras.Input(input_shape, name="pictures")
    x = layers.Rescaling(1 / 255, name="rescaling")(pictures)
    x = _convolution(x, stem, 7, strides=2, name="stem")  # 224 -> 112
    for stage, (modules, channels) in enumerate(zip(MODULES, filters, strict=True), 1):
        x = _stage(x, modules, channels, WIDTHS[widths], batch_norm, f"stage{stage}")
    x = layers.Flatten(name="flatten")(x)
    for index, units in enumerate(dense, 1):
        x = layers.Dense(
            units, "relu", kernel_initializer="he_normal", name=f"dense{index}"
        )(x)
    # Logits are float32 under every precision: softmax and squares need the range.
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(pictures, logits, name=name)


def small_covid_net(input_shape=(64, 64, 1), num_classes=3, name="small_covid_net"):
    """The graph of `covid_net` with an eighth of its channels, for a laptop.

    Its modules are normalized, so that it trains from scratch in a few steps. It has
    381,531 weights for the default pictures, and the COVID-Net authors know nothing
    of it.

    Args:
        input_shape: `(height, width, channels)` of the pictures, in 0-255.
        num_classes: Integer.
        name: Name of the model.

    Returns:
        A functional `keras.Model` as from `covid_net`.
    """
    return covid_net(
        input_shape,
        num_classes,
        filters=(32, 64, 128, 256),
        dense=(128, 128),
        stem=32,
        batch_norm=True,
        name=name,
    )


def _stage(x, modules, channels, widths, batch_norm, name):
    """Max pooling, then modules that each join the sum of those before."""
    x = layers.MaxPooling2D(2, name=f"{name}_pool")(x)
    total = layers.Conv2D(
        channels, 1, kernel_initializer="lecun_normal", name=f"{name}_long_range"
    )(x)
    for index in range(1, modules + 1):
        y = _pepx(x, channels, widths, 1 / modules, batch_norm, f"{name}_pepx{index}")
        x = total = layers.Add(name=f"{name}_sum{index}")([total, y])
    return x


def _pepx(x, channels, widths, share, batch_norm, name):
    """Projection, expansion, depthwise convolution, projection, extension."""
    project, expand, project_again = (n * x.shape[-1] // 16 for n in widths)
    x = _convolution(x, project, 1, name=f"{name}_project1")
    x = _convolution(x, expand, 1, name=f"{name}_expand")
    x = layers.DepthwiseConv2D(
        3,
        padding="same",
        activation="relu",
        # He: Keras's own counts the inputs of all channels, where each has only 9.
        depthwise_initializer=initializers.RandomNormal(stddev=(2 / 9) ** 0.5),
        name=f"{name}_depthwise",
    )(x)
    x = _convolution(x, project_again, 1, name=f"{name}_project2")
    # He times the share of the stage's sum: without, the sums double and double.
    extend = initializers.VarianceScaling(2 * share**2)
    x = layers.Conv2D(channels, 1, kernel_initializer=extend, name=f"{name}_extend")(x)
    if batch_norm:
        gamma = initializers.Constant(share)
        x = BatchNormalization(gamma_initializer=gamma, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _convolution(x, filters, kernel_size, strides=1, *, name):
    """Convolution with bias and ReLU."""
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        activation="relu",
        kernel_initializer="he_normal",
        name=name,
    )(x)


def _check(input_shape, filters, stem, widths):
    """Raises where the network could not be built."""
    if widths not in WIDTHS:
        raise ValueError(
            f"Invalid `widths`. Expected one of {tuple(WIDTHS)}. Received: {widths!r}"
        )
    if len(filters) != len(MODULES):
        raise ValueError(
            f"`filters` needs one number for each of the {len(MODULES)} stages, such "
            f"as (32, 64, 128, 256). Received: {filters}"
        )
    wrong = [n for n in (stem, *filters) if n % 16 or n < 16]
    if wrong:
        raise ValueError(
            "`stem` and `filters` must be multiples of 16, because the modules work "
            f"with 16ths of them. Received: stem={stem}, filters={tuple(filters)}"
        )
    if min(side or 0 for side in input_shape[:2]) < 32:
        raise ValueError(
            "Pictures must be at least 32 pixels high and wide, because the network "
            f"halves them five times. Received: input_shape={tuple(input_shape)}"
        )
