"""`build`: make a set of films from what publishers ship."""

import argparse


def add(commands):
    """Adds `build`, which makes a set from its sources."""
    text = "make COVIDx, or another set of films, from its sources"
    command = commands.add_parser("build", help=text, description=text)
    command.add_argument(
        "--recipe",
        default="paper-clean",
        help="paper-clean (default), paper-literal, frontal, covidx-v1 ... covidx-v9B",
    )
    command.add_argument(
        "--source",
        action="append",
        required=True,
        metavar="NAME=FOLDER",
        help="a download, as often as there are sources: rsna, cohen, figure1, "
        "actualmed, ricord, bimcv, stonybrook, radiography; your own pictures as "
        "NAME=folders:FOLDER, NAME=manifest:FILE or NAME=medmnist:FILE",
    )
    command.add_argument("--out", help="folder to write")
    command.add_argument(
        "--lists", metavar="FOLDER", help="released lists (covidx-...)"
    )
    command.add_argument(
        "--size",
        type=side,
        default=224,
        help="height and width in pixels, or 'original' (%(default)s)",
    )
    command.add_argument("--seed", type=int, default=0, help="of the split (0)")
    command.add_argument("--workers", type=int, help="processes (one per processor)")
    command.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything and print the plan; exit status 3 if a source is "
        "missing, 4 if counts are not as expected",
    )
    command.set_defaults(run=run)


def side(text):
    """Reads `--size`."""
    if text == "original":
        return None
    if not (text.isdecimal() and 16 <= int(text) <= 4096):
        raise argparse.ArgumentTypeError(
            "expected at least 16 pixels and at most 4096, or 'original'"
        )
    return int(text)


def run(arguments):
    """Prints the plan, and builds unless it is a dry run."""
    from data_tools import plan, recipes, sources

    recipe = recipes.find(arguments.recipe)
    given = sources.parse_all(arguments.source)
    if arguments.dry_run:
        return plan.dry_run(
            recipe, given, arguments.lists, arguments.out, arguments.size
        )
    from data_tools import build

    if not arguments.out:
        raise ValueError("--out FOLDER is missing: where to write the set.")
    result = build.build(
        recipe,
        given,
        arguments.out,
        size=arguments.size,
        seed=arguments.seed,
        workers=arguments.workers,
        lists=arguments.lists,
    )
    print(build.report(*result, arguments.out))
