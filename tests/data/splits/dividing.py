"""What tests of divisions share."""

from __future__ import annotations

import random
import re
from typing import Any

import numpy as np

from luthier.data.split import Division
from luthier.data.splits import Parts

EIGHT_ONE_ONE = Parts.ratio([8, 1, 1])


def exactly(text: str) -> str:
    return f"^{re.escape(text)}$"


def check_complete(division: Division, rows: int) -> None:
    assert np.array_equal(np.sort(np.concatenate(list(division.rows.values()))), np.arange(rows))
    assert all(np.array_equal(inside, np.sort(inside)) and len(inside) for inside in division.rows.values())


def sides(division: Division, keys: list[Any]) -> list[set[Any]]:
    return [{keys[row] for row in rows} for rows in division.rows.values()]


def texts(rows: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [
        " ".join(chance.choices(["ward", "bed", "door", "key", "lamp", "sofa", "bath", "wall"], k=12))
        for _ in range(rows)
    ]


def where(division: Division, keys: list[Any]) -> dict[Any, str]:
    return {keys[row]: name for name, rows in division.rows.items() for row in rows}
