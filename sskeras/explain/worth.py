"""What a map is worth: against lesions, and against a network that knows nothing."""

import numpy as np
import pandas as pd

from sskeras.explain.cam import grad_cam
from sskeras.layers import set_weights


def mask_scores(heat, masks):
    """Do maps find the lesions, and better than by knowing where lesions lie?

    The *pointing game* is won where the warmest pixel lies in the lesion. The *IoU* is
    the overlap of the lesion and the warm part (heat of 0.5 and more), divided by what
    both cover. Lesions of a class lie in like places, so that a map hits one now and
    then without having seen the film. `by_chance` is the same score against the lesions
    of the other films: only what exceeds it speaks of the film at hand.

    Args:
        heat: Maps of shape `(films, height, width)` in [0, 1], as of `grad_cam`.
        masks: Booleans of that shape, true in the lesion; every film needs one.

    Returns:
        Dict of shares in [0, 1]: `pointing_game`, `pointing_game_by_chance`, `iou` and
        `iou_by_chance`.

    Raises:
        ValueError: If shapes differ, a film has no lesion, or there is one film only.

    Reference:
        Zhang et al., "Top-down Neural Attention by Excitation Backprop" (2016).
    """
    masks = np.asarray(masks, bool)
    if heat.shape != masks.shape or len(heat) < 2:
        raise ValueError(
            "Expected two or more maps, and masks of the same shape (films, height, "
            f"width). Received: {heat.shape} and {masks.shape}"
        )
    empty = ~masks.any(axis=(1, 2))
    if empty.any():
        raise ValueError(
            f"{empty.sum()} of {len(masks)} films have no lesion, the first is "
            f"{empty.argmax()}. Leave out films without one."
        )
    films = len(heat)
    flat, warm = masks.reshape(films, -1), (heat >= 0.5).reshape(films, -1)
    warmest = heat.reshape(films, -1).argmax(axis=1)
    hit = flat[:, warmest].astype("float64")  # (lesion, map)
    both = flat.astype("float64") @ warm.T
    overlap = both / (flat.sum(axis=1)[:, None] + warm.sum(axis=1) - both)
    scores = {}
    for name, pairs in (("pointing_game", hit), ("iou", overlap)):
        scores[name] = float(np.mean(pairs.diagonal()))
        others = pairs.sum() - pairs.trace()
        scores[f"{name}_by_chance"] = float(others / (films * films - films))
    return scores


def sanity_check(method, pictures, explain=grad_cam, seeds=(0, 1, 2), classes=None):
    """How much a map resembles that of a network that has forgotten everything.

    A map that stays when the weights are in random order shows edges of the picture,
    not what was learned, whatever it looks like.

    Args:
        method: A trained method.
        pictures: Array of shape `(pictures, height, width, channels)`, in 0-255.
        explain: Function such as `grad_cam`.
        seeds: Integers, each for another order of the weights.
        classes: Integer for each picture, the class to explain; `None` stands for the
            class that the trained method predicts.

    Returns:
        Floats of shape `(seeds, pictures)`: rank correlation of the pixels of both
        maps, 0 without resemblance and 1 if nothing was forgotten; 0 for a map that is
        the same everywhere.

    Reference:
        Adebayo et al., "Sanity Checks for Saliency Maps" (2018).
    """
    if classes is None:
        classes = method.predict(pictures, verbose=0).argmax(axis=-1)
    ranks = _ranks(explain(method, pictures, classes))
    found = []
    for seed in seeds:
        other = _ranks(explain(_forgetful(method, seed), pictures, classes))
        found.append(ranks.corrwith(other).fillna(0))
    return np.stack(found)


def _ranks(maps):
    return pd.DataFrame(maps.reshape(len(maps), -1).T).rank()


def _forgetful(method, seed):
    """A copy in which the values of each weight are in random order."""
    rng = np.random.default_rng(seed)
    copy = type(method).from_config(method.get_config())
    values = method.network.get_weights()
    mixed = [rng.permutation(v.ravel()).reshape(v.shape) for v in values]
    set_weights(copy.network, mixed)
    return copy
