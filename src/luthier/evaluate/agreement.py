"""Which rows which contenders get right: what one of them knows that the others do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from luthier.evaluate.bootstrap import Array
from luthier.evaluate.contenders import Contender, Ground
from luthier.evaluate.mistakes import SAID

SHOWN = 12
"""Rows that are shown of those that a single contender gets right."""
CHARACTERS = 240


def agreement(ground: Ground, contenders: Sequence[Contender], reference: Contender) -> dict[str, Any] | None:
    """Counts of rows that all, some or one of them get right; None where answers are not right or wrong, or of one alone.

    Of several seeds a row counts as right where more than half of them are.
    """
    right = {one.name: _right(one) for one in contenders if one.measured and one.measured.wrong}
    if len(right) < 2:
        return None
    table = np.stack(list(right.values()))
    counts = table.sum(axis=0)
    base = right.get(reference.name)
    return {
        "of": list(right),
        "all": int((counts == len(table)).sum()),
        "none": int((counts == 0).sum()),
        "each": [_each(name, row, counts, len(table), base) for name, row in right.items()],
        "rows": [
            _row(ground, int(place), list(right)[int(table[:, place].argmax())])
            for place in _spread(np.flatnonzero(counts == 1))
        ],
        "alone": int((counts == 1).sum()),
    }


def _right(one: Contender) -> Array:
    """(rows,) bool."""
    assert one.measured
    return np.asarray(2 * np.mean([sizes == 0 for sizes in one.measured.wrong], axis=0) > 1)


def _each(name: str, row: Array, counts: Array, of: int, reference: Array | None) -> dict[str, Any]:
    return {
        "name": name,
        "right": int(row.sum()),
        "alone_right": int((row & (counts == 1)).sum()),
        "alone_wrong": int((~row & (counts == of - 1)).sum()),
        "right_where_reference_is_wrong": None if reference is None else int((row & ~reference).sum()),
        "wrong_where_reference_is_right": None if reference is None else int((~row & reference).sum()),
    }


def _spread(places: Array) -> Array:
    """Some of them, evenly."""
    return np.asarray(places[np.unique(np.linspace(0, len(places) - 1, min(SHOWN, len(places))).astype(int))])


def _row(ground: Ground, place: int, name: str) -> dict[str, Any]:
    row = ground.table.iloc[place]
    said = SAID.get(ground.medium, str)
    return {
        "row": int(row["row"]),
        "inputs": {column: _short(said(row[column])) for column in ground.inputs},
        "label": _short(str(row["label"])),
        "by": name,
    }


def _short(text: str) -> str:
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}…"
