"""Figure 6: COVID-19 films called right and wrong, and where the network looked.

Where the films have stages, as the phantoms do, a table says at which stage which
verdict falls: the paper ascribes its confusions to early and late disease.
"""

from pathlib import Path

import pandas as pd

from sskeras import data, explain, plots
from sskeras.experiments import page, results, use

CLASS = "covid-19"
STAGES = ("early", "developed", "late")


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
    """Films of each verdict in a row, each beside its Grad-CAM."""
    model = use.load(folder)
    pictures = data.open_pictures(rows, *use.input_size(model))
    stages = rows["stage"].tolist() if "stage" in rows else None
    return explain.verdicts(model, pictures, stages, verdicts)


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
