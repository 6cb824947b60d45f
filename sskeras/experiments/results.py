"""What the runs of a reproduction came to: a table with a row for each run."""

from pathlib import Path

import pandas as pd

from sskeras.evaluate import SCORES, cell, over_seeds
from sskeras.experiments import page
from sskeras.experiments.folder import RunFolder, read_json


def run_path(out, experiment, seed):
    """Folder of a run."""
    return Path(out, "runs", experiment.key, f"seed-{seed}")


def scores_of_one(found):
    """A table of the scores of one run, `evaluate.scores`, and of its recalls."""
    rows = [[text, cell(found[name])] for name, text in SCORES.items()]
    rows += [[f"recall {name}", cell(score)] for name, score in found["recall"].items()]
    return page.Table(["score", "percent"], rows)


def collect(out, experiments, seeds):
    """Reads the finished runs.

    Args:
        out: Folder of the reproduction.
        experiments: List of `Experiment`.
        seeds: Integers.

    Returns:
        DataFrame: `name`, `labeled`, `seed`, the scores, and `recall CLASS` for each
        class, all between 0 and 1.
    """
    rows = []
    for experiment in {e.key: e for e in experiments}.values():
        for scores in finished(out, experiment, seeds):
            rows.append(_row(experiment, scores))
    return pd.DataFrame(rows)


def finished_folders(out, experiment, seeds):
    """The `RunFolder` of each finished run of an experiment."""
    folders = (RunFolder(run_path(out, experiment, seed)) for seed in seeds)
    return [folder for folder in folders if folder.metrics.exists()]


def finished(out, experiment, seeds):
    """What the finished runs of an experiment wrote as `metrics.json`."""
    folders = finished_folders(out, experiment, seeds)
    return [read_json(folder.metrics) for folder in folders]


def _row(experiment, scores):
    recall = {f"recall {c}": part["value"] for c, part in scores["recall"].items()}
    return {
        "name": experiment.name,
        "labeled": experiment.labeled,
        "seed": scores["settings"]["seed"],
        **{score: scores[score]["value"] for score in SCORES},
        **recall,
    }


def summary(runs, name, labeled, column):
    """Mean and interval of a score over seeds; `None` where no run has it.

    Student's interval knows no bounds, a score does: it ends at 0 and 1.
    """
    values = of(runs, name, labeled)[column].dropna()
    if values.empty:
        return None
    found = over_seeds(values)
    ends = {name: found[name] for name in ("low", "high") if found[name] is not None}
    return {**found, **{name: min(max(end, 0.0), 1.0) for name, end in ends.items()}}


def difference(runs, one, other, column):
    """Mean and interval of the difference between two systems with the same seeds.

    Args:
        runs: What `collect` returns.
        one: Name and labeled share of a system.
        other: Name and labeled share of the system whose score is subtracted.
        column: Name of the score.

    Returns:
        What `evaluate.over_seeds` returns, or `None` where no seed has both.
    """
    pair = [of(runs, *system)[column] for system in (one, other)]
    differences = (pair[0] - pair[1]).dropna()  # Aligned by seed.
    return over_seeds(differences) if len(differences) else None


def of(runs, name, labeled):
    """The runs of one system, by seed."""
    chosen = (runs["name"] == name) & (runs["labeled"] == labeled)
    return runs[chosen].set_index("seed")
