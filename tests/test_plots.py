"""What stands in the figures, and that they are saved whole."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from sskeras import methods, plots

CLASSES = ["normal", "pneumonia", "COVID-19"]
MATRIX = [[2531, 125, 0], [88, 1016, 0], [20.04, 12.9, 0.0762]]


@pytest.fixture(autouse=True)
def _no_figure_is_left_to_pyplot():
    yield
    assert plt.get_fignums() == []


def history(epochs=20):
    t = np.linspace(0, 1, epochs)
    return pd.DataFrame(
        {
            "epoch": np.arange(epochs) + 1,
            "loss": np.exp(-3 * t),
            "supervised": np.exp(-3 * t) / 2,
            "unsupervised": np.exp(-t) / 9,
            "unsupervised_weight": t,
            "accuracy": t,
            "macro_f": t / 2,
            "seconds": 3.0,
        }
    )


def labels(ax):
    return [line.get_label() for line in ax.lines]


def test_confusion_matrix_shows_counts_and_shares_of_the_truth():
    ax = plots.confusion_matrix(MATRIX, CLASSES, title="SSResNet")
    assert isinstance(ax, Axes)
    texts = {t.get_position(): t.get_text() for t in ax.texts}
    assert texts[0, 0] == "2,531\n95.3 %"
    assert texts[0, 1] == "88\n8.0 %"  # x is the prediction, y the truth
    assert texts[1, 2] == "12.9\n39.1 %"
    assert texts[2, 2] == "0.08\n0.2 %"
    assert [t.get_text() for t in ax.get_xticklabels()] == CLASSES
    assert [t.get_text() for t in ax.get_yticklabels()] == CLASSES
    assert ax.get_title() == "SSResNet"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    shares = ax.images[0].get_array()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert [t.get_color() for t in ax.texts[:2]] == ["white", "black"]


def test_confusion_matrix_of_a_class_without_films():
    ax = plots.confusion_matrix([[3, 1], [0, 0]], ["no", "yes"])
    assert [t.get_text() for t in ax.texts][2:] == ["0\n–", "0\n–"]


@pytest.mark.parametrize("wrong", [np.ones((2, 2)), np.ones(3), -np.eye(3)])
def test_confusion_matrix_names_what_is_wrong(wrong):
    with pytest.raises(ValueError, match=r"shape \(3, 3\).*Received shape"):
        plots.confusion_matrix(wrong, CLASSES)


def test_given_axes_are_used():
    ax = Figure().subplots()
    assert plots.confusion_matrix(np.eye(2), ["no", "yes"], ax=ax) is ax
    axes = Figure().subplots(1, 3)
    assert list(plots.learning_curves(history(), axes=axes)) == list(axes)
    axes = Figure().subplots(1, 3)
    given = plots.contact_sheet(np.zeros((3, 4, 4)), "abc", axes=axes)
    assert list(given) == list(axes)
    with pytest.raises(ValueError, match="must hold 2 Axes.*Received: 3"):
        plots.contact_sheet(np.zeros((2, 4, 4)), "ab", axes=axes)


def test_learning_curves_have_a_panel_each():
    axes = plots.learning_curves(history())
    assert [ax.get_ylabel() for ax in axes] == ["loss", "λ", "score"]
    assert labels(axes[0]) == ["loss", "supervised", "unsupervised"]
    assert labels(axes[1]) == ["unsupervised_weight"]
    assert labels(axes[2]) == ["accuracy", "macro_f"]
    assert [ax.get_yscale() for ax in axes] == ["log", "linear", "linear"]
    assert list(axes[0].lines[0].get_xdata()) == list(range(1, 21))


def test_what_methods_count_is_no_loss():
    logs = ["mask_rate", "pseudo_labels_covid-19", "threshold", "val_agreement"]
    axes = plots.learning_curves({name: [0.5, 0.6] for name in ["fairness", *logs]})
    assert [labels(ax) for ax in axes] == [["fairness"], logs]
    assert [ax.get_ylabel() for ax in axes] == ["loss", "share"]


def test_every_log_of_every_method_has_its_panel():
    for method in methods.listed():
        logs = {*method.log_names, *method.class_log_names}
        for name in logs:
            expected = "λ" if name.endswith("_weight") else "share"
            assert plots._panel_of(name) == expected, (method, name)
        assert {plots._panel_of(name) for name in method.loss_names} == {"loss"}


def test_learning_curves_of_a_supervised_fit():
    logs = {
        "loss": [1.0, 0.9],
        "accuracy": [0.5, 0.6],
        "confusion_matrix": [np.eye(2), np.eye(2)],
        "val_accuracy": [0.4, 0.5],
        "learning_rate": [0.1, 0.1],
    }
    axes = plots.learning_curves(logs)
    assert [labels(ax) for ax in axes] == [["loss"], ["accuracy", "val_accuracy"]]
    assert axes[0].get_yscale() == "linear"
    train, val = axes[1].lines
    assert (train.get_linestyle(), val.get_linestyle()) == ("-", "--")
    assert train.get_color() == val.get_color()
    assert list(train.get_xdata()) == [1, 2]


def test_a_loss_that_reaches_zero_stays_visible():
    table = history()
    table.loc[3, "unsupervised"] = 0
    assert plots.learning_curves(table)[0].get_yscale() == "linear"


def test_gaps_are_bridged_and_one_epoch_is_a_point():
    table = history()
    table["val_loss"] = np.where(table.epoch % 5 == 0, 1.0, np.nan)
    line = plots.learning_curves(table)[0].lines[-1]
    assert list(line.get_xdata()) == [5, 10, 15, 20]
    assert plots.learning_curves(history(1))[0].lines[0].get_marker() == "o"


@pytest.mark.parametrize("wrong", [{}, {"epoch": [1]}, {"loss": []}])
def test_an_empty_history_is_refused(wrong):
    with pytest.raises(ValueError, match="nothing to draw"):
        plots.learning_curves(wrong)


def test_contact_sheet():
    pictures = [
        np.full((4, 6), 300.0),
        np.zeros((5, 5, 1), "uint8"),
        np.zeros((5, 5, 3)),
        np.zeros((5, 5)),
    ]
    axes = plots.contact_sheet(pictures, ["a", "b", "c", "d"], columns=3)
    assert [ax.get_title() for ax in axes] == ["a", "b", "c", "d"]
    assert axes[0].figure.axes == list(axes)  # no empty frames in the last row
    assert axes[3].get_position().y0 < axes[0].get_position().y0
    image = axes[0].images[0]
    assert (image.get_array() == 255).all() and image.get_clim() == (0, 255)


def test_contact_sheet_names_what_is_wrong():
    with pytest.raises(ValueError, match="2 pictures and 1 titles"):
        plots.contact_sheet(np.zeros((2, 4, 4)), ["a"])
    with pytest.raises(ValueError, match=r"picture 1: \(4, 4, 2\)"):
        plots.contact_sheet([np.zeros((4, 4)), np.zeros((4, 4, 2))], ["a", "b"])


def test_saved_png_opens_and_nothing_else_is_left(tmp_path):
    path = plots.save(plots.learning_curves(history()), tmp_path / "curves.png")
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert round(picture.info["dpi"][0]) == 120
        assert picture.width > 1200
    assert [p.name for p in tmp_path.iterdir()] == ["curves.png"]


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "matrix.png"
    path.write_text("old")
    ax = plots.confusion_matrix(np.eye(2), ["no", "yes"])
    ax.set_title("$\\broken$")  # cannot be typeset
    with pytest.raises(ValueError, match="broken"):
        plots.save(ax, path)
    assert path.read_text() == "old"
    occupied = tmp_path / "folder.png"
    occupied.mkdir()
    ax.set_title("")
    with pytest.raises(OSError, match=r"folder\.png"):
        plots.save(ax, occupied)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.png", "matrix.png"]
    with pytest.raises(ValueError, match="must end in '.png'"):
        plots.save(ax, tmp_path / "matrix.pdf")
