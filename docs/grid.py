"""Write docs/methods.md: which method works on which model, tried out on the conformance suite's small models."""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "methods")]

from cells import PAGE, Shelf, cells, outcome, page  # noqa: E402


def main() -> None:
    assets = os.environ.get("LUTHIER_ASSETS")
    if not assets:
        sys.exit("LUTHIER_ASSETS names no folder of real models, which have rows in docs/methods.md.")
    with TemporaryDirectory() as place:
        shelf = Shelf(Path(place), Path(assets))
        outcomes = {(model, method): outcome(shelf, model, method) for model, method in cells()}
    PAGE.write_text(page(outcomes), encoding="utf-8")


if __name__ == "__main__":
    main()
