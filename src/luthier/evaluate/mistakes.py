"""The most confident wrong answers: where a person learns most about the model, and about the labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from luthier.evaluate.metrics import Array, decide
from luthier.evaluate.records import OWN_COLUMNS, Records

WORST = 20
SHOWN_CHARACTERS = 400


def mistakes(records: Records) -> dict[str, Any] | None:
    """The most confident wrong answers."""
    if records.scored is None or records.predictions is None:
        return None
    targets, probabilities = records.scored
    wrong = _wrong(targets, probabilities)
    confidence = _confidence_of_mistakes(targets, probabilities)
    order = wrong[np.argsort(-confidence[wrong], kind="stable")][:WORST]
    return {
        "count": len(wrong),
        "rows": len(targets),
        "shown": [_mistake(records, int(index), float(confidence[index])) for index in order],
    }


def _wrong(targets: Array, probabilities: Array) -> Array:
    """Rows with a wrong answer; of several labels, one wrong is enough."""
    missed = decide(targets, probabilities) != targets
    return np.flatnonzero(missed.any(axis=1) if targets.ndim == 2 else missed)


def _confidence_of_mistakes(targets: Array, probabilities: Array) -> Array:
    """Probability of the wrong answer; for several labels that of the surest wrong decision."""
    if targets.ndim == 1:
        return np.asarray(probabilities.max(axis=1))
    return np.asarray(np.where(targets, 1 - probabilities, probabilities).max(axis=1))


def _mistake(records: Records, index: int, confidence: float) -> dict[str, Any]:
    assert records.predictions is not None
    row = records.predictions.iloc[index]
    inputs = {str(name): str(row[name]) for name in records.predictions.columns if name not in OWN_COLUMNS}
    return {
        "row": int(row["row"]),
        "inputs": {name: _shortened(text) for name, text in inputs.items()},
        "label": _names(row["label"]),
        "predicted": _names(row["predicted"]),
        "confidence": confidence,
    }


def _shortened(text: str) -> dict[str, Any]:
    hidden = max(0, len(text) - SHOWN_CHARACTERS)
    return {"text": text[:SHOWN_CHARACTERS] + ("…" if hidden else ""), "hidden": hidden}


def _names(value: Any) -> list[str]:
    """The labels of a row: one, or an array of them."""
    return [str(one) for one in (value if isinstance(value, np.ndarray | list) else [value])]
