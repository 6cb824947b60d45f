"""`audit`: look for copies, leaks, contradictions and shortcuts."""


def add(commands):
    """Adds `audit`, which writes a report on a set of films."""
    text = "report copies, leaks, contradictory labels and shortcuts of a set"
    command = commands.add_parser("audit", help=text, description=text)
    command.add_argument("manifest", help="csv file, or the folder that holds it")
    command.add_argument(
        "--out", metavar="FOLDER", help="where to write (folder of the manifest)"
    )
    command.add_argument(
        "--workers", type=int, default=2, help="processes (%(default)s)"
    )
    command.add_argument(
        "--sheet", type=int, default=12, help="random films of a class (%(default)s)"
    )
    command.set_defaults(run=run)


def run(arguments):
    """Writes `audit.json` and `audit.html` and prints the alarms."""
    from pathlib import Path

    from data_tools import audit, manifest

    path = manifest.locate(arguments.manifest)
    report = audit.write(path, arguments.out, arguments.workers, arguments.sheet)
    print(audit.describe(report))
    print(Path(arguments.out or path.parent, "audit.html"))
