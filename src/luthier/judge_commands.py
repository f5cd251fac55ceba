"""What the commands that look closer at a run's answers do; results are printed on stdout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.errors import DataError
from luthier.show import print_table

if TYPE_CHECKING:
    from luthier.evaluate.calibrate import Goal


def evaluate_by(path: Path, column: str, on: str, as_json: bool) -> None:
    """`luthier evaluate RUN --by COLUMN`."""
    from luthier.evaluate.records import read
    from luthier.evaluate.slices import by_column
    from luthier.run import Run

    records = read(Run(path).path)
    if on not in ("", records.held_out):
        raise DataError(
            f"--by groups the {records.held_out} rows, whose columns the run has kept, and not those of --on {on}: leave --on out."
        )
    facts = by_column(records, column)
    if as_json:
        print(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    share = ("{:.1%}" if facts["graded"] else "{:.3g}").format
    rows = [
        [
            one["value"],
            f"{one['rows']:,}",
            *(
                [f"{one['figures'][facts['monitor']]:.4f}" if facts["monitor"] in one["figures"] else ""]
                if facts["title"]
                else []
            ),
            share(one["error"]),
            share(one["rest"]),
            f"{share(one['difference'])} ({share(one['interval'][0])} to {share(one['interval'][1])})",
            f"{one['p']:.2g}",
        ]
        for one in facts["shown"]
    ]
    headings = [facts["column"], "rows", *filter(None, [facts["title"]]), facts["error"].lower()]
    title = f"{path}: {records.held_out} rows by {facts['column']}"
    print_table(title, [*headings, "the rest", "difference, 95 % interval", "p worse, corrected"], rows)
    print(
        f"p is corrected for all {facts['looked_at']} groups of the run; groups of fewer than {facts['enough']} rows are left out."
    )


def calibrate_run(path: Path, precision: float | None, cost: str, label: str) -> None:
    """`luthier calibrate`."""
    from luthier.calibrated import calibrate
    from luthier.run import Run

    goal = _goal(precision, cost)
    if label and not goal:
        raise DataError(
            "--class says which class gets a threshold: say what for, with --precision 0.9 or --cost fp=1,fn=5."
        )
    run = Run(path)
    with run.folder.locked():
        facts = calibrate(run, goal, label)
    rows = [[one["title"], f"{one['before']:.4f}", f"{one['after']:.4f}"] for one in facts["figures"]]
    print_table(
        f"{path}: temperature {facts['temperature']:.3g}, fitted on {facts['rows']['validation']:,} validation rows",
        [f"figure of {facts['rows']['test']:,} test rows", "network", "calibrated"],
        rows,
    )
    if facts["thresholds"]:
        _print_thresholds(facts)
    low, high = facts["better"]["interval"]
    print(f"Log loss of the test rows changes by {-facts['better']['value']:+.4f} ({-high:+.4f} to {-low:+.4f}).")
    print(f"luthier predicts with it from now on; plain transformers does not know it. Report: {run.path}/report.html")


def _print_thresholds(facts: Mapping[str, Any]) -> None:
    rows = [
        [one["label"], f"{one['threshold']:.4f}", split, _share(one[split]["precision"]), _share(one[split]["recall"])]
        + ([f"{one[split]['cost']:.4f}"] if one[split]["cost"] is not None else [])
        for one in facts["thresholds"]
        for split in ("validation", "test")
    ]
    headings = ["label", "answered from", "rows", "precision, 95 % interval", "recall, 95 % interval", "cost a row"]
    print_table(f"Thresholds for {facts['goal']}", headings[: len(rows[0])], rows)
    print(*facts["notes"], sep="\n", end="\n" if facts["notes"] else "")


def _share(found: Mapping[str, Any] | None) -> str:
    return f"{found['value']:.3f} ({found['interval'][0]:.3f} to {found['interval'][1]:.3f})" if found else ""


COSTS = {"fp": "false_positive", "fn": "false_negative"}


def _goal(precision: float | None, cost: str) -> Goal | None:
    """What thresholds are for; None for no thresholds.

    Raises:
        DataError: both are given, or one cannot be read.
    """
    from luthier.evaluate.calibrate import Goal

    if precision is not None and cost:
        raise DataError("A threshold is for --precision or for --cost: give one of them.")
    if precision is not None:
        if not 0 < precision <= 1:
            raise DataError(f"--precision is a share above 0 and up to 1; got {precision:g}.")
        return Goal(precision=precision)
    if not cost:
        return None
    parts = dict(part.strip().partition("=")[::2] for part in cost.split(","))
    try:
        costs = {COSTS[name]: float(value) for name, value in parts.items()}
    except (KeyError, ValueError):
        costs = {}
    if not costs or not all(0 < value < float("inf") for value in costs.values()):
        raise DataError(
            f"--cost is what a false positive and a false negative cost, as fp=1,fn=5, both above 0; got {cost!r}."
        )
    return Goal(**costs)
