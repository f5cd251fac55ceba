"""How good a model's scores are, for any task: the contract behind the report, `evaluate` and the choice of the best epoch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from luthier.evaluate.bootstrap import bootstrap, percentiles

PerRow = np.ndarray | Sequence[np.ndarray]
"""One entry a row: an array with rows on its first axis or, where rows differ in size, a list of arrays."""


@dataclass(frozen=True)
class Figure:
    """What a person should know about a figure."""

    title: str
    meaning: str
    lower_is_better: bool = False
    hub: tuple[str, Mapping[str, Any] | None] | None = None
    """The metric's name and arguments on the Hugging Face hub; None where it has none."""


@dataclass(frozen=True)
class Baseline:
    """What the same answer for all rows gets: the best that the training rows suggest without reading the input."""

    name: str
    """Such as `majority class`."""
    answer: str
    """What is always answered, for people."""
    figures: dict[str, float]


@dataclass(frozen=True)
class Errors:
    """How far each row is wrong."""

    sizes: np.ndarray
    """(rows,): 0 where the answer is right, the larger the worse."""
    heading: str
    """Of the column that shows them."""
    shown: str
    """Format of one, such as `{:.3g}`."""
    worst: str
    """What the rows with the largest have in common, to stand behind "the rows"."""
    graded: bool
    """Whether an answer is either right or wrong, so that the wrong ones can be counted."""


class Judge(ABC):
    """The evaluation side of a `Target`.

    Targets are as `Target.encode` gives them, scores as `Target.scores` does; both are `PerRow`, in the same order.
    """

    @property
    @abstractmethod
    def monitor(self) -> str:
        """Figure that picks the best epoch where the recipe does not name one."""

    @property
    @abstractmethod
    def figures(self) -> Mapping[str, Figure]:
        """What can be measured, in the order of the report."""

    @abstractmethod
    def metrics(self, targets: Any, scores: Any) -> dict[str, float]:
        """Every figure that is defined for these rows.

        Raises:
            DataError: there are no rows.
            DivergedError: a score is not a number.
        """

    def of_part(self, targets: Any, scores: Any, rows: np.ndarray) -> dict[str, float]:
        """`metrics` of some of the rows, given by their numbers."""
        return self.metrics(take(targets, rows), take(scores, rows))

    def measurable(self, targets: Any) -> list[str]:
        """Names of the figures that `metrics` gives for these rows, whatever is answered."""
        return list(self.figures)

    @abstractmethod
    def errors(self, targets: Any, scores: Any) -> Errors:
        """How far each row is wrong, to show the worst."""

    def intervals(self, targets: Any, scores: Any, seed: int = 0) -> dict[str, tuple[float, float]]:
        """95 % bootstrap interval of each figure that has one."""
        found = self.resampled(targets, scores, seed)
        return {name: percentiles(values) for name, values in found.items() if np.isfinite(values).any()}

    def resampled(self, targets: Any, scores: Any, seed: int = 0) -> dict[str, np.ndarray]:
        """Each figure of each of the resamples that `bootstrap.draw` makes by this seed, (resamples,); NaN where it is undefined.

        A thousand times the work of `metrics` where a member has no faster way. Left out is what resampling distorts.
        """
        return bootstrap(lambda rows: self.metrics(take(targets, rows), take(scores, rows)), len(targets), seed)

    def right(self, targets: Any, scores: Any) -> dict[str, np.ndarray]:
        """Which rows are right, (rows,) bool, by the name of each figure that is the share of such rows and of nothing else."""
        return {}

    def baseline(self, targets: Any, train: Mapping[str, Any]) -> Baseline | None:
        """What one answer for all rows gets; None where a task has no such answer.

        Args:
            targets: what is to be answered.
            train: facts of the training split in data.json: `rows`, and in `labels` what `Target.count` says of them.
        """
        return None

    def constant(self, targets: Any, train: Mapping[str, Any]) -> Any:
        """The answer of `baseline` as scores of these rows, so that a model can be compared with it row by row; None where there are none.

        Its figures are those of `baseline`, but where that takes another answer for a figure.
        """
        return None

    def sections(self, targets: Any, scores: Any) -> dict[str, Any]:
        """Facts (JSON) of the sections that only some tasks have, by name as in `luthier.evaluate.report.SECTIONS`."""
        return {}

    def lower_is_better(self, name: str) -> bool:
        """Of a figure or of `loss`."""
        return name == "loss" or self.figures[name].lower_is_better


def take(values: PerRow, rows: np.ndarray) -> PerRow:
    """Some rows, which may repeat."""
    return values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows]
