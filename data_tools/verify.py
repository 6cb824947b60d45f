"""Checks that a set is still what its manifest says."""

from pathlib import Path

from tqdm import tqdm

from data_tools import groups, manifest, note, parallel, pictures, split


def verify(path, workers=2):
    """Reads a set again, and lists what has changed.

    Every picture is hashed and compared with the column `sha256`; without one it is
    decoded. No file of `images/` may lack a row. `split.json` beside the manifest
    has the hashes of the tables. A folder of shards is read record by record.

    Args:
        path: The manifest, or the folder that holds it.
        workers: Number of processes.

    Returns:
        List of problems, each a sentence that names the file; empty if all is well.

    Raises:
        ValueError: If the manifest cannot be read.

    Example:
    >>> verify("films")
    []
    """
    path = manifest.locate(path)
    rows = manifest.read(path)
    problems = check_tables(path) + check_split(path, rows)
    if (path.parent / "shards.json").exists():
        from data_tools import shards

        return problems + shards.verify(path.parent)
    return problems + check_pictures(path.parent, rows, workers) + strays(path, rows)


def check_tables(path):
    """Compares the manifest and the files that belong to it with `split.json`."""
    found = read_note(path)
    expected = found.get("sha256", {}) | found.get("provenance", {})
    problems = []
    for name, digest in expected.items():
        try:
            actual = manifest.sha256(path.with_name(name))
        except OSError as error:
            problems.append(f"{name}: {error.strerror}")
            continue
        if actual != digest:
            problems.append(f"{name}: changed since {note_path(path).name} was written")
    return problems


def note_path(path):
    """Returns the path of the `split.json` that belongs to a manifest."""
    return path.with_name(f"{split.prefix(path)}split.json")


def read_note(path):
    """Reads the `split.json` of a manifest; empty if there is none."""
    place = note_path(path)
    if not place.exists():
        return {}
    repair = "Delete it, and split the manifest anew."
    found = note.read(place, repair)
    parts = [found.get(name, {}) for name in ("sha256", "provenance")]
    if not all(isinstance(part, dict) for part in parts):
        raise ValueError(
            f"{place}: expected objects sha256 and provenance in the object. {repair}"
        )
    return found


def check_split(path, rows):
    """Finds a patient or picture in two splits, unless the split says it allows it."""
    whole = read_note(path).get("rule", "whole groups") == "whole groups"
    if not rows or "split" not in rows[0] or not whole:
        return []
    try:
        groups.check(path, rows)
    except ValueError as error:
        return [str(error)]
    return []


def check_pictures(folder, rows, workers):
    """Reads each picture once; returns the problems, by row."""
    lines = {}
    for line, row in enumerate(rows, start=2):  # line 1 is the header
        lines.setdefault((row["image"], row.get("sha256", "")), line)
    jobs = [(folder / image, digest) for image, digest in lines]
    workers = min(workers, 1 + len(jobs) // 256)
    found = parallel.run(check_picture, jobs, workers)
    bar = tqdm(found, total=len(jobs), unit="film", desc="verify")
    return [
        f"{image} (row {line}): {problem}"
        for ((image, _), line), problem in zip(lines.items(), bar, strict=True)
        if problem
    ]


def check_picture(job):
    """Returns what is wrong with a picture: `(path, sha256)`, `""` if nothing is."""
    path, digest = job
    try:
        if not digest:
            pictures.read(path)
            return ""
        found = manifest.sha256(path)
    except pictures.PictureError as error:
        return str(error)
    except OSError as error:
        return error.strerror
    return "" if found == digest else f"changed; its sha256 is {found}"


def strays(path, rows):
    """Finds files of `images/` that no row names."""
    named = {Path(row["image"].replace("\\", "/")) for row in rows}
    files = sorted(
        file.relative_to(path.parent)
        for file in (path.parent / "images").rglob("*")
        if file.is_file()
    )
    return [f"{f.as_posix()}: no row names it" for f in files if f not in named]
