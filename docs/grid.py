"""Write docs/methods.md and docs/task-grid.md: which method works on which model and for which task, tried out on small models.

python docs/grid.py            # both pages
python docs/grid.py tasks      # docs/task-grid.md alone, which needs no real models
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "methods")]

import cells  # noqa: E402
import task_cells  # noqa: E402

from luthier.methods import METHODS  # noqa: E402


def main() -> None:
    """Write the pages that are asked for."""
    for name in sys.argv[1:] or PAGES:
        with TemporaryDirectory() as place:
            PAGES[name](Path(place))


def methods(place: Path) -> None:
    """Methods on models."""
    assets = os.environ.get("LUTHIER_ASSETS")
    if not assets:
        sys.exit("LUTHIER_ASSETS names no folder of real models, which have rows in docs/methods.md.")
    shelf = cells.Shelf(place, Path(assets))
    outcomes = {(model, method): cells.outcome(shelf, model, method) for model, method in cells.cells()}
    cells.PAGE.write_text(cells.page(outcomes), encoding="utf-8")


def tasks(place: Path) -> None:
    """Tasks with methods."""
    outcomes = {
        (kind, method): task_cells.outcome(kind, method, place / f"{number}" / method)
        for number, kind in enumerate(task_cells.KINDS)
        for method in METHODS
    }
    text = cells.page(outcomes, list(task_cells.KINDS), task_cells.INTRODUCTION)
    task_cells.PAGE.write_text(text, encoding="utf-8")


PAGES = {"methods": methods, "tasks": tasks}


if __name__ == "__main__":
    main()
