"""Which trial to take, where few validation rows say it: rules of choice, by what their choices are worth on test rows.

    python benchmarks/choice.py            # writes AUTO.md, from the single defaults of auto.jsonl

Each rule takes one of the single defaults of a draw by validation figures alone; what it loses is the test F1 that the best of them has
more: on average and, in brackets, at most.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import auto
import numpy as np
from page import write

Run = dict[str, Any]


def highest(runs: list[Run]) -> Run:
    """By the figure."""
    return max(runs, key=lambda one: one["held"])


def lowest_loss(runs: list[Run]) -> Run:
    """By the loss."""
    return min(runs, key=lambda one: one["loss"])


def lowest_calibrated(runs: list[Run]) -> Run:
    """By the loss at the temperature that makes the rows likeliest."""
    return min(runs, key=lambda one: one["calibrated"])


def lowest_brier(runs: list[Run]) -> Run:
    """By the Brier score."""
    return min(runs, key=lambda one: one["brier"])


def not_told(runs: list[Run]) -> list[Run]:
    """Those whose figure is not below the highest on 95 % of the resamples of the rows."""
    best = highest(runs)
    return [one for one in runs if np.percentile(_apart(one, best), 97.5) >= 0]


def near(runs: list[Run]) -> list[Run]:
    """Those whose figure is within a standard error of the highest."""
    best = highest(runs)
    return [one for one in runs if best["held"] - one["held"] <= np.std(_apart(one, best))]


def _apart(one: Run, best: Run) -> Any:
    return np.subtract(one["held_drawn"], best["held_drawn"])


RULES: dict[str, Callable[[list[Run]], Run]] = {
    "highest F1": highest,
    "lowest loss": lowest_loss,
    "lowest loss, not told apart": lambda runs: lowest_loss(not_told(runs)),
    "lowest loss, within a standard error": lambda runs: lowest_loss(near(runs)),
    "lowest calibrated loss, not told apart": lambda runs: lowest_calibrated(not_told(runs)),
    "lowest Brier score": lowest_brier,
    "lowest Brier score, not told apart (auto)": lambda runs: lowest_brier(not_told(runs)),
}


def table(draws: list[dict[str, Any]]) -> str:
    """What each rule loses, where all single defaults are there, and where any two or three of them are."""
    told = ["| | " + " | ".join(RULES) + " |", "|---" * (len(RULES) + 1) + "|"]
    for many in (4, 3, 2):
        lost = {name: [loss for draw in draws for loss in losses(draw, many, rule)] for name, rule in RULES.items()}
        cases = len(next(iter(lost.values())))
        cells = " | ".join(f"{np.mean(found):.4f} ({max(found):.3f})" for found in lost.values())
        told.append(f"| {many} methods, {cases} cases | {cells} |")
    return "\n".join(told)


def losses(draw: dict[str, Any], many: int, rule: Callable[[list[Run]], Run]) -> Iterator[float]:
    """By how much what a rule takes is behind the best by test F1, for all choices of so many methods of a draw."""
    runs = [one for name, one in draw["found"].items() if name != "auto"]
    for some in combinations(runs, many):
        yield max(one["value"] for one in some) - rule(list(some))["value"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=auto.HERE / "AUTO.md")
    write(parser.parse_args().output, "choice.py", table(auto.read_lines()), "luthier auto beside single defaults")
