"""`shards`: pack the pictures of a manifest into a few large files."""


def add(commands):
    """Adds `shards`, which packs a set of films."""
    text = "pack the pictures of a manifest into TFRecord files, for large sets"
    command = commands.add_parser("shards", help=text, description=text)
    command.add_argument("manifest", help="csv file, or the folder that holds it")
    command.add_argument("--out", required=True, help="folder to write")
    command.add_argument(
        "--shard-size", type=int, default=128, help="MiB in a file (%(default)s)"
    )
    command.add_argument(
        "--seed", type=int, default=0, help="of the order in the files (%(default)s)"
    )
    command.set_defaults(run=run)


def run(arguments):
    """Packs the pictures and prints how many are in how many files."""
    from data_tools import shard_checks, shards

    path = shards.write(
        arguments.manifest, arguments.out, arguments.shard_size * 2**20, arguments.seed
    )
    files = shard_checks.read_files(arguments.out).values()
    print(
        f"{sum(file['records'] for file in files):,} pictures in {len(files)} files, "
        f"{sum(file['bytes'] for file in files) / 2**20:,.1f} MiB"
    )
    print(path)
