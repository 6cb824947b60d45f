"""`diff`: compare two manifests."""


def add(commands):
    """Adds `diff`, which compares two manifests."""
    text = "list the rows in which two manifests differ; exit status 1 if they do"
    command = commands.add_parser("diff", help=text, description=text)
    command.add_argument("first", help="csv file, or the folder that holds it")
    command.add_argument("second", help="the other")
    command.set_defaults(run=run)


def run(arguments):
    """Prints the differences; returns 1 if there are any."""
    from data_tools import diff, manifest

    old, new = manifest.read(arguments.first), manifest.read(arguments.second)
    found = diff.diff(old, new)
    print(diff.describe(found))
    return int(any(found))
