"""The films that the benchmarks of input read: real ones where they are, else drawn."""

import shutil
from pathlib import Path

from common import ROOT
from PIL import Image

BATCH, SIZE = 256, 64
DEFAULT = Path(ROOT).parent / "shared" / "cxr" / "manifest.csv"


def prepare(manifest, folder):
    """Lays the training films down as every way wants them: class folders, shards."""
    from data_tools import phantom, shards
    from sskeras import data

    if manifest is None:
        drawn = phantom.write(folder / "drawn", 3000) if not DEFAULT.exists() else None
        manifest = drawn or DEFAULT
    rows = data.select(data.read_manifest(manifest), "train")
    for path, label in zip(rows["path"], rows["label"], strict=True):
        film = folder / "classes" / label / Path(path).name
        film.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, film)
    columns = rows[["label"]].assign(split="train")
    names = [f"classes/{r.label}/{Path(r.path).name}" for r in rows.itertuples()]
    columns.insert(0, "image", names)
    columns.to_csv(folder / "manifest.csv", index=False)
    shards.write(folder / "manifest.csv", folder / "shards")
    with Image.open(rows["path"].iloc[0]) as film:
        size = f"{film.size[0]}×{film.size[1]}, {film.format}"
    print(f"{len(rows):,} training films of {size}\n")


def table(folder, way):
    """Returns the rows of the manifest, of the shards if they are the way, and y."""
    from sskeras import data

    path = Path(folder, "shards" if way == "shards" else "manifest.csv")
    rows = data.select(data.read_manifest(path), "train")
    return rows, data.encode_labels(rows, data.class_names(rows))


def pictures(folder, rows, way):
    """Returns the films as an array, a memmap or shards."""
    from sskeras import data

    if way == "shards":
        return data.Shards(rows, SIZE)
    cache = Path(folder, "cache") if way == "cache" else None
    return data.load_pictures(rows["path"], SIZE, cache=cache, progress=False)
