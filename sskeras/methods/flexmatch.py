"""FlexMatch: FixMatch with a threshold for each class, lower where learning is slow.

Reference:
    Zhang et al., "FlexMatch" (2021), equations 5-11.
"""

import keras
from keras import ops

from sskeras import augment, losses, schedules
from sskeras.methods import checks, memory, pseudo
from sskeras.methods.base import DIVISORS, Method


@keras.saving.register_keras_serializable("sskeras")
class FlexMatch(Method):
    """The threshold of a class grows with the number of images it has won so far.

    A class that was never predicted with confidence keeps threshold 0: whatever is
    called so is learned from. That helps the recall of a rare class, and is noisy.
    Labeled images can be won, too, but are learned from by their labels only.

    Args:
        network: A model with one output of logits.
        num_images: N, the number of training images.
        class_weight: One float per class, or `None` for ones.
        unsupervised_weight: λ, a float or a schedule; `None` stands for 1.
        threshold: τ, the probability from which an image counts as won, and the
            threshold of the class that has won most.
        weak: Layer that draws a view; `None` stands for `augment.Weak()`.
        strong: Layer that draws a view; `None` stands for `augment.Strong()`.
        supervised_divisor: What the supervised loss is divided by, as in `SSResNet`.

    Example:
    >>> model = FlexMatch(network, num_images=len(x))
    >>> model.compile("adam", metrics=["accuracy"])
    >>> model.fit(x, y)  # or a dataset of ((x, index), y)
    """

    paper = "Zhang et al., 2021"
    needs = "views as FixMatch; the number of images, which `train` finds"
    needs_index = True
    loss_names = ("supervised", "unsupervised")
    log_names = ("unsupervised_weight", "mask_rate")
    class_log_names = ("pseudo_labels", "threshold")

    def __init__(
        self,
        network,
        class_weight=None,
        *,
        num_images,
        unsupervised_weight=None,
        threshold=0.95,
        weak=None,
        strong=None,
        supervised_divisor="labeled",
        **kwargs,
    ):
        super().__init__(network, class_weight, **kwargs)
        self.num_images = checks.count("num_images", num_images)
        self.unsupervised_weight = checks.unsupervised_weight(unsupervised_weight, self)
        self.threshold = checks.fraction("threshold", threshold)
        self.weak = checks.view("weak", weak, augment.Weak, network)
        self.strong = checks.view("strong", strong, augment.Strong, network)
        self.supervised_divisor = checks.choice(
            "supervised_divisor", supervised_divisor, DIVISORS
        )
        # The class that has won each image; C where none has.
        nothing = keras.initializers.Constant(self.num_classes)
        self.winner = self.add_state((num_images,), nothing, "int32", name="memory")

    def objective(self, x, y, training):
        pictures, index = checks.indexed(x, training)
        weak, strong = pseudo.weak_and_strong(self, pictures, training)
        target = pseudo.probabilities(weak)
        confidence, label = ops.max(target, axis=-1), ops.argmax(target, axis=-1)
        thresholds = self.class_thresholds()
        confident = pseudo.at_least(confidence, ops.take(thresholds, label))
        if training:  # The thresholds of this step are those from before it.
            self.remember(index, label, confidence)
        mask = confident * pseudo.is_unlabeled(y)
        divisor = self.divisor(y, self.supervised_divisor)
        supervised = losses.weighted_cross_entropy(y, weak, self.class_weight, divisor)
        unsupervised = losses.cross_entropy(
            pseudo.one_hot(target), strong, mask, self.divisor(y, "unlabeled")
        )
        return (
            weak,
            {"supervised": supervised, "unsupervised": unsupervised},
            pseudo.logs(self, y, target, mask) | {"threshold": thresholds},
        )

    def class_thresholds(self):
        """τ β_c / (2 - β_c), where β_c is the images won by c over the most won.

        As long as more images are won by no class than by any one, that number takes
        the place of the most won (the warm-up of the paper).
        """
        won = ops.segment_sum(
            ops.ones(self.num_images), self.winner, self.num_classes + 1
        )
        beta = won[: self.num_classes] / ops.max(won)
        return self.threshold * beta / (2.0 - beta)

    def remember(self, index, label, confidence):
        """Notes the class of each image that is above the fixed threshold."""
        label = ops.cast(label, "int32")
        before = ops.take(self.winner, index)
        won = ops.where(confidence >= self.threshold, label, before)
        memory.write(self.winner, index, won, confidence)

    def loss_weights(self, step):
        weight = schedules.value_at(self.unsupervised_weight, step)
        return {"unsupervised_weight": weight}
