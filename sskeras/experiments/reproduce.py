"""`sskeras reproduce`: the paper's tables, from films to a report."""

import dataclasses
import importlib
import os
from pathlib import Path

from sskeras.experiments.settings import Settings

TABLES = ("table3", "table4", "table5", "best")
RAMP_UP = 15 / 50  # Share of the epochs during which λ grows, as in the paper.
# For a course: minutes in place of hours, and long enough to learn something.
FAST_FILMS = {"count": 2400, "seed": 0, "size": 32}
FAST = {
    "image_size": 32,
    "filters": (8, 16),
    "epochs": 10,
    "batch_size": 64,
    "learning_rate": 3e-3,
}


def reproduce(names, settings, seeds, out, jobs, films=False):
    """Runs the experiments of some tables and writes their report.

    Interrupted, the same call goes on. Whatever is finished is in the report, also
    when a run failed.

    Args:
        names: Names in `TABLES`, or "all".
        settings: `Settings` that all runs share; the experiments say what differs.
        seeds: Integers.
        out: Folder: `report.html`, `report.md`, `results.csv`, `figures/`, `runs/`.
        jobs: Number of processes, or `None` for one a processor.
        films: Whether the report may show pictures of the test split.

    Returns:
        Path of the page.
    """
    from sskeras.experiments import report, runner

    settings = dataclasses.replace(settings, ramp_up=RAMP_UP * settings.epochs)
    tables = [load(name) for name in (TABLES if "all" in names else names)]
    runs = planned(tables, settings, seeds, out)
    try:
        runner.run_all(runs, Path(out, "logs"), jobs or os.cpu_count())
    finally:
        page = report.write(out, tables, seeds, settings, films)
    return page


def load(name):
    """Module of a table."""
    return importlib.import_module(f"sskeras.experiments.{name}")


def planned(tables, settings, seeds, out):
    """Dict from the folder of each run to its settings, seed by seed."""
    from sskeras.experiments.results import run_path

    return {
        run_path(out, experiment, seed): dataclasses.replace(
            settings, seed=seed, labeled=experiment.labeled, **experiment.settings
        )
        for seed in seeds
        for table in tables
        for experiment in table.EXPERIMENTS
    }


def defaults():
    """`Settings` of a reproduction on a laptop."""
    return Settings(data="", filters=(16, 32), epochs=20, decay="cosine")
