"""Class activation maps: what of the last feature map speaks for a class."""

import keras
import tensorflow as tf

from sskeras.explain.parts import class_logit, heat, in_batches, output_of


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
        ValueError: If the network ends without a feature map, has no such path, or a
            class is none of its own.

    Example:
    >>> heat = grad_cam(model, x_test[:8])

    Reference:
        Selvaraju et al., "Grad-CAM" (2017), equations 1 and 2.
    """

    def weigh(features, gradient):
        return tf.reduce_mean(gradient, [1, 2], keepdims=True)

    return _map(weigh, method, pictures, classes, path, batch_size)


def grad_cam_plus_plus(method, pictures, classes=None, path=0, batch_size=64):
    """Grad-CAM++: the same with a weight that does not fade where a sign is repeated.

    Grad-CAM divides by the size of the map, so that a lesion in one place of several
    counts for little. Here each place with a positive gradient has a weight of its own,
    from the second and third derivative of the exponential of the logit.

    Arguments, result and errors are those of `grad_cam`.

    Reference:
        Chattopadhay et al., "Grad-CAM++" (2018), equations 5 and 19.
    """

    def weigh(features, gradient):
        total = tf.reduce_sum(features, [1, 2], keepdims=True)
        below = 2 * gradient**2 + total * gradient**3
        alpha = tf.math.divide_no_nan(gradient**2, below)
        return tf.reduce_sum(alpha * tf.nn.relu(gradient), [1, 2], keepdims=True)

    return _map(weigh, method, pictures, classes, path, batch_size)


def _map(weigh, method, pictures, classes, path, batch_size):
    """The sum of the channels with the weights that `weigh` gives them."""
    logits = output_of(method, path)
    features = last_feature_map(logits)
    network = keras.Model(method.network.input, [features, logits])

    def explain(x, classes):
        with tf.GradientTape() as tape:
            features, logits = network(x, training=False)
            score = class_logit(logits, classes)
        gradient = tf.cast(tape.gradient(score, features), "float32")
        features = tf.cast(features, "float32")
        found = tf.reduce_sum(weigh(features, gradient) * features, axis=-1)
        return tf.image.resize(tf.nn.relu(found)[..., None], x.shape[1:3])[..., 0]

    return heat(in_batches(explain, pictures, classes, logits.shape[-1], batch_size))


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
