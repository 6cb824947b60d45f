"""The report of one run: scores, and what they are worth, on one page."""

from pathlib import Path

import numpy as np
import pandas as pd

from sskeras import data, evaluate, explain, plots
from sskeras.evaluate import SCORES, cell
from sskeras.experiments import page, results, use
from sskeras.experiments.folder import RunFolder, write_json, write_text
from sskeras.experiments.provenance import provenance, where
from sskeras.export.about import INTENDED_USE

HARDEST = 6  # films
HALVES = (
    "Films were cut into two halves by patient: what is set on one half is judged on "
    "the other, and the other way round."
)


def write(run, manifest, split="test", out=None, films=False):
    """Scores a finished run in full and writes its report.

    Args:
        run: Folder of the run.
        manifest: `manifest.csv`, or its folder.
        split: Split to score; those it was trained on are `train`.
        out: Folder for the report; `None` is `report` in that of the run.
        films: Whether the hardest films may be shown in it.

    Returns:
        Path of the page, and the scores of `evaluate.scores` with `trust`, `control`
        (scores of the frame alone) and `provenance` added.

    Raises:
        ValueError: As `evaluate.trust`.
    """
    folder = RunFolder(run)
    out = Path(out or folder.path / "report")
    model = use.load(run)
    table = data.read_manifest(manifest)
    rows = data.select(table, split)
    data.check_pictures(rows)
    x = data.open_pictures(rows, *use.input_size(model))
    p = use.predict(model, x)
    y = data.encode_labels(rows, model.class_names)
    found = use.score(model, rows, p)
    found["trust"] = evaluate.trust(
        y, p, model.class_names, rows.weight, rows.patient_id
    )
    found["control"] = control(model, table, rows, x)
    found["provenance"] = provenance()
    (out / "figures").mkdir(parents=True, exist_ok=True)
    blocks = [
        page.Text(INTENDED_USE),
        *scores(found),
        *curves(folder, out),
        *calibration(found["trust"], out),
        *decisions(found["trust"]),
        *control_blocks(found),
        *(hardest(model, x, rows, y, p, out) if films else ()),
        *origin(folder, found["provenance"]),
    ]
    plots.save(
        plots.confusion_matrix(found["confusion_matrix"], model.class_names),
        out / "figures" / "confusion.png",
    )
    title = f"Run {folder.path.resolve().name}, scored on {split}"
    write_json(out / "scores.json", found)
    write_text(out / "report.md", page.markdown(title, blocks))
    write_text(out / "report.html", page.html(title, blocks, out))
    return out / "report.html", found


def control(model, rows, test_rows, x_test):
    """Scores of a linear model that sees the frame of the films alone.

    `None` where the manifest has no labels to learn from, as that of another hospital.
    """
    train = rows[(rows.split == "train") & rows.label.isin(model.class_names)]
    if train.label.nunique() < 2:
        return None
    train = train.reset_index(drop=True)
    x = data.open_pictures(train, *use.input_size(model))
    y = data.encode_labels(train, model.class_names)
    p = evaluate.source_only(x[:], y, x_test[:], len(model.class_names))
    found = use.score(model, test_rows, p)
    y = data.encode_labels(test_rows, model.class_names)
    weight = test_rows.weight.to_numpy()
    kept = (y >= 0) & (weight > 0)
    found["auc"] = evaluate.auc(y[kept], p[kept], model.class_names, weight[kept])
    return found


def scores(found):
    """Scores with intervals, and the confusion matrix."""
    interval = found["interval"]
    text = (
        f"{found['rows']:,} films. Percent, in brackets the "
        f"{100 * interval['level']:g} % interval, {interval['method']}. It holds the "
        "choice of test films, not that of a training seed."
    )
    return [
        page.Heading("Scores"),
        page.Text(text),
        results.scores_of_one(found),
        page.Figure("figures/confusion.png", "Confusion matrix, weighted counts."),
    ]


def curves(folder, out):
    """Learning curves."""
    if not folder.history.exists():
        return []
    axes = plots.learning_curves(pd.read_csv(folder.history))
    plots.save(axes, out / "figures" / "curves.png")
    return [
        page.Heading("Training"),
        page.Figure("figures/curves.png", "Losses, λ and accuracy by epoch."),
    ]


def calibration(trust, out):
    """Do the probabilities mean what they say?"""
    axes = plots.reliability(trust["reliability"])
    plots.save(axes, out / "figures" / "reliability.png")
    rows = [
        [text, *(f"{trust[name][when]:.3f}" for when in ("before", "after"))]
        for name, text in (("ece", "ECE"), ("brier", "Brier score"))
    ]
    temperatures = " and ".join(f"{t:.2f}" for t in trust["temperature"])
    text = (
        f"{HALVES} The temperatures are {temperatures}; above 1 the network is too "
        "sure. ECE is the mean distance of the points from the diagonal."
    )
    return [
        page.Heading("Calibration"),
        page.Text(text),
        page.Table(["", "as it is", "with temperature"], rows),
        page.Figure(
            "figures/reliability.png",
            "How often the class that is called is right, by its probability. Larger "
            "points hold more films.",
        ),
    ]


def decisions(trust):
    """Operating points and conformal sets."""

    def percent(value):
        return "–" if value is None else f"{100 * value:.1f}"

    rows = [
        [
            name,
            percent(trust["auc"][name]),
            percent(point["sensitivity"]),
            percent(point["specificity"]),
            percent(trust["conformal"]["by_class"][name]),
        ]
        for name, point in trust["operating_points"].items()
    ]
    sets = trust["conformal"]
    text = (
        f"{HALVES} AUC: each class against the others. Sensitivity and specificity: at "
        "the threshold that 90 % of the other half's films of other classes stay "
        f"below. Sets are made to hold the true class {100 * sets['coverage']:g} times "
        f"of 100, over all films: they do {percent(sets['found'])} times and hold "
        f"{sets['size']:.2f} classes on average; {percent(sets['empty'])} % are empty. "
        "A rare class may be left out far more often, as the last column tells."
    )
    header = ["class", "AUC", "sensitivity", "specificity", "in its set"]
    return [
        page.Heading("Operating points and sets"),
        page.Text(text),
        page.Table(header, rows),
    ]


def control_blocks(found):
    """What the frame alone could explain."""
    other = found["control"]
    if other is None:
        return []
    rows = [[text, cell(found[n]), cell(other[n])] for n, text in SCORES.items()]
    rows += [
        [
            f"AUC {name}",
            *(
                "–" if area is None else f"{100 * area:.1f}"
                for area in (found["trust"]["auc"][name], other["auc"][name])
            ),
        ]
        for name in other["auc"]
    ]
    text = (
        "A linear model learned from all labels of the training split, and from "
        "nothing but the outer 15 % of each film: borders, corners, markers, hardly "
        "any lung. What it reaches, traces of the source could explain in the score of "
        "the network, too. Whether the network uses them this cannot tell."
    )
    return [
        page.Heading("How much could come from borders and markers alone?"),
        page.Text(text),
        page.Table(["", "network", "frame alone"], rows),
    ]


def hardest(model, x, rows, y, p, out):
    """The films whose true class was given the least probability, with Grad-CAM."""
    own = np.where(y >= 0, p[np.arange(len(y)), y], np.inf)
    chosen = np.argsort(own, kind="stable")[: min(HARDEST, (y >= 0).sum())]
    names = rows.image.iloc[chosen]
    labels = [model.class_names[i] for i in y[chosen]]
    captions = [
        f"{Path(n).name}\n{label}" for n, label in zip(names, labels, strict=True)
    ]
    axes = explain.figure(model, x[chosen], captions)
    plots.save(axes, out / "figures" / "hardest.png")
    text = "The films whose true class, under the name, got the least probability."
    return [
        page.Heading("The hardest films"),
        page.Figure("figures/hardest.png", text),
    ]


def origin(folder, found):
    """Settings, machine and versions."""
    metrics = folder.read_scores()
    settings = [
        [name, str(value)]
        for name, value in metrics["settings"].items()
        if value not in ("", None, [], {})
    ]
    trained = metrics["provenance"]
    text = (
        f"Trained by the command below, at commit {trained['commit']}, on "
        f"{where(trained)}. Scored at commit {found['commit']}."
    )
    return [
        page.Heading("How it was made"),
        page.Text(text),
        page.Code(trained["command"]),
        page.Table(["setting", "value"], settings),
    ]
