"""`phantom`: draw a set of chest films."""


def add(commands):
    """Adds `phantom`, which draws a set of chest films."""
    text = "draw a set of chest films: normal, pneumonia, COVID-19"
    command = commands.add_parser("phantom", help=text, description=text)
    command.add_argument("--out", required=True, help="folder to write")
    command.add_argument("--count", type=int, default=6000, help="films (%(default)s)")
    command.add_argument("--seed", type=int, default=0, help="seed (%(default)s)")
    command.add_argument("--size", type=int, default=128, help="pixels (%(default)s)")
    command.add_argument(
        "--workers", type=int, default=2, help="processes (%(default)s)"
    )
    command.set_defaults(run=run)


def run(arguments):
    """Writes the set and prints how many films of each class it holds."""
    from data_tools import phantom

    path = phantom.write(
        arguments.out,
        arguments.count,
        arguments.seed,
        arguments.size,
        arguments.workers,
    )
    print(f"{'':10}{'train':>8}{'test':>8}")
    for label, films in phantom.count_films(arguments.count).items():
        print(f"{label:10}{films['train']:8,}{films['test']:8,}")
    print(path)
