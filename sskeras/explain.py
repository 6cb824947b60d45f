"""Where a network looks: Grad-CAM."""

import keras
import numpy as np
import tensorflow as tf


def grad_cam(method, pictures, classes=None, path=0, batch_size=64):
    """Grad-CAM: the parts of the last feature map that speak for a class.

    The map is the sum of the channels, each weighted by the mean gradient of the
    class's logit over it, without what speaks against the class.

    Args:
        method: A trained method.
        pictures: Array of shape `(pictures, height, width, channels)`, in 0-255.
        classes: Integer for each picture, the class to explain; `None` stands for the
            predicted one.
        path: Output of the network to explain: 0 classifies, 1 is the unsupervised
            path of a network with two.
        batch_size: Pictures at a time.

    Returns:
        Float array of shape `(pictures, height, width)` in [0, 1]; the largest value of
        a picture is 1, or all are 0 where nothing speaks for the class.

    Raises:
        ValueError: If the network ends without a feature map.

    Example:
    >>> heat = grad_cam(model, x_test[:8])

    Reference:
        Selvaraju et al., "Grad-CAM" (2017), equations 1 and 2.
    """
    logits = method.network.outputs[path]
    network = keras.Model(method.network.inputs, [last_feature_map(logits), logits])

    @tf.function
    def explain(x, *chosen):
        with tf.GradientTape() as tape:
            features, logits = network(x, training=False)
            [c] = chosen or [tf.argmax(logits, axis=-1)]
            score = tf.gather(logits, c, axis=-1, batch_dims=1)
        weights = tf.reduce_mean(tape.gradient(score, features), [1, 2], True)
        heat = tf.nn.relu(tf.reduce_sum(tf.cast(weights * features, "float32"), -1))
        return tf.image.resize(heat[..., None], x.shape[1:3])[..., 0]

    given = () if classes is None else (np.asarray(classes, "int32"),)
    batches = tf.data.Dataset.from_tensor_slices((pictures, *given)).batch(batch_size)
    heat = np.concatenate([explain(*batch) for batch in batches])
    largest = heat.max(axis=(1, 2), keepdims=True)
    return np.divide(heat, largest, out=np.zeros_like(heat), where=largest > 0)


def last_feature_map(output):
    """The tensor `(batch, height, width, channels)` nearest before an output.

    Of a second judge it is the network's: discriminants see pictures, not features.
    """
    found = _feature_map(output)
    if found is None:
        raise ValueError(
            "Grad-CAM needs a network that pools a feature map of shape (batch, "
            f"height, width, channels) in the end. Received: {output}"
        )
    return found


def _feature_map(tensor):
    operation = tensor._keras_history.operation
    if isinstance(operation, keras.layers.InputLayer):
        return None
    if len(tensor.shape) == 4:
        return tensor
    found = map(_feature_map, keras.tree.flatten(operation.input))
    return next((features for features in found if features is not None), None)
