"""The worst answers: where a person learns most about the model, and about the labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from luthier.evaluate.records import OWN_COLUMNS, Records

WORST = 20
SHOWN_CHARACTERS = 400


def mistakes(records: Records) -> dict[str, Any] | None:
    """The rows that are furthest from right, and of answers that are right or wrong how many are wrong."""
    if records.scored is None or records.predictions is None:
        return None
    errors = records.target.judge.errors(*records.scored)
    wrong = np.flatnonzero(errors.sizes > 0)
    order = wrong[np.argsort(-errors.sizes[wrong], kind="stable")][:WORST]
    return {
        "count": len(wrong),
        "rows": len(errors.sizes),
        "graded": errors.graded,
        "heading": errors.heading,
        "worst": errors.worst,
        "shown": [_mistake(records, int(index), float(errors.sizes[index]), errors.shown) for index in order],
    }


def _mistake(records: Records, index: int, error: float, shown: str) -> dict[str, Any]:
    assert records.predictions is not None
    row = records.predictions.iloc[index]
    inputs = {str(name): str(row[name]) for name in records.predictions.columns if name not in OWN_COLUMNS}
    return {
        "row": int(row["row"]),
        "inputs": {name: _shortened(text) for name, text in inputs.items()},
        "label": _names(row["label"]),
        "predicted": _names(row["predicted"]),
        "error": error,
        "shown": shown.format(error),
    }


def _shortened(text: str) -> dict[str, Any]:
    hidden = max(0, len(text) - SHOWN_CHARACTERS)
    return {"text": text[:SHOWN_CHARACTERS] + ("…" if hidden else ""), "hidden": hidden}


def _names(value: Any) -> list[str]:
    """The answers of a row: one, an array of them, or a number by each name."""
    if isinstance(value, dict):
        return [f"{name} {_name(one)}" for name, one in value.items()]
    return [_name(one) for one in (value if isinstance(value, np.ndarray | list) else [value])]


def _name(value: Any) -> str:
    """A measured number to the digits that say something."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
