"""Figures that return their Axes.

Nothing here touches pyplot: a figure lives as long as its Axes and opens no window. In
a notebook, pass Axes of your own, `plots.confusion_matrix(..., ax=plt.gca())`, or write
`%matplotlib inline` once and end the cell with `axes.figure`.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Okabe & Ito (2008): distinct for every kind of color vision; yellow is left out.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
# Parts of the names under which methods log numbers between 0 and 1.
SHARES = (
    "mask_rate",
    "pseudo_labels",
    "threshold",
    "agreement",
    "remembered",
    "confidence",
    "variance",
)
NOT_CURVES = ["epoch", "seconds", "learning_rate"]


def confusion_matrix(matrix, class_names, ax=None, title=None):
    """Draws a confusion matrix as in Figures 3-5 of Nwosu et al. (2021).

    The color is the share of the row, the truth, so that a rare class is as visible
    as a frequent one.

    Args:
        matrix: Counts of shape `(num_classes, num_classes)`, rows = truth; weighted
            counts may be fractions.
        class_names: One name per class.
        ax: Axes to draw into, or `None` for a new figure.
        title: Optional title.

    Returns:
        The Axes.

    Example:
        >>> ax = confusion_matrix([[8, 2], [1, 9]], ["normal", "pneumonia"])
        >>> save(ax, "confusion.png")
    """
    matrix = np.asarray(matrix, "float64")
    size = len(class_names)
    if matrix.shape != (size, size) or not (matrix >= 0).all():
        raise ValueError(
            f"Expected counts of 0 or more, of shape ({size}, {size}) for the classes "
            f"{list(class_names)}. Received shape {matrix.shape}:\n{matrix}"
        )
    if ax is None:
        side = 1.8 + 1.25 * size
        ax = _new_axes(1, 1, (side, side - 0.4))[0]
    total = matrix.sum(axis=1, keepdims=True)
    share = np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), part in np.ndenumerate(share):
        percent = f"{100 * part:.1f} %" if total[row] else "–"
        text = f"{_count(matrix[row, column])}\n{percent}"
        color = "white" if part > 0.7 else "black"
        ax.text(column, row, text, color=color, ha="center", va="center", fontsize=11)
    ax.set_xticks(range(size), class_names)
    ax.set_yticks(range(size), class_names, rotation=90, va="center")
    ax.tick_params(length=0, labelsize=11)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("predicted class", fontsize=11)
    ax.set_ylabel("true class", fontsize=11)
    if title:
        ax.set_title(title)
    return ax


def learning_curves(history, axes=None):
    """Draws losses, λ, scores and shares over the epochs, one panel each.

    A column belongs to the panel of scores if its name holds "accuracy" or "macro_", to
    that of λ if it ends in "_weight", to that of shares if a method counts or compares
    with it (pseudo-labels, thresholds, agreement and the like), and to the losses
    otherwise. `val_` columns are dashed in the color of their namesake. Losses stand
    on a logarithmic axis where all are positive and one spans a decade. `epoch`,
    `seconds`, the learning rate and columns without one number per epoch are not drawn.

    Args:
        history: DataFrame, or dictionary such as `model.fit(...).history`.
        axes: Sequence with one Axes per panel, or `None` for a new figure.

    Returns:
        Array of Axes, one per panel that has a curve.

    Example:
        >>> axes = learning_curves(model.fit(batches, epochs=20).history)
    """
    epochs, curves = _curves(history)
    panels = {"loss": [], "λ": [], "score": [], "share": []}
    for name in curves:
        panels[_panel_of(name)].append(name)
    panels = {label: names for label, names in panels.items() if names}
    if axes is None:
        axes = _new_axes(1, len(panels), (4.2 * len(panels), 3.4))
    axes = _given(axes, len(panels))
    for ax, (label, names) in zip(axes, panels.items(), strict=True):
        _draw_curves(ax, epochs, curves[names])
        ax.set_ylabel(label)
        if label == "loss" and _spans_a_decade(curves[names]):
            ax.set_yscale("log")
            ax.yaxis.set_major_formatter("{x:g}")
    return axes


def contact_sheet(pictures, titles, columns=6, axes=None):
    """Draws pictures side by side, each under its title.

    Args:
        pictures: Arrays of shape `(height, width)`, `(height, width, 1)` or `(height,
            width, 3)`, values 0-255; sizes may differ.
        titles: One text per picture.
        columns: Pictures in a row.
        axes: Sequence with one Axes per picture, or `None` for a new figure.

    Returns:
        Array of Axes, one per picture.

    Example:
        >>> axes = contact_sheet(x[:12], [class_names[i] for i in y[:12]])
    """
    if len(pictures) != len(titles) or len(pictures) == 0:
        raise ValueError(
            "A contact sheet needs at least one picture and one title per picture. "
            f"Received: {len(pictures)} pictures and {len(titles)} titles"
        )
    if axes is None:
        axes = grid(len(pictures), columns, (1.9, 2.2))
    axes = _given(axes, len(pictures))
    for number, (ax, picture) in enumerate(zip(axes, pictures, strict=True)):
        ax.imshow(_printable(picture, number), cmap="gray", vmin=0, vmax=255)
        ax.set_title(titles[number], fontsize=10)
        ax.set_axis_off()
    return axes


def overlay(picture, heat, ax=None):
    """Draws a heat map over a picture.

    Args:
        picture: Array as `contact_sheet` takes it.
        heat: Array of shape `(height, width)` in [0, 1], as of `explain.grad_cam`.
            Where it is 0 the picture shows through.
        ax: Axes to draw into, or `None` for a new figure.

    Returns:
        The Axes.
    """
    ax = _new_axes(1, 1, (3.0, 3.0))[0] if ax is None else ax
    ax.imshow(_printable(picture, 0), cmap="gray", vmin=0, vmax=255)
    ax.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=0.65 * np.sqrt(heat))
    ax.set_axis_off()
    return ax


def reliability(tables, ax=None):
    """Draws how often what is called is right, by the probability it is called with.

    Args:
        tables: Dict from a name to what `evaluate.reliability` returns, or to a list of
            dicts of its rows.
        ax: Axes to draw into, or `None` for a new figure.

    Returns:
        The Axes.
    """
    ax = _new_axes(1, 1, (4.6, 4.4))[0] if ax is None else ax
    ax.plot([0, 1], [0, 1], color="#888888", linestyle="--", linewidth=1)
    for (name, table), color in zip(tables.items(), COLORS, strict=False):
        table = pd.DataFrame(table)
        x, y = table["confidence"], table["accuracy"]
        ax.plot(x, y, color=color, linewidth=1.2)
        size = 20 + 400 * table["share"]
        ax.scatter(x, y, size, color=color, alpha=0.6, linewidths=0, label=name)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_aspect("equal")
    ax.set_xlabel("probability of the class that is called")
    ax.set_ylabel("share that is right")
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    legend = ax.legend(frameon=False, loc="upper left")
    for handle in legend.legend_handles:
        handle.set_sizes([60])
    return ax


def shares(values, names, ax=None):
    """Draws a bar and a number for each class.

    Args:
        values: Shares in [0, 1], such as probabilities.
        names: One name for each.
        ax: Axes to draw into, or `None` for a new figure.

    Returns:
        The Axes.
    """
    ax = _new_axes(1, 1, (3.0, 2.0))[0] if ax is None else ax
    bars = ax.barh(range(len(values)), values, color=COLORS[0], height=0.6)
    ax.bar_label(bars, [f"{100 * value:.1f} %" for value in values], padding=4)
    ax.set_yticks(range(len(values)), names)
    ax.set_xlim(0, 1.35)
    ax.invert_yaxis()
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    return ax


def curves(table, label, ax=None):
    """Draws one curve for each column of a table.

    Args:
        table: DataFrame whose index is the epoch.
        label: What the numbers are.
        ax: Axes to draw into, or `None` for a new figure.

    Returns:
        The Axes.
    """
    ax = _new_axes(1, 1, (6.0, 4.0))[0] if ax is None else ax
    _draw_curves(ax, table.index, table)
    ax.set_ylabel(label)
    return ax


def grid(number, columns, size):
    """Returns an array of Axes in rows, for a new figure.

    Args:
        number: How many.
        columns: The most in a row.
        size: Width and height of each in inches.
    """
    columns = min(columns, number)
    rows = -(-number // columns)
    axes = _new_axes(rows, columns, (size[0] * columns, size[1] * rows))
    for ax in axes[number:]:
        ax.remove()
    return axes[:number]


def save(axes, path):
    """Writes the figure of some Axes as a PNG of 120 dpi, whole or not at all.

    Args:
        axes: Axes or array of Axes, as the functions here return them.
        path: Path ending in ".png"; its folder must exist.

    Returns:
        The path.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"The path must end in '.png'. Received: {str(path)!r}")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    figure = np.ravel(axes)[0].get_figure(root=True)
    try:
        figure.savefig(temporary, format="png", dpi=120, bbox_inches="tight")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _new_axes(rows, columns, size):
    figure = Figure(figsize=size, layout="constrained")
    return figure.subplots(rows, columns, squeeze=False).ravel()


def _given(axes, number):
    axes = np.ravel(axes)
    if len(axes) != number:
        raise ValueError(
            f"`axes` must hold {number} Axes, one per panel. Received: {len(axes)}"
        )
    return axes


def _count(value):
    if np.isclose(value, round(value), rtol=0, atol=1e-6):
        return f"{value:,.0f}"
    return f"{value:,.2f}" if 0 < value < 1 else f"{value:,.1f}"


def _curves(history):
    """Returns the epochs and, as a DataFrame over them, the columns to draw."""
    history = pd.DataFrame(history)
    epochs = history.get("epoch", pd.Series(range(1, len(history) + 1)))
    curves = history.select_dtypes("number").drop(columns=NOT_CURVES, errors="ignore")
    if curves.size == 0:
        raise ValueError(
            "`history` has nothing to draw: expected at least one epoch and a column "
            f"of numbers such as 'loss'. Received: {len(history)} epochs, columns "
            f"{list(history.columns)}"
        )
    return epochs, curves


def _panel_of(name):
    if "accuracy" in name or "macro_" in name:
        return "score"
    if any(watched in name for watched in SHARES):
        return "share"
    return "λ" if name.endswith("_weight") else "loss"


def _spans_a_decade(curves):
    if not (curves.min() > 0).all():
        return False
    return (curves.max() > 10 * curves.min()).any()


def _draw_curves(ax, epochs, curves):
    plain = list(dict.fromkeys(name.removeprefix("val_") for name in curves))
    for name, values in curves.items():
        known = values.notna()
        namesake = name.removeprefix("val_")
        ax.plot(
            epochs[known],
            values[known],
            label=name,
            color=COLORS[plain.index(namesake) % len(COLORS)],
            # The sum stays visible where it coincides with its only part.
            linewidth=3 if name == "loss" else 1.6,
            linestyle="--" if name.startswith("val_") else "-",
            marker="o" if len(epochs) == 1 else None,
        )
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    many = len(curves.columns) > 4  # These would hide behind a legend among them.
    beside = {"loc": "upper left", "bbox_to_anchor": (1, 1)} if many else {}
    ax.legend(frameon=False, fontsize=9, **beside)


def _printable(picture, number):
    """Returns a picture as uint8, grey or RGB."""
    picture = np.asarray(picture)
    if picture.ndim == 3 and picture.shape[2] == 1:
        picture = picture[:, :, 0]
    if picture.ndim != 2 and not (picture.ndim == 3 and picture.shape[2] == 3):
        raise ValueError(
            "A picture must have shape (height, width), (height, width, 1) or (height, "
            f"width, 3). Received for picture {number}: {picture.shape}"
        )
    return np.clip(picture, 0, 255).astype("uint8")
