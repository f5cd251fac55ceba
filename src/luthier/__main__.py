"""`luthier` and `python -m luthier`: errors meant for a person end in a sentence and exit code 2; Ctrl-C ends in 130."""

import sys

from luthier.errors import LuthierError


def main(arguments: list[str] | None = None) -> None:
    """Run the command line, by default with the process' own arguments."""
    from luthier.cli import app

    try:
        app(arguments)
    except LuthierError as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
