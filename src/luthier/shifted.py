"""Whether the test rows are like the training rows, by the vectors that the base model makes of some of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from luthier import hardware
from luthier.data import shift
from luthier.data.strata import shared
from luthier.data.table import Table
from luthier.embed import embed
from luthier.errors import ModelError, TrainError
from luthier.models.find import Base
from luthier.prepare import Prepared
from luthier.recipe.schema import Recipe
from luthier.show import Console

ROWS = 500
"""Most rows of each side that are read where nothing else needs their vectors: enough to see a clear shift (an AUC of 0.7)."""
TOKENS = 128
"""Of a text, what is read of it then."""
PERCEIVED = 200
"""Positions that an image or a recording is taken for: patches of 16 pixels in a picture of 224."""
WORK = 1.2e12
"""Weights times positions that are worth reading of each side: about ten seconds on a core."""
FASTER = 30
"""How many times as much a device is worth that is no CPU."""

COUNTED = ("classes", "tags")
"""Labels that rows share, so that it can be said how frequent they are."""

Labels = tuple[Sequence[Any], Sequence[Any]]


def frequencies(recipe: Recipe, training: Sequence[Any], other: Sequence[Any] | None) -> Labels | None:
    """Labels of both sides as `shift.compare` counts them; None where a task has none to count, or the other rows have none."""
    if other is None or recipe.task.labels not in COUNTED:
        return None
    return shared(training), shared(other)


def compared(data: Prepared, recipe: Recipe, vectors: np.ndarray, others: np.ndarray) -> dict[str, Any]:
    """What data.json says of the shift from training to test.

    Args:
        data: with a test split.
        recipe: its task and seed.
        vectors: of training rows that are no copies of each other, all or some.
        others: of test rows, likewise.
    """
    labels = frequencies(recipe, data.tables["train"].labels, data.tables["test"].labels)
    return shift.compare("test", vectors, others, labels, recipe.seed).facts


def look(data: Prepared, recipe: Recipe, base: Base, weights: int, console: Console) -> None:
    """Complete the facts with the shift from training to test, where nobody has looked for it yet.

    At most `ROWS` rows of each side are read, drawn by the recipe's seed, and fewer of a large base; labels are those of all rows.

    Args:
        data: encoded, so that it is known how long rows are.
        recipe: its task, device and seed.
        base: whose vectors are compared.
        weights: how many the base has.
        console: to show progress.
    """
    if "shift" in data.facts:
        return
    if "test" not in data.tables:
        data.facts["shift"] = _unknown("there is no test split")
        return
    rows = _rows(data, recipe, weights)
    if rows < shift.FEWEST:
        data.facts["shift"] = _unknown(
            f"{base.name} is too large to read {shift.FEWEST} rows of each side here; luthier check RUN --against FILE reads them"
        )
        return
    try:
        sides = [_vectors(data, recipe, base, data.tables[name].some(rows, recipe.seed), console) for name in SIDES]
    except (ModelError, TrainError) as wrong:
        data.facts["shift"] = _unknown(str(wrong).rstrip("."))
        return
    data.facts["shift"] = compared(data, recipe, *sides)


SIDES = ("train", "test")


def _unknown(why: str) -> dict[str, Any]:
    return {"found": False, "sentence": f"Whether test rows are like the training rows was not looked at: {why}."}


def _rows(data: Prepared, recipe: Recipe, weights: int) -> int:
    """How many of each side are worth reading."""
    length = data.facts["splits"]["train"]["length"]["median"]
    positions = max(1, min(length, TOKENS)) if data.facts["unit"] == "tokens" else PERCEIVED
    work = WORK if hardware.device(recipe.train.device).type == "cpu" else FASTER * WORK
    return min(ROWS, int(work / (weights * positions)))


def _vectors(data: Prepared, recipe: Recipe, base: Base, table: Table, console: Console) -> np.ndarray:
    limit = min(data.limit or TOKENS, TOKENS) if data.facts["unit"] == "tokens" else data.limit
    with console.bar("Looking for a shift", len(table.labels)) as advance:
        return embed(base, table.rows, data.found, limit, recipe.train.device, advance, data.target)
