"""From downloads to a manifest that can be trusted."""

import argparse
import importlib
import sys

COMMANDS = ("build", "split", "audit", "verify", "diff", "shards", "phantom")


def main(argv=None):
    """Runs one command.

    Args:
        argv: List of arguments, by default those of the process.

    Returns:
        The exit status.
    """
    top = parser()
    arguments = top.parse_args(argv)
    try:
        return arguments.run(arguments) or 0
    except (ValueError, OSError, OverflowError, RecursionError) as error:
        top.exit(2, f"data_tools: {error}\n")
    except MemoryError:
        top.exit(2, "data_tools: too little memory; close other programs\n")
    except KeyboardInterrupt:
        top.exit(130, "data_tools: interrupted; run the same command again\n")


def parser():
    """The commands and their options."""
    top = argparse.ArgumentParser("python -m data_tools", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f"data_tools.commands.{name}").add(commands)
    return top


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # of names in other scripts
    sys.exit(main())
