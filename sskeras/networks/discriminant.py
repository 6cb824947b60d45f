"""A second judge beside a network: linear discriminants on typical patches.

Gradients learn little from three labeled images. A discriminant learns nothing from
them but a mean; how images vary it learns from all of them, labeled or not.
"""

import keras
import numpy as np
from tqdm import tqdm

from sskeras.layers import PatchDictionary, SecondJudge

IMAGES = 20_000  # From which the covariance and the thresholds are learned.


def rarest(y):
    """The class with the fewest labels, of those that have any."""
    classes, counts = np.unique(y[y >= 0], return_counts=True)
    if not len(classes):
        raise ValueError("No image has a label, so that no class is the rarest.")
    return int(classes[np.argmin(counts)])


def share_of_labels(y, num_classes):
    """Share of each class among the labels, of shape `(num_classes,)`."""
    counts = np.bincount(y[y >= 0], minlength=num_classes)
    return counts / counts.sum()


def drawn(y, rare, seed):
    """Rows to adapt to: at most `IMAGES` of all, of the labeled and of the rare."""
    rng = np.random.default_rng(seed)
    groups = np.arange(len(y)), np.flatnonzero(y >= 0), np.flatnonzero(y == rare)
    return np.unique(np.concatenate([rng.permutation(g)[:IMAGES] for g in groups]))


def with_second_judge(network, x, y, class_prior=None, seed=0):
    """Adds discriminants on typical patches to a trained network.

    Args:
        network: Trained functional model from pictures to logits; of two outputs, the
            first is judged.
        x: uint8 training pictures, an array or a `data.Shards`.
        y: Their integer labels, -1 where unknown.
        class_prior: Share of each class among all images; `None` stands for its share
            of the labels, which is wrong where labels were not drawn at random.
        seed: Integer, of the patches and images that are drawn.

    Returns:
        A functional model from the same pictures to logits. Their softmax serves the
        decision; it is not calibrated.

    Raises:
        ValueError: If nothing is labeled.

    Example:
    >>> judged = with_second_judge(model.network, x, y)
    >>> model = methods.Supervised(judged)
    """
    y = np.asarray(y)
    rare = rarest(y)
    logits, *others = network.outputs
    if class_prior is None:
        class_prior = share_of_labels(y, logits.shape[-1])
    pictures = network.inputs[0]
    strides = max(min(pictures.shape[1:3]) // 32, 1)  # As fine at every size.
    dictionary = PatchDictionary(strides=strides, name="patches")
    judge = SecondJudge(rare, name="judge")
    features = dictionary(pictures)
    dictionary.adapt(x, seed)
    judged = keras.Model(network.inputs, [judge([logits, features]), *others])
    parts = keras.Model(network.inputs, [logits, features])
    chosen = drawn(y, rare, seed)
    results = [
        parts.predict_on_batch(x[rows])
        for rows in tqdm(np.array_split(chosen, -(-len(chosen) // 128)), "second judge")
    ]
    found = map(np.concatenate, zip(*results, strict=True))
    judge.adapt(*found, y[chosen], class_prior)
    return judged
