"""`luthier` and `python -m luthier`: errors meant for a person end in a sentence and exit code 2."""

import sys

from luthier.errors import LuthierError


def main() -> None:
    """Run the command line."""
    from luthier.cli import app

    try:
        app()
    except LuthierError as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as stopped:
        print(stopped or "Stopped.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
