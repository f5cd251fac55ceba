"""`luthier` and `python -m luthier`: errors meant for a person end in a sentence and exit code 2; Ctrl-C ends in 130."""

import sys

from luthier.errors import LuthierError

STOPPED = 130
"""What a shell expects of a program that Ctrl-C has ended."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line, by default with the process' own arguments."""
    from luthier.cli import app

    try:
        app(arguments)
    except LuthierError as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        if end.code == STOPPED:  # typer has caught Ctrl-C
            print("What was complete is kept; start the same command again when you like.", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
