"""Figure 6: COVID-19 films called right and wrong, and where the network looked.

Where the films have stages, as the phantoms do, a table says at which stage which
verdict falls: the paper ascribes its confusions to early and late disease.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from sskeras import data, explain, plots
from sskeras.experiments import page, results, use

CLASS = "covid-19"
STAGES = ("early", "developed", "late")
FILMS = 4  # of each verdict


def blocks(out, experiment, seeds, settings):
    """Heading, figure and table for one experiment; nothing if it is not finished.

    Args:
        out: Folder of the reproduction.
        experiment: `Experiment`.
        seeds: Integers; the films are those of the first that is finished.
        settings: `Settings` that all runs share.
    """
    folders = results.finished_folders(out, experiment, seeds)
    folders = [folder.path for folder in folders]
    rows = data.select(data.read_manifest(settings.data), "test")
    rows = rows[rows["label"] == CLASS]
    if not folders or rows.empty:
        return []
    verdicts = [verdicts_of(folder, rows) for folder in folders]
    plots.save(draw(folders[0], rows, verdicts[0]), Path(out, "figures", "figure6.png"))
    name = f"{experiment.name}, {100 * experiment.labeled:g} % of the labels"
    text = (
        f"{CLASS} films of the test split as {name} calls them, "
        f"{folders[0].name}, each with its Grad-CAM for that verdict."
    )
    found = [page.Heading("Figure 6: right and wrong")]
    found.append(page.Figure("figures/figure6.png", text))
    if "stage" in rows:
        found.append(by_stage(rows["stage"], verdicts))
    return found


def verdicts_of(folder, rows):
    """The class that a run gives to each row."""
    table = pd.read_csv(folder / "predictions.csv", dtype={"image": str})
    classes = [c for c in table if c not in ("image", "label", "weight")]
    called = table.set_index("image")[classes].idxmax(axis=1)
    return called.loc[rows["image"]].to_numpy()


def draw(folder, rows, verdicts):
    """Films of each verdict in a row, each above its Grad-CAM."""
    model = use.load(folder)
    order = [c for c in model.class_names if (verdicts == c).any()]
    chosen = [np.flatnonzero(verdicts == c)[:FILMS] for c in order]
    axes = plots.grid(2 * FILMS * len(order), 2 * FILMS, (1.7, 1.9))
    for ax in axes:
        ax.set_axis_off()
    for line, films in enumerate(chosen):
        part = rows.iloc[films]
        x = data.open_pictures(part, *use.input_size(model))
        heat = explain.grad_cam(model, x)
        stages = part["stage"] if "stage" in part else [""] * len(part)
        for k, (picture, map_, stage) in enumerate(zip(x, heat, stages, strict=True)):
            place = 2 * FILMS * line + 2 * k
            title = f"{stage}\ncalled {order[line]}".strip()
            plots.contact_sheet([picture], [title], axes=[axes[place]])
            plots.overlay(picture, map_, axes[place + 1])
    return axes


def by_stage(stages, verdicts):
    """Share of the verdicts at each stage, the mean of the seeds."""
    tables = [
        pd.crosstab(stages.to_numpy(), called, normalize="index") for called in verdicts
    ]
    mean = sum(t.reindex(columns=_columns(tables), fill_value=0) for t in tables)
    mean = 100 * mean / len(tables)
    order = sorted(mean.index, key=lambda s: STAGES.index(s) if s in STAGES else 9)
    rows = [[stage, *(f"{v:.1f}" for v in mean.loc[stage])] for stage in order]
    return page.Table(["stage", *(f"called {c}" for c in mean)], rows)


def _columns(tables):
    return list(dict.fromkeys(c for table in tables for c in table))
