"""Audits a set of films: copies, leaks, contradictions, and shortcuts to the class.

`audit.html` is one file without scripts; `audit.json` holds the same numbers, and
every finding where the page shows only the first.
"""

import json
from pathlib import Path

from data_tools import manifest
from data_tools.audit import (
    columns,
    copies,
    counts,
    labels,
    leaks,
    looks,
    page,
    sheets,
    shortcuts,
)
from data_tools.audit.films import load

__all__ = ["describe", "write"]


def write(path, out=None, workers=2, sheet=12):
    """Audits a set and writes `audit.json` and `audit.html`.

    Args:
        path: The manifest, or the folder that holds it; `image` and `label` are the
            only columns it must have.
        out: Folder to write, made if need be; by default that of the manifest.
        workers: Number of processes that read pictures.
        sheet: Number of random films of each class on the page.

    Returns:
        Dict, the content of `audit.json`. What is wrong with the set is in `alarms`,
        a list of sentences.

    Raises:
        ValueError: If the manifest cannot be read, or an argument is out of range.

    Example:
    >>> audit.write("films")["alarms"]
    []
    """
    if workers < 1 or sheet < 0:
        raise ValueError(
            "Expected at least one worker and a sheet of 0 films or more. Received: "
            f"workers={workers}, sheet={sheet}"
        )
    path = manifest.locate(path)
    out = Path(out or path.parent)
    out.mkdir(parents=True, exist_ok=True)
    films = load(path, workers)
    sections = [
        counts.section(films),
        looks.unreadable(films),
        copies.section(films),
        leaks.section(films),
        labels.section(films),
        shortcuts.section(films),
        columns.section(films),
        looks.sizes(films),
        looks.suspects(films),
        sheets.means(films),
        sheets.random_films(films, sheet),
    ]
    report = {
        "manifest": path.name,
        "sha256": manifest.sha256(path),
        "rows": len(films.rows),
        "pictures": len(films.images),
        "alarms": [alarm for section in sections for alarm in section.alarms],
        "sections": {section.name: section.facts for section in sections},
    }
    text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
    manifest.write_text(out / "audit.json", text + "\n")
    manifest.write_text(out / "audit.html", page.render(report, sections))
    return report


def describe(report):
    """Writes an audit in a few lines: how much was read, and every alarm.

    Args:
        report: What `write` returns.

    Returns:
        Text of some lines.
    """
    alarms = report["alarms"]
    return "\n".join(
        [
            f"{report['rows']:,} rows, {report['pictures']:,} pictures, "
            f"{len(alarms)} alarm{'s' * (len(alarms) != 1)}",
            *(f"  ALARM: {alarm}" for alarm in alarms),
        ]
    )
