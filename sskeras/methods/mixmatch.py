"""MixMatch: images and their labels, known or guessed, are mixed with each other.

Reference:
    Berthelot et al., "MixMatch" (2019), Algorithm 1 and equations 2-10.
"""

import keras
from keras import ops

from sskeras import augment, losses, schedules
from sskeras.methods import checks, pseudo, replicas
from sskeras.methods.base import DIVISORS, Method


@keras.saving.register_keras_serializable("sskeras")
class MixMatch(Method):
    """Two views of every image get one target and are mixed with random others.

    The target of an unlabeled image is the mean prediction for its two views,
    sharpened. Each view is mixed with a random other, which never has the larger
    share. Batch normalization sees the plain views, when targets are guessed, and the
    mixed ones. Partners come from the global batch: several replicas exchange pictures.

    Args:
        network: A model with one output of logits.
        class_weight: One float per class, or `None` for ones.
        unsupervised_weight: λ, a float or a schedule. `None` stands for 10, reached by
            a linear ramp of 765 steps. The 75 and 100 of the paper and its code are for
            balanced classes: on chest films, with 5 % of the labels, all became one
            class once λ had passed 20.
        temperature: T; guesses are sharpened by the exponent 1/T.
        alpha: Both parameters of the Beta distribution of the shares; the released
            code has 0.5, the paper 0.75.
        seed: Integer, of the shares and partners.
        weak: Layer that draws a view; `None` stands for `augment.Weak()`.
        supervised_divisor: What the supervised loss is divided by, as in `SSResNet`.

    Example:
    >>> model = MixMatch(networks.resnet((64, 64, 1), num_classes=3))
    >>> model.compile("adam", metrics=["accuracy"])
    >>> model.fit(x, y)  # y[i] == -1 where the label is unknown
    """

    paper = "Berthelot et al., 2019"
    needs = "a weak view, four times the pictures in a step"
    loss_names = ("supervised", "unsupervised")
    log_names = ("unsupervised_weight",)
    class_log_names = ("pseudo_labels",)
    peak_weight = 10.0
    ramp_up = schedules.LinearRampUp

    def __init__(
        self,
        network,
        class_weight=None,
        unsupervised_weight=None,
        temperature=0.5,
        alpha=0.5,
        seed=None,
        weak=None,
        supervised_divisor="labeled",
        **kwargs,
    ):
        super().__init__(network, class_weight, **kwargs)
        self.unsupervised_weight = checks.unsupervised_weight(unsupervised_weight, self)
        self.temperature = checks.positive("temperature", temperature)
        self.alpha = checks.positive("alpha", alpha)
        self.seed = seed
        self.draws = keras.random.SeedGenerator(seed)
        self.weak = checks.view("weak", weak, augment.Weak, network)
        self.supervised_divisor = checks.choice(
            "supervised_divisor", supervised_divisor, DIVISORS
        )

    def objective(self, x, y, training):
        views = [self.weak(x, training=training) for _ in range(2)]
        guess, plain = self.guess(views, training)
        target = self.targets(y, guess)
        logits, mixed = plain, [target, target]
        if training:
            pictures, mixed = self.mix(views, mixed)
            logits = self.network(pictures, training=True)
            logits = ops.split(ops.cast(logits, "float32"), 2)
            mixed = ops.split(mixed, 2)
        supervised = [
            self.supervised(y, q, z) for q, z in zip(mixed, logits, strict=True)
        ]
        unsupervised = [
            losses.mean_squared_difference(
                ops.softmax(z),
                q,
                self.divisor(y, "unlabeled"),
                pseudo.is_unlabeled(y),
            )
            for q, z in zip(mixed, logits, strict=True)
        ]
        shares, _ = pseudo.mean_of(guess, pseudo.is_unlabeled(y))
        return (
            plain[0],
            {
                "supervised": sum(supervised) / 2,
                "unsupervised": sum(unsupervised) / 2,
            },
            {"pseudo_labels": shares},
        )

    def guess(self, views, training):
        """Returns the sharpened mean prediction of two views, and their logits."""
        logits = self.network(ops.concatenate(views), training=training)
        logits = ops.cast(logits, "float32")
        logits = ops.split(ops.stop_gradient(logits) if training else logits, 2)
        mean = sum(map(pseudo.probabilities, logits)) / 2
        return sharpen(mean, self.temperature), logits

    def targets(self, y, guess):
        """The label of an image as a distribution, or the guess where it has none."""
        label = losses.one_hot(y, self.num_classes)
        return ops.where(ops.expand_dims(y, -1) >= 0, label, guess)

    def mix(self, views, targets):
        """Mixes each row with another; its own share λ' is at least one half."""
        own, batch = replicas.rows(ops.shape(views[0])[0])
        own = ops.concatenate([own, batch + own])
        share = keras.random.beta((2 * batch,), self.alpha, self.alpha, seed=self.draws)
        share = ops.take(ops.maximum(share, 1.0 - share), own)
        partner = keras.random.shuffle(ops.arange(2 * batch), seed=self.draws)
        partner = ops.take(partner, own)

        def mixed(values):
            wide = ops.reshape(share, (-1, *[1] * (len(values[0].shape) - 1)))
            everything = ops.concatenate([replicas.gather(part) for part in values])
            other = ops.take(everything, partner, axis=0)
            return wide * ops.concatenate(values) + (1.0 - wide) * other

        return mixed([ops.cast(view, "float32") for view in views]), mixed(targets)

    def supervised(self, y, target, logits):
        """Cross entropy of the labeled rows with targets that may be mixed."""
        if self.class_weight is not None:
            target = target * ops.convert_to_tensor(self.class_weight, "float32")
        divisor = self.divisor(y, self.supervised_divisor)
        return losses.cross_entropy(target, logits, losses.is_labeled(y), divisor)

    def loss_weights(self, step):
        weight = schedules.value_at(self.unsupervised_weight, step)
        return {"unsupervised_weight": weight}


def sharpen(probabilities, temperature):
    """p_c^(1/T) / Σ p^(1/T), equation 7."""
    return ops.softmax(ops.log(ops.maximum(probabilities, 1e-30)) / temperature)
