"""Which trial to take, where few validation rows say it: rules of choice, by what their choices are worth on test rows.

    OMP_NUM_THREADS=1 python benchmarks/choice.py run --data sst2 --model FOLDER --rows 400 --seed 0     # adds to choice.jsonl
    python benchmarks/choice.py page                                                                   # writes AUTO.md

Each draw of rows trains the methods of auto.py at their defaults, a fifth of the rows being validation. Each rule then takes one of
them by validation figures alone; what it loses is the test F1 that the best of them has more.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import auto
import numpy as np
from page import write

LINES = auto.HERE / "choice.jsonl"
KEPT = 200
"""Resamples of the validation rows that are written down."""
Run = dict[str, Any]


def run(given: list[str]) -> None:
    """Train the methods on one draw of rows."""
    sys.argv[1:] = given
    options = auto.read_options()
    with tempfile.TemporaryDirectory() as place:
        recipe = auto.recipe_of(options, *auto.draw(options), Path(place))
        for method in auto.DATA[options.data].methods:
            found = single(recipe, method, Path(place) / method)
            line = {"data": options.data, "rows": options.rows, "seed": options.seed, "method": method, **found}
            with LINES.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def single(recipe: dict[str, Any], method: str, output: Path) -> Run:
    """A training: its figures on test and validation rows, and the latter on resamples of them."""
    from luthier.pipeline import train

    run = train({**recipe, "method": method, "output": str(output)})
    held = run.evaluate("validation").metrics
    drawn = run.target.judge.resampled(*run._stored("validation"), 0)["f1_macro"]
    return {
        "test": run.evaluate("test").metrics["f1_macro"],
        "held": held["f1_macro"],
        "loss": held["log_loss"],
        "drawn": [round(float(one), 4) for one in drawn[:KEPT]],
    }


def highest(runs: list[Run]) -> Run:
    """By the figure."""
    return max(runs, key=lambda one: one["held"])


def lowest_loss(runs: list[Run]) -> Run:
    """By the loss."""
    return min(runs, key=lambda one: one["loss"])


def lowest_loss_of_ties(runs: list[Run]) -> Run:
    """By the loss among those that the rows do not tell from the one with the highest figure."""
    best = highest(runs)
    return lowest_loss([one for one in runs if not worse(one, best)])


def worse(one: Run, best: Run) -> bool:
    """Whether the 95 % interval of the difference lies below 0."""
    return bool(np.percentile(np.subtract(one["drawn"], best["drawn"]), 97.5) < 0)


RULES: dict[str, Callable[[list[Run]], Run]] = {
    "highest F1": highest,
    "lowest loss": lowest_loss,
    "lowest loss of those not told from the highest F1": lowest_loss_of_ties,
}


def table(lines: Iterable[Run]) -> str:
    """What each rule takes from each draw, and what it loses on average."""
    draws: dict[tuple[str, int, int], list[Run]] = defaultdict(list)
    for line in lines:
        draws[line["data"], line["rows"], line["seed"]].append(line)
    told = [f"| data, rows, draw | best | {' | '.join(RULES)} |", "|---" * (len(RULES) + 2) + "|"]
    lost = {name: [] for name in RULES}  # type: dict[str, list[float]]
    for (data, rows, seed), runs in draws.items():
        best, taken = max(one["test"] for one in runs), {name: rule(runs) for name, rule in RULES.items()}
        for name, one in taken.items():
            lost[name].append(best - one["test"])
        names = " | ".join(f"{one['method']} {one['test']:.3f}" for one in taken.values())
        told.append(f"| {data}, {rows}, {seed} | {best:.3f} | {names} |")
    told.append("| lost on average | | " + " | ".join(f"{np.mean(lost[name]):.3f}" for name in RULES) + " |")
    return "\n".join(told)


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run(sys.argv[2:])
    else:
        parser = argparse.ArgumentParser()
        parser.add_argument("what", choices=["page"])
        parser.add_argument("--output", type=Path, default=auto.HERE / "AUTO.md")
        lines = map(json.loads, LINES.read_text(encoding="utf-8").splitlines())
        write(parser.parse_args().output, "choice.py", table(lines), "luthier auto beside single defaults")
