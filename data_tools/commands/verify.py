"""`verify`: check that a set is still what its manifest says."""


def add(commands):
    """Adds `verify`, which hashes a set again."""
    text = "hash every picture again and list what has changed; exit status 1 if so"
    command = commands.add_parser("verify", help=text, description=text)
    command.add_argument("manifest", help="csv file, or the folder that holds it")
    command.add_argument(
        "--workers", type=int, default=2, help="processes (%(default)s)"
    )
    command.set_defaults(run=run)


def run(arguments):
    """Prints the problems; returns 1 if there are any."""
    from data_tools.verify import verify

    problems = verify(arguments.manifest, arguments.workers)
    for problem in problems:
        print(problem)
    print(f"Problems: {len(problems):,}" if problems else "All is well.")
    return int(bool(problems))
