"""Epochs in which every class has as many rows as the others, for classes of very different size.

Random over- and under-sampling (He & Garcia 2009, section 3.1), drawn anew for each epoch: over-sampling has every row at least once,
under-sampling other rows of the large classes in every epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from luthier.errors import RecipeError

SAMPLING: Mapping[str, Callable[[Iterable[int]], int]] = {"over": max, "under": min}
"""How many rows each class has, from how many there are of each."""


@dataclass(frozen=True, eq=False)
class Balanced:
    """Rows of an epoch with `each` rows of every class."""

    classes: tuple[np.ndarray, ...]
    """Row numbers of each."""
    each: int

    def __len__(self) -> int:
        return self.each * len(self.classes)

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """Row numbers of one epoch, class after class."""
        return np.concatenate([self._of(rows, random) for rows in self.classes])

    def _of(self, rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
        whole, rest = divmod(self.each, len(rows))
        return np.concatenate([np.tile(rows, whole), random.choice(rows, rest, replace=False)])


def balance(targets: np.ndarray, sampling: str | None) -> Balanced | None:
    """How epochs are drawn from rows with these classes; None where each row comes once.

    Args:
        targets: class of each row, (rows,) int64.
        sampling: a key of `SAMPLING`, or None.

    Raises:
        RecipeError: rows have several labels, or no classes.
    """
    if sampling is None:
        return None
    if targets.ndim > 1:
        raise RecipeError(
            f"train.sampling: {sampling} needs one class for each row, and these rows have several labels. Leave it out; task.weights: "
            "balanced weighs the labels instead."
        )
    if targets.dtype.kind != "i":
        raise RecipeError(f"train.sampling: {sampling} evens out classes, and this task has none. Leave it out.")
    classes = tuple(np.flatnonzero(targets == one) for one in np.unique(targets))
    return Balanced(classes, SAMPLING[sampling](map(len, classes)))
