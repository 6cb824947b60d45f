"""`split`: divide a manifest into train and test by patients."""

import os


def add(commands):
    """Adds `split`, which divides a manifest into train and test."""
    text = "divide a manifest into train and test, with no patient or film in both"
    command = commands.add_parser("split", help=text, description=text)
    command.add_argument("manifest", help="the csv file, or its folder")
    command.add_argument(
        "--out", metavar="NAME.csv", help="write this file beside it instead"
    )
    command.add_argument("--seed", type=int, default=0, help="seed (%(default)s)")
    command.add_argument(
        "--train", type=float, default=0.7, help="share of train (%(default)s)"
    )
    command.add_argument(
        "--validation",
        type=float,
        default=0.0,
        help="share of train that becomes val (%(default)s)",
    )
    command.add_argument(
        "--labeled",
        type=float,
        nargs="*",
        default=[0.05, 0.07, 0.09],
        metavar="SHARE",
        help="shares of the labels of train, one file for each (0.05 0.07 0.09)",
    )
    command.add_argument(
        "--by-row",
        action="store_true",
        help="split row by row, as the paper may have: leaks, which are counted",
    )
    command.add_argument(
        "--replace", action="store_true", help="replace the split that is there"
    )
    command.set_defaults(run=run)


def run(arguments):
    """Looks for near duplicates, splits, and prints what came out."""
    from data_tools import groups, manifest, split, verify

    path = manifest.locate(arguments.manifest)
    rows = manifest.read(path)
    target = choose_target(path, rows, arguments.out, arguments.replace)
    pairs = find_pairs(path, rows)
    print(describe_pairs(rows, pairs), flush=True)
    named = zip(rows, groups.of(rows, pairs), strict=True)
    report = split.write(
        target,
        [row | {"group": group} for row, group in named],
        seed=arguments.seed,
        train=arguments.train,
        validation=arguments.validation,
        labeled=arguments.labeled,
        by_row=arguments.by_row,
        provenance=verify.read_note(path).get("provenance"),
    )
    print(split.describe(report))
    for old in target.parent.glob(f"{split.prefix(target)}labeled-*.csv"):
        if old.name not in report["labeled"]:
            print(f"  OLD: {old.name} belongs to another split; delete it")
    print(target)


def choose_target(path, rows, out, replace):
    """Returns the path to write.

    Raises:
        ValueError: If it is not beside the manifest.
        FileExistsError: If it holds a split that is not to be replaced.
    """
    if out and (os.path.basename(out) != out or not out.endswith(".csv")):
        raise ValueError(
            f"--out takes the bare name of a csv file, which is written to "
            f"{path.parent}, as the paths of the pictures start there. Received: {out}"
        )
    target = path.with_name(out) if out else path
    if target == path:
        taken = any(row.get("split") for row in rows)
    else:
        taken = target.exists()
    if taken and not replace:
        raise FileExistsError(
            f"{target} already holds a split. Give --out NAME.csv to write another "
            "manifest beside it, or --replace to replace this one."
        )
    return target


def find_pairs(path, rows):
    """Returns the near duplicates among the rows, numbered from 0."""
    import numpy as np

    from data_tools import duplicates, pictures

    first = {}
    for number, row in enumerate(rows):
        first.setdefault(row["image"], number)
    numbers, hashes = np.array(list(first.values())), None
    if all(row.get("phash") for row in rows):
        hashes = np.array([parse_hash(path, number, rows) for number in numbers])
        suspect = duplicates.suspects(hashes)
        numbers, hashes = numbers[suspect], hashes[suspect]
    thumbnails = read_thumbnails([path.parent / rows[i]["image"] for i in numbers])
    if hashes is None:
        hashes = pictures.phash(thumbnails)
    return [
        pair._replace(first=int(numbers[pair.first]), second=int(numbers[pair.second]))
        for pair in duplicates.find(hashes, thumbnails)
    ]


def parse_hash(path, number, rows):
    """Returns the perceptual hash of a row as uint64."""
    import numpy as np

    try:
        return np.uint64(int(rows[number]["phash"], 16))
    except (ValueError, OverflowError):
        raise ValueError(
            f"{path}, row {number + 2}: phash {rows[number]['phash']!r} is no number "
            "of 16 hex digits. Correct it, or leave the column out."
        ) from None


def read_thumbnails(paths):
    """Reads pictures, in several processes if there are many, uint8 (n, 32, 32)."""
    import numpy as np
    from tqdm import tqdm

    from data_tools import parallel

    thumbnails = np.zeros((len(paths), 32, 32), "uint8")
    workers = min(os.cpu_count(), 1 + len(paths) // 256)
    bar = tqdm(paths, unit="film", desc="read", delay=1)
    for number, thumbnail in enumerate(parallel.run(read_thumbnail, bar, workers)):
        thumbnails[number] = thumbnail
    return thumbnails


def read_thumbnail(path):
    """Reads one picture; an error names it."""
    from data_tools import pictures

    try:
        return pictures.thumbnail(pictures.read(path).pixels)
    except pictures.PictureError as error:
        raise ValueError(
            f"{path}: {error}. Repair the picture, or take its row out of the manifest."
        ) from None


def describe_pairs(rows, pairs):
    """Writes how many near duplicates there are, and the first of them."""
    from data_tools import duplicates

    same = sum(pair.correlation >= duplicates.SAME for pair in pairs)
    labels = [(rows[pair.first]["label"], rows[pair.second]["label"]) for pair in pairs]
    other = sum(one != two for one, two in labels if one and two)
    lines = [
        f"near duplicates: {len(pairs):,} pairs, {same:,} of them the same picture, "
        f"{other:,} with different labels"
    ]
    for first, second, correlation in pairs[:10]:
        one, two = rows[first], rows[second]
        lines.append(
            f"  {correlation:.4f}  {one['image']} {one['label']}  "
            f"{two['image']} {two['label']}"
        )
    if len(pairs) > 10:
        lines.append(f"  and {len(pairs) - 10:,} more")
    return "\n".join(lines)
