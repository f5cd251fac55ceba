"""Contenders with known answers, without a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from luthier.evaluate.classes import ClassJudge
from luthier.evaluate.contenders import Contender, Ground, Measured, Part, measured
from luthier.evaluate.costs import Cost
from luthier.evaluate.same_rows import Ordered

LABELS = ["bad", "good"]


def part(split: str, targets: np.ndarray) -> Part:
    keys = tuple((f"{split} {row}", "x") for row in range(len(targets)))
    return Part(split, Ordered(keys, np.arange(len(targets))), targets)


def ground(rows: int = 200, validation: int = 100, monitor: str = "accuracy") -> Ground:
    random = np.random.default_rng(0)
    test, held = random.integers(2, size=rows), random.integers(2, size=validation)
    table = pd.DataFrame({"row": np.arange(1, rows + 1), "review": [f"text {row}" for row in range(rows)]})
    return Ground(
        judge=ClassJudge(LABELS, multilabel=False),
        monitor=monitor,
        reported=part("test", test),
        chosen_on=part("validation", held) if validation else None,
        table=table.assign(label=[LABELS[one] for one in test]),
        inputs=("review",),
        medium="text",
        train={"rows": 10, "labels": {"bad": 4, "good": 6}},
        seed=0,
    )


def answers(targets: np.ndarray, wrong: Mapping[int, Any] | set[int] | range) -> np.ndarray:
    """Probabilities that are right but for some rows, (rows, 2)."""
    right = ~np.isin(np.arange(len(targets)), list(wrong))
    sure = np.where(right, 0.9, 0.1)
    return np.stack([np.where(targets == label, sure, 1 - sure) for label in (0, 1)], axis=1)


def told(ground: Ground, *wrong: tuple[range | set[int], range | set[int]]) -> Measured:
    """Measured trainings, a pair a seed: rows of test and of validation that are wrong."""
    chosen_on = ground.chosen_on
    return measured(
        ground,
        [
            (answers(ground.reported.targets, test), answers(chosen_on.targets, held) if chosen_on else None)
            for test, held in wrong
        ],
    )


def contender(name: str, ground: Ground, *wrong: tuple[range | set[int], range | set[int]], **fields: Any) -> Contender:
    """A contender by the rows that each of its seeds gets wrong."""
    cost = fields.pop("cost", Cost(1000, 500, 60, 2, 1e6))
    return Contender(name, f"a model, {name}", told(ground, *wrong), cost, seeds=tuple(range(len(wrong))), **fields)
