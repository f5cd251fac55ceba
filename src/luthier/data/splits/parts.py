"""What share of the rows each split gets, and what a division has to go by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from luthier.data.split import NAMES
from luthier.errors import DataError

TOLERANCE = 0.015
"""How far fractions may be from 1 together: three thirds are often written as 0.33."""


@dataclass(frozen=True)
class Parts:
    """Shares of the rows, in the order of time: train, validation, test."""

    shares: dict[str, float]
    """They sum to 1."""
    exact: bool = False
    """Whether they stand for numbers of rows that are to be met exactly."""

    @classmethod
    def ratio(cls, parts: Sequence[float]) -> Parts:
        """From a ratio of train : validation, or train : validation : test.

        Numbers below 1 are fractions of the rows and sum to 1; others are a ratio, whatever their sum.

        Raises:
            DataError: fractions that do not sum to 1.
        """
        total = sum(parts)
        if max(parts) < 1 and abs(total - 1) > TOLERANCE:
            written = ", ".join(f"{part:g}" for part in parts)
            raise DataError(
                f"data.split.parts: the fractions {written} sum to {total:g}, not to 1. Write fractions that sum to 1, or a ratio of whole "
                "numbers such as 8:1:1."
            )
        return cls({name: part / total for name, part in zip(NAMES[len(parts)], parts, strict=True)})

    @classmethod
    def counts(cls, sizes: Mapping[str, int], rows: int) -> Parts:
        """From numbers of rows held out; all others are for training.

        Args:
            sizes: rows for `validation`, `test` or both.
            rows: how many there are.

        Raises:
            DataError: nothing is left for training.
        """
        held = {name: sizes[name] for name in ("validation", "test") if sizes.get(name)}
        left = rows - sum(held.values())
        if left < 1:
            asked = " and ".join(f"{count:,} {name}" for name, count in held.items())
            raise DataError(
                f"data.split.sizes asks for {asked} rows, and there are {rows:,}: none would be left for training. Ask for fewer."
            )
        return cls({name: count / rows for name, count in {"train": left, **held}.items()}, exact=True)

    @classmethod
    def held_back(cls, share: float) -> Parts:
        """Training, and a share of it for validation."""
        return cls({"train": 1 - share, "validation": share})

    @classmethod
    def folds(cls, count: int) -> Parts:
        """Equal parts, named by their numbers from 1."""
        return cls({str(fold + 1): 1 / count for fold in range(count)})

    @property
    def trains(self) -> bool:
        """Whether the first part is for training, and so needs every label."""
        return "train" in self.shares

    def targets(self, rows: int) -> np.ndarray:
        """Rows wanted in each part, (parts,) float."""
        return np.array(list(self.shares.values())) * rows


@dataclass(frozen=True)
class Basis:
    """What is known of the rows that are to be divided."""

    labels: Sequence[Any]
    """One value per row, a list of str for multi-label."""
    keys: Sequence[Any] = ()
    """One value per row of `column`; for `content` the texts, unless another column is named."""
    column: str = ""
    """Where the keys come from, for messages."""
    numbers: Sequence[int] | np.ndarray = ()
    """Place of each row in its source, from 0, for messages. Default: as they come."""
    format: str | None = None
    """How dates are written, as in strptime."""
    seed: int = 0
    salt: str = ""
    """Which of several divisions of the same rows this is, so that one by content does not repeat another."""

    def number(self, row: int) -> int:
        """Where a row stands in its source, from 1."""
        return int(self.numbers[row] if len(self.numbers) else row) + 1

    def pick(self, rows: np.ndarray, salt: str) -> Basis:
        """Some of the rows, for another division."""
        return replace(
            self,
            labels=[self.labels[row] for row in rows],
            keys=[self.keys[row] for row in rows] if len(self.keys) else (),
            numbers=np.asarray(self.numbers)[rows] if len(self.numbers) else rows,
            salt=salt,
        )


Rows = dict[str, np.ndarray]
"""Row numbers of each part, ascending."""
