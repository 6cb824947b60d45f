"""Parts of a class's logit, pixel by pixel, and what all maps share."""

import keras
import numpy as np
import tensorflow as tf


def integrated_gradients(
    method, pictures, classes=None, path=0, baseline=0, steps=64, batch_size=64
):
    """Integrated gradients: how much each pixel adds to a class's logit.

    Along the straight line from the baseline to the picture the gradients are added up.
    Over all pixels the parts sum to the logit of the picture less that of the baseline,
    but for the error of the sum.

    Args:
        method: A trained method.
        pictures: Array of shape `(pictures, height, width, channels)`, in 0-255.
        classes: Integer for each picture; `None` stands for the predicted class.
        path: Output of the network to explain.
        baseline: What says nothing: a gray value in 0-255 (black), or an array of the
            shape of a picture.
        steps: Points on the line.
        batch_size: Points at a time.

    Returns:
        Float array of shape `(pictures, height, width)`, in logits; the channels of a
        pixel are added.

    Raises:
        ValueError: If the network has no such path, or a class is none of its own.

    Reference:
        Sundararajan et al., "Axiomatic Attribution for Deep Networks" (2017), eq. 3.
    """
    logits = output_of(method, path)
    network = keras.Model(method.network.input, logits)
    middle = (np.arange(steps, dtype="float32") + 0.5) / steps

    def explain(x, classes):
        if classes is None:
            classes = tf.argmax(network(x, training=False), axis=-1)
        [difference] = np.asarray(x, "float32") - baseline
        gradients = []
        for part in np.split(middle, range(batch_size, steps, batch_size)):
            points = tf.constant(baseline + part[:, None, None, None] * difference)
            with tf.GradientTape() as tape:
                tape.watch(points)
                score = class_logit(network(points, training=False), classes)
            gradients.append(tf.reduce_sum(tape.gradient(score, points), axis=0))
        return np.sum(difference * sum(gradients) / steps, axis=-1)[None]

    return in_batches(explain, pictures, classes, logits.shape[-1], 1)


def occlusion(
    method, pictures, classes=None, path=0, size=None, stride=None, batch_size=64
):
    """Occlusion: how far a class's logit falls when a square is covered.

    The square has the mean color of its picture. A pixel gets the mean over all squares
    that cover it.

    Args:
        method: A trained method.
        pictures: Array of shape `(pictures, height, width, channels)`, in 0-255.
        classes: Integer for each picture; `None` stands for the predicted class.
        path: Output of the network to explain.
        size: Height and width of the square in pixels; `None` is a quarter of the
            picture's height.
        stride: Pixels from one square to the next; `None` is half of its size.
        batch_size: Covered pictures at a time.

    Returns:
        Float array of shape `(pictures, height, width)`, in logits.

    Raises:
        ValueError: If the squares do not fit or leave gaps, the network has no such
            path, or a class is none of its own.

    Reference:
        Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks" (2014).
    """
    logits = output_of(method, path)
    network = keras.Model(method.network.input, logits)
    height, width = pictures.shape[1:3]
    size = size or max(1, height // 4)
    squares = _squares(height, width, size, stride or max(1, size // 2))

    def explain(x, classes):
        whole = network(x, training=False)
        if classes is None:
            classes = tf.argmax(whole, axis=-1)
        [picture] = np.asarray(x, "float32")
        color = picture.mean(axis=(0, 1))
        drops = []
        for part in np.split(squares, range(batch_size, len(squares), batch_size)):
            covered = np.where(part[..., None], color, picture).astype("float32")
            left = class_logit(network(covered, training=False), classes)
            drops.append(class_logit(whole, classes) - left)
        drops = np.concatenate(drops)[:, None, None]
        return (np.sum(drops * squares, axis=0) / squares.sum(axis=0))[None]

    return in_batches(explain, pictures, classes, logits.shape[-1], 1)


def _squares(height, width, size, stride):
    """Masks of shape `(squares, height, width)` that cover every pixel."""
    if not 0 < stride <= size <= min(height, width):
        raise ValueError(
            "Squares must fit into the picture and leave no gap, 0 < stride <= size <= "
            f"{min(height, width)}. Received: size={size}, stride={stride}"
        )
    starts = [
        sorted({*range(0, length - size, stride), length - size})
        for length in (height, width)
    ]
    squares = np.zeros((len(starts[0]), len(starts[1]), height, width), bool)
    for i, top in enumerate(starts[0]):
        for j, left in enumerate(starts[1]):
            squares[i, j, top : top + size, left : left + size] = True
    return squares.reshape(-1, height, width)


def heat(values):
    """A map in [0, 1]: what speaks for the class, the largest value of a picture 1.

    Args:
        values: Array of shape `(pictures, height, width)`, signed.

    Returns:
        Float array of that shape; all 0 where nothing speaks for the class.
    """
    values = np.maximum(values, 0)
    largest = values.max(axis=(1, 2), keepdims=True)
    return np.divide(values, largest, out=np.zeros_like(values), where=largest > 0)


def output_of(method, path):
    """The logits of a path, as a symbolic tensor."""
    outputs = method.network.outputs
    if not 0 <= path < len(outputs):
        raise ValueError(
            f"`path` is one of {[*range(len(outputs))]} for this network. Received: "
            f"path={path}"
        )
    return outputs[path]


def class_logit(logits, classes):
    """The logit of a class for each row; `None` stands for the largest."""
    if classes is None:
        return tf.reduce_max(logits, axis=-1)
    classes = tf.broadcast_to(classes, tf.shape(logits)[:1])
    return tf.gather(logits, classes, axis=-1, batch_dims=1)


def in_batches(explain, pictures, classes, num_classes, batch_size):
    """Calls `explain(pictures, classes)` with some at a time and joins the maps."""
    if classes is not None:
        classes = np.asarray(classes, "int32")
        right = classes.shape == (len(pictures),)
        if not right or not ((classes >= 0) & (classes < num_classes)).all():
            raise ValueError(
                f"`classes` needs one integer in 0-{num_classes - 1} for each of "
                f"{len(pictures)} pictures. Received: {classes}"
            )
    maps = []
    for start in range(0, len(pictures), batch_size):
        part = slice(start, start + batch_size)
        chosen = None if classes is None else tf.constant(classes[part])
        maps.append(np.asarray(explain(tf.constant(pictures[part]), chosen)))
    return np.concatenate(maps)
