"""The worst answers: where a person learns most about the model, and about the labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from luthier.data import cells, media, token_rows
from luthier.evaluate.pictures import thumbnail
from luthier.evaluate.records import OWN_COLUMNS, Records
from luthier.tasks import Piece

WORST = 20
SHOWN_CHARACTERS = 400
BESIDE = 40
"""Characters that are shown on either side of an entity."""


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
    kinds = _kinds(records.data["columns"])
    inputs = {str(name): row[name] for name in records.predictions.columns if name not in OWN_COLUMNS}
    read = tuple(inputs.values())
    pieces = records.target.pieces(read if len(read) > 1 else read[0], row["label"], row["predicted"])
    return {
        "row": int(row["row"]),
        "inputs": {name: _input(value, kinds.get(name, "")) for name, value in inputs.items()},
        "pieces": [vars(one) for one in _shorter(pieces)],
        "label": _names(row["label"]) if not pieces else [],
        "predicted": _names(row["predicted"]) if not pieces else [],
        "error": error,
        "shown": shown.format(error),
    }


def _kinds(columns: Mapping[str, Any]) -> dict[str, str]:
    """What the cells of a column are that hold no text, by its name."""
    medium, read = columns.get("medium", "text"), cells.read_by(columns)
    return {**({columns["text"]: medium} if len(read) == 1 else {}), **media.perceived(medium, read)}


def _input(value: Any, medium: str) -> dict[str, Any]:
    """A cell as text and, where it is an image, as a picture."""
    picture = thumbnail(value) if medium == "image" else ""
    text = SAID.get(medium, str)(value)
    hidden = max(0, len(text) - SHOWN_CHARACTERS)
    return {"text": text[:SHOWN_CHARACTERS] + ("…" if hidden else ""), "hidden": hidden, "picture": picture}


SAID: Mapping[str, Callable[[Any], str]] = {"tokens": token_rows.written, **dict.fromkeys(media.MEDIA, media.shown)}
"""How a cell is written that is no text."""


def _shorter(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """The same without the inner of what is long and right."""
    for one in pieces:
        long = len(one.text) > 2 * BESIDE and one.true == one.answered
        yield replace(one, text=f"{one.text[:BESIDE]} … {one.text[-BESIDE:]}") if long else one


def _names(value: Any) -> list[str]:
    """The answers of a row: one, an array of them, or a number by each name."""
    if isinstance(value, dict):
        return [f"{name} {_name(one)}" for name, one in value.items()]
    return [_name(one) for one in (value if isinstance(value, np.ndarray | list) else [value])]


def _name(value: Any) -> str:
    """A measured number to the digits that say something."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
