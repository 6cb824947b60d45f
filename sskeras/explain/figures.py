"""Figures of films and of where a network looked."""

import keras
import numpy as np

from sskeras import plots
from sskeras.explain.cam import grad_cam
from sskeras.explain.parts import heat, output_of


def figure(method, pictures, captions=None, films=None, explain=grad_cam, path=0):
    """Draws each film, its map, and the probabilities of the classes.

    Args:
        method: A trained method.
        pictures: Array of shape `(pictures, height, width, channels)`, in 0-255, of the
            size of the network.
        captions: A text for each picture, such as its file name.
        films: What to draw in place of `pictures`: the same films, larger.
        explain: Function such as `grad_cam`; what is called is explained.
        path: Output of the network to explain.

    Returns:
        Array of Axes, three for each film.
    """
    captions = captions or [""] * len(pictures)
    films = pictures if films is None else films
    maps = heat(explain(method, pictures, path=path))
    shares = probabilities(method, pictures, path)
    names = method.class_names or [*map(str, range(shares.shape[-1]))]
    axes = plots.grid(3 * len(pictures), 3, (3.2, 3.2))
    rows = zip(axes.reshape(-1, 3), films, maps, shares, captions, strict=True)
    for (left, middle, right), film, map_, share, caption in rows:
        plots.contact_sheet([film], [caption], axes=[left])
        plots.overlay(film, enlarge(map_, film.shape[:2]), middle)
        middle.set_title(f"what speaks for {names[share.argmax()]}", fontsize=10)
        plots.shares(share, names, right)
    return axes


def verdicts(method, pictures, captions=None, called=None, films=4, explain=grad_cam):
    """Draws films of one class by what they are called, each beside its map.

    The error analysis of Figure 6: a row for each verdict, so that films called right
    and wrong can be compared.

    Args:
        method: A trained method.
        pictures: Array of shape `(pictures, height, width, channels)`, in 0-255: films
            of one class.
        captions: A text for each picture, such as its stage.
        called: Name of the class that each was called; `None` predicts it.
        films: The most in a row.
        explain: Function such as `grad_cam`; what is called is explained.

    Returns:
        Array of Axes, two for each film.

    Reference:
        Nwosu et al., "Semi-supervised Learning for COVID-19 Image Classification via
        ResNet" (2021), Figure 6.
    """
    names = method.class_names
    if called is None:
        called = np.array(names)[method.predict(pictures, verbose=0).argmax(axis=-1)]
    captions = captions if captions is not None else [""] * len(pictures)
    order = [name for name in names if (called == name).any()]
    axes = plots.grid(2 * films * len(order), 2 * films, (1.7, 1.9))
    for ax in axes:
        ax.set_axis_off()
    for name, row in zip(order, axes.reshape(len(order), -1, 2), strict=True):
        chosen = np.flatnonzero(called == name)[:films]
        x = pictures[chosen]
        maps = heat(explain(method, x, [names.index(name)] * len(x)))
        for i, picture, map_, (left, right) in zip(chosen, x, maps, row, strict=False):
            title = f"{captions[i]}\ncalled {name}".strip()
            plots.contact_sheet([picture], [title], axes=[left])
            plots.overlay(picture, map_, right)
    return axes


def probabilities(method, pictures, path=0):
    """Class probabilities of a path, of shape `(pictures, num_classes)`."""
    network = keras.Model(method.network.input, output_of(method, path))
    logits = network.predict(pictures, verbose=0)
    return keras.ops.convert_to_numpy(keras.ops.softmax(logits))


def enlarge(map_, size):
    """A map at the height and width of a film."""
    found = keras.ops.image.resize(map_[..., None], size)
    return np.clip(keras.ops.convert_to_numpy(found)[..., 0], 0, 1)
