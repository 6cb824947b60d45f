"""From sources to a set: pictures, manifest, split and ledger.

A set is a folder:

- `manifest.csv`   a row for every film that was kept; written last
- `labeled-5.csv`  the same with 5 % of the training labels (7, 9 as well)
- `images/`        8-bit grey PNG under the name of their content
- `ledger.csv`     a row for every row read: kept, or dropped for which reason
- `duplicates.csv` pairs of films that are, or nearly are, the same picture
- `split.json`     counts, hashes and what the split guarantees
- `build.json`     recipe, versions of the sources, counts expected and found

The same sources give the same bytes, but for `.journal.jsonl`, which knows when the
originals changed and lets an interrupted build go on.
"""

import json
import os
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from data_tools import ledger, manifest, parallel, pictures, plan, split, store
from data_tools.arrange import arrange, write_pairs

NAMES = ("labeled-5.csv", "labeled-7.csv", "labeled-9.csv")
VERSION = 1  # Raise it when the same sources give other pictures or another manifest.


def build(recipe, given, out, *, size=224, seed=0, workers=None, lists=None):
    """Builds a set, or goes on with one that was interrupted.

    Args:
        recipe: A `Recipe`.
        given: Dict of name to `Source`; any subset of those there are.
        out: Folder of the set, made if need be.
        size: Height and width in pixels; `None` keeps those of each original.
        seed: Integer, for the split.
        workers: Number of processes, by default one for each processor.
        lists: Folder of the released lists, for the recipes `covidx-…`.

    Returns:
        Dicts as in `build.json` and `split.json`.

    Raises:
        ValueError, OSError: If a source or an argument is wrong, the folder holds
            another set, or the disk is full. What was made stays, and the same call
            goes on with it.
    """
    settings = {"recipe": recipe.name, "size": size, "seed": seed, "version": VERSION}
    out, workers = Path(out), os.cpu_count() if workers is None else workers
    check_arguments(given, out, size, workers)
    store.check_folder(out)
    rows = plan.collect(recipe, given, lists)
    print(plan.describe(recipe, given, rows), flush=True)
    out.mkdir(parents=True, exist_ok=True)
    with store.alone(out):
        journal = store.Journal(out, settings)
        entries = examine(rows, given, out, size, journal, workers)
        counts = {
            "expected": recipe.expected,
            "found": plan.count_kept(recipe, rows),
            "unexpected": plan.differences(recipe, given, rows),
        }
        table, pairs = arrange(recipe, rows, entries, given)
        if not table:
            raise ValueError(
                f"No row was kept, so there is no set. Reasons: {ledger.count(rows)}"
            )
        restore(rows, given, out, size, journal, workers)
        journal.save()
        flags = Counter(flag for row in table for flag in row["flags"].split())
        summary = settings | summarize(rows, given) | counts
        summary["flags"] = dict(sorted(flags.items()))
        return summary, write(recipe, out, rows, table, pairs, summary)


def write(recipe, out, rows, table, pairs, summary):
    """Writes all but the pictures, the manifest last; returns `split.json`'s dict."""
    for old in ("manifest.csv", "split.json", *NAMES):
        (out / old).unlink(missing_ok=True)  # Not whole until all is.
    store.sweep(out, {row["image"] for row in table})
    ledger.write(out / "ledger.csv", rows)
    write_pairs(out / "duplicates.csv", pairs)
    manifest.write_text(out / "build.json", json.dumps(summary, indent=1) + "\n")
    if hasattr(os, "sync"):
        os.sync()  # The manifest must not outlive the pictures it names.
    notes = ("build.json", "ledger.csv", "duplicates.csv")
    return split.write(
        out / "manifest.csv",
        table,
        seed=summary["seed"],
        by_row=recipe.every_row,
        given=bool(recipe.version),
        provenance={name: manifest.sha256(out / name) for name in notes},
    )


def check_arguments(given, out, size, workers):
    """Raises an error for an argument that no build can work with."""
    if workers < 1 or (size is not None and size < pictures.MIN_SIDE):
        raise ValueError(
            f"Expected a size of at least {pictures.MIN_SIDE} pixels, or that of the "
            f"originals, and at least 1 worker. Received: size={size}, "
            f"workers={workers}"
        )
    for source in given.values():
        folder, place = source.folder.resolve(), out.resolve()
        if place == folder or (source.walks and place.is_relative_to(folder)):
            raise ValueError(
                f"--out {out} lies in --source {source.name}={source.folder}, whose "
                "files would then include the set. Choose a folder elsewhere."
            )


def examine(rows, given, out, size, journal, workers):
    """Makes the pictures that are not made yet; drops rows without a usable one.

    Returns:
        Dict of `(source, file)` to `Entry`.
    """
    paths = {key: given[key[0]].folder / key[1] for key in plan.files(rows)}
    entries = {key: journal.find(key, path) for key, path in paths.items()}
    missing = {key: paths[key] for key, entry in entries.items() if entry is None}
    plan.check_space(out, len(missing), size)
    journal.save()
    for name in given:
        some = {key: path for key, path in missing.items() if key[0] == name}
        entries |= make(some, name, out, size, journal, workers)
    gone = [paths[key] for key in paths if entries[key].reason == plan.ABSENT]
    if gone:
        raise OSError(
            f"{len(gone)} original(s) vanished while the set was built, the first is "
            f"{gone[0]}. Run the same command again."
        )
    for row in rows:
        if not row.dropped and (entry := entries[row.source, row.file]).reason:
            row.drop(entry.reason, entry.detail)
    return entries


def make(paths, name, out, size, journal, workers):
    """Makes pictures in parallel with a progress bar.

    Args:
        paths: Dict of `(source, file)` to the path of the original.

    Returns:
        Dict of `(source, file)` to `Entry`.
    """
    jobs = [(path, out, size) for path in paths.values()]
    done = parallel.run(store.make, jobs, min(workers, 1 + len(jobs) // 32))
    with tqdm(total=len(jobs), unit="film", desc=name, disable=not jobs) as bar:
        entries = {}
        for key, entry in journal.write(zip(paths, done, strict=True)):
            entries[key] = entry
            bar.update()
    return entries


def restore(rows, given, out, size, journal, workers):
    """Makes those kept pictures again that are missing or were changed since.

    Raises:
        OSError: If an original has changed meanwhile.
    """
    keys = plan.files(rows)
    bar = tqdm(keys, unit="film", desc="check", delay=2)
    broken = [key for key in bar if not store.is_whole(out, journal.entry(key))]
    for key in broken:
        (out / journal.entry(key).image).unlink(missing_ok=True)
    before = {key: journal.entry(key) for key in broken}
    paths = {key: given[key[0]].folder / key[1] for key in broken}
    after = make(paths, "repair", out, size, journal, workers)
    changed = [key for key in broken if before[key] != after[key]]
    if changed:
        raise OSError(
            f"{len(changed)} original(s) changed while the set was built, the first is "
            f"{paths[changed[0]]}. Run the same command again."
        )


def summarize(rows, given):
    """Returns what `build.json` says of sources and rows."""
    return {
        "sources": {
            name: {
                "title": source.title,
                "from": source.get,
                "license": source.license,
                "version": source.version(),
                "remarks": source.remarks(),
            }
            for name, source in sorted(given.items())
        },
        "rows": ledger.count(rows),
    }


def report(summary, splits, out):
    """Writes what was built as text: counts, and loudly what is not as it should be.

    Args:
        summary, splits: What `build` returns.
        out: Folder of the set.
    """
    lines = [f"\n{Path(out, 'manifest.csv')}", split.describe(splits)]
    for name, count in summary["rows"].items():
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in count["dropped"].items())
        lines.append(
            f"  {name}: {count['read']:,} rows read = {count['kept']:,} kept + "
            f"{sum(count['dropped'].values()):,} dropped ({reasons or 'none'})"
        )
    for flag, number in summary["flags"].items():
        lines.append(f"  LOOK AT: {number:,} films with the flag {flag}")
    for place, label, expected, found in summary["unexpected"]:
        lines.append(
            f"  UNEXPECTED: {place} has {found:,} {label}, expected {expected:,}"
        )
    return "\n".join(lines)
