"""The report of a reproduction: tables, differences, figures, how to repeat it."""

from pathlib import Path

import numpy as np
import pandas as pd

from sskeras import plots
from sskeras.evaluate import SCORES, cell
from sskeras.experiments import figure6, page, paper, results
from sskeras.experiments.folder import write_text
from sskeras.experiments.provenance import provenance, where

TITLE = "The experiments of Nwosu et al. (2021), repeated"
INTRODUCTION = (
    "Percent: mean over seeds and, in brackets, the 95 % interval of that mean "
    "(Student's t, cut at 0 and 100); scores of the last epoch on the test split. A "
    "seed chooses the labels that are kept, the initial weights, the batches and the "
    "dropout. The interval does not hold the choice of test patients. Not a medical "
    "device: in public collections the classes come from different hospitals, and a "
    "good score may tell the hospital rather than the disease."
)


def write(out, tables, seeds, settings, films=False):
    """Writes the report of what is done so far, with its tables and figures.

    Args:
        out: Folder of the reproduction.
        tables: List of modules with `TITLE` and `EXPERIMENTS`.
        seeds: Integers.
        settings: `Settings` that all runs share.
        films: Whether pictures of the test split may be shown in it.

    Returns:
        Path of the page, or `None` where no run is finished.
    """
    out = Path(out)
    experiments = [e for table in tables for e in table.EXPERIMENTS]
    runs = results.collect(out, experiments, seeds)
    if runs.empty:
        return None
    (out / "figures").mkdir(exist_ok=True)
    write_text(out / "results.csv", runs.to_csv(index=False))
    blocks = [page.Text(INTRODUCTION), *origin(out, experiments, seeds, settings)]
    for table in tables:
        blocks += [page.Heading(table.TITLE), scores_table(runs, table.EXPERIMENTS)]
        blocks += map(page.Text, getattr(table, "NOTES", ()))
        blocks += differences(runs, table.EXPERIMENTS)
        blocks += figures(out, table, seeds)
    if films:
        blocks += figure6.blocks(out, shown(experiments), seeds, settings)
    blocks += paper.audit(experiments)
    write_text(out / "report.md", page.markdown(TITLE, blocks))
    write_text(out / "report.html", page.html(TITLE, blocks, out))
    return out / "report.html"


def shown(experiments):
    """The experiment of Figure 6: the last with the most class weight, of SSResNet."""
    named = [e for e in experiments if e.name.startswith("SSResNet")]
    return (named or experiments)[-1]


def origin(out, experiments, seeds, settings):
    """How the numbers came about."""
    distinct = {e.key: e for e in experiments}.values()
    done = sum(len(results.finished(out, e, seeds)) for e in distinct)
    found = provenance()
    text = (
        f"{done} runs of {len(distinct) * len(seeds)}, seeds "
        f"{', '.join(map(str, seeds))}. Unless a name says otherwise, pictures of "
        f"{settings.image_size}×{settings.image_size}, filters "
        f"{' and '.join(map(str, settings.filters))}, {settings.epochs} epochs of "
        f"batches of {settings.batch_size}, Adam with {settings.learning_rate:g}, "
        f"{settings.decay} learning rate, λ growing for {settings.ramp_up:g} epochs. "
        f"Written at commit {found['commit']}; {where(found)}. With what each run was "
        "trained, where and at which commit, stands in its `metrics.json`."
    )
    return [page.Text(text), page.Code(found["command"])]


def scores_table(runs, experiments):
    """One row for each experiment: the paper's count beside our scores."""
    recalls = [column for column in runs.columns if column.startswith("recall ")]
    columns = [*SCORES, *recalls]
    rows = []
    for e in experiments:
        cells = [cell(results.summary(runs, e.name, e.labeled, c)) for c in columns]
        theirs = "" if e.covid_recall is None else f"{e.covid_recall} of 33"
        seeds = len(results.of(runs, e.name, e.labeled))
        rows.append([*named((e.name, e.labeled)), theirs, seeds, *cells])
    header = ["system", "labels", "COVID-19 found in the paper", "seeds"]
    return page.Table([*header, *SCORES.values(), *recalls], rows)


def differences(runs, experiments):
    """Differences to other systems, seed by seed."""
    rows = []
    columns = ["accuracy", "macro_f", *runs.columns[runs.columns == "recall covid-19"]]
    pairs = [((e.name, e.labeled), rival) for e in experiments for rival in e.rivals]
    for one, other in pairs:
        found = [results.difference(runs, one, other, c) for c in columns]
        if any(found):
            pair = [*named(one), f"less {other[0]}", named(other)[1]]
            rows.append([*pair, found[0]["seeds"], *map(cell, found)])
    if not rows:
        return []
    text = page.Text(
        "Points by which a system is above another with the same seed, over the seeds "
        "that both have. An interval that holds 0 decides nothing."
    )
    names = [SCORES.get(column, column) for column in columns]
    return [text, page.Table(["system", "labels", "", "labels", "seeds", *names], rows)]


def named(system):
    """Name and labeled share as they are shown."""
    name, labeled = system
    return name, f"{100 * labeled:g} %"


def figures(out, table, seeds):
    """Confusion matrices and learning curves of a table."""
    name = table.__name__.rpartition(".")[2]
    chosen = [e for e in table.EXPERIMENTS if results.finished(out, e, seeds)]
    if not chosen:
        return []
    files = f"figures/{name}-confusion.png", f"figures/{name}-curves.png"
    plots.save(confusion_matrices(out, chosen, seeds), out / files[0])
    plots.save(learning_curves(out, chosen, seeds), out / files[1])
    return [
        page.Figure(files[0], "Confusion matrices, mean of the seeds (Figures 3-5)."),
        page.Figure(
            files[1],
            "Accuracy on the labeled training films, by epoch. A teacher labels all.",
        ),
    ]


def confusion_matrices(out, experiments, seeds):
    """A grid of confusion matrices, each the mean of the seeds."""
    columns = min(4, len(experiments))
    axes = plots.grid(len(experiments), columns, (5.0, 4.6))
    for ax, experiment in zip(axes, experiments, strict=True):
        found = results.finished(out, experiment, seeds)
        mean = np.mean([scores["confusion_matrix"] for scores in found], axis=0)
        title = f"{experiment.name}, {100 * experiment.labeled:g} %"
        plots.confusion_matrix(mean, [*found[0]["recall"]], ax, title)
    return axes


def learning_curves(out, experiments, seeds):
    """Training accuracy over the epochs, a panel for each labeled share."""
    shares = sorted({e.labeled for e in experiments})
    axes = plots.grid(len(shares), len(shares), (6.0, 4.0))
    for ax, share in zip(axes, shares, strict=True):
        curves = {
            e.name: mean_history(out, e, seeds)["accuracy"]
            for e in experiments
            if e.labeled == share
        }
        plots.curves(pd.DataFrame(curves), "accuracy", ax)
        ax.set_title(f"{100 * share:g} % of the labels")
    return axes


def mean_history(out, experiment, seeds):
    """History of the training, the mean of the seeds."""
    folders = results.finished_folders(out, experiment, seeds)
    tables = [pd.read_csv(folder.history) for folder in folders]
    return pd.concat(tables).groupby("epoch").mean()
