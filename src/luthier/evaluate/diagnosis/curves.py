"""The log of a run as curves, and what is known of its validation rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from luthier.evaluate.bootstrap import percentiles
from luthier.evaluate.diagnosis.trend import Measured, Values, above, slope
from luthier.evaluate.improvement import Evaluated, improves
from luthier.evaluate.records import Records

ENOUGH = 3
"""Evaluations that make a trend."""


@dataclass(frozen=True)
class Curves:
    """The curves of a run. Losses that are not numbers are kept as NaN."""

    records: Records

    @cached_property
    def _steps(self) -> list[dict[str, Any]]:
        return [one for one in self.records.log if one["event"] == "step"]

    @cached_property
    def _evaluations(self) -> list[dict[str, Any]]:
        return [
            one
            for one in self.records.log
            if one["event"] == "evaluate" and one.get("split", "validation") == "validation"
        ]

    @cached_property
    def steps(self) -> Values:
        return _column(self._steps, "step")

    @cached_property
    def losses(self) -> Values:
        """Of each step, while training, with dropout on."""
        return _column(self._steps, "loss")

    @cached_property
    def rates(self) -> Values:
        return _column(self._steps, "lr")

    @cached_property
    def evaluated(self) -> Values:
        """Step of each evaluation."""
        return _column(self._evaluations, "step")

    @cached_property
    def epochs(self) -> Values:
        """Of each evaluation."""
        return _column(self._evaluations, "epoch")

    @cached_property
    def validation(self) -> Values:
        """Loss of each evaluation."""
        return _column(self._evaluations, "loss")

    @cached_property
    def monitor(self) -> str:
        """What picked the best epoch, as far as it was measured."""
        asked = self.records.monitor
        return asked if any(asked in one for one in self._evaluations) else "loss"

    @cached_property
    def monitored(self) -> Values:
        return _column(self._evaluations, self.monitor)

    @property
    def lower_is_better(self) -> bool:
        """Of what is monitored."""
        return self.records.target.judge.lower_is_better(self.monitor)

    @property
    def train(self) -> Mapping[str, Any]:
        """The recipe's `train`."""
        return self.records.recipe.get("train") or {}

    @property
    def seed(self) -> int:
        return self.records.recipe.get("seed") or 0

    @cached_property
    def best(self) -> int:
        """Place of the evaluation that was the best while training; 0 where there is none."""
        evaluated = [Evaluated(*one) for one in zip(self.monitored, self.validation, strict=True)]
        min_delta = (self.train.get("early_stopping") or {}).get("min_delta", 0.0)
        best = 0
        for place, now in enumerate(evaluated):
            best = place if improves(now, evaluated[best], self.lower_is_better, min_delta) else best
        return best

    @property
    def saved(self) -> int:
        """Place of the evaluation whose weights were kept: the best, or the last where the recipe says so."""
        return self.best if self.train.get("keep_best", True) else len(self.validation) - 1

    @property
    def start(self) -> float:
        """Training loss over the first few steps, before much is learned."""
        return float(self.losses[: max(3, min(10, len(self.losses) // 20))].mean())

    def before(self, step: float) -> Values:
        """Training losses of the tenth of the run that ends with `step`."""
        return self.losses[(self.steps > step - max(3, len(self.steps) / 10)) & (self.steps <= step)]

    def around(self, step: float) -> float:
        """Their mean."""
        return float(self.before(step).mean())

    @property
    def end(self) -> float:
        return self.around(self.steps[-1])

    @property
    def planned_epochs(self) -> int:
        return int(self.train.get("epochs") or math.ceil(self.epochs[-1] if len(self.epochs) else 1))

    @property
    def per_epoch(self) -> float:
        """Steps of an epoch."""
        return float(self.steps[-1] / (self._steps[-1].get("epoch") or 1))

    @cached_property
    def rate(self) -> float:
        """The largest learning rate."""
        return float(np.nanmax(self.rates)) if np.isfinite(self.rates).any() else math.nan

    @cached_property
    def usual(self) -> float:
        """The rate that the methods of the run take where the recipe names none; NaN where it is not known."""
        from luthier.methods import METHODS

        stages = self.records.resolved.get("stages") or []
        names = [name for stage in stages for name in stage["methods"] if name in METHODS]
        return max((METHODS[name].rate.value for name in names), default=math.nan)

    @property
    def trained_share(self) -> float:
        """Of all parameters, those that were trained; NaN where it is not known."""
        sizes = self.records.resolved
        return float(sizes.get("trained_parameters") or math.nan) / float(sizes.get("all_parameters") or math.nan)

    def slower(self, factor: float) -> str:
        """The line that multiplies the learning rate."""
        return f"train.lr={self.rate * factor:.1g}" if math.isfinite(self.rate) else "train.clip=1.0"

    @cached_property
    def figures(self) -> Mapping[str, float]:
        """Each figure of the validation rows, as the saved weights answer them."""
        return self.records.target.judge.metrics(*self.records.validated) if self.records.validated is not None else {}

    @cached_property
    def score(self) -> Measured | None:
        """What is monitored, of the saved weights on the validation rows."""
        values = self.records.resampled.get(self.monitor)
        if values is None or not np.isfinite(values).any():
            return None
        return Measured(self.figures[self.monitor], *percentiles(values))

    @cached_property
    def _baseline(self) -> Mapping[str, float]:
        """Figures of one answer to all validation rows; empty where there is none."""
        if self.records.validated is None:
            return {}
        told = self.records.target.judge.baseline(self.records.validated[0], self.records.data["splits"]["train"])
        return told.figures if told else {}

    @property
    def constant(self) -> float | None:
        """What is monitored, of one answer to all validation rows; None where there is none."""
        return self._baseline.get(self.monitor)

    @cached_property
    def loss_figure(self) -> str | None:
        """The figure of the validation rows that is the loss; None where none is, as of a weighted one."""
        judge = self.records.target.judge
        near = [name for name, value in self.figures.items() if math.isclose(value, self.saved_loss, rel_tol=0.01)]
        return next((name for name in near if judge.lower_is_better(name) and name in self.records.resampled), None)

    @property
    def chance(self) -> float | None:
        """Validation loss of one answer to all rows; None where it is not known."""
        return self._baseline.get(self.loss_figure) if self.loss_figure else None

    @property
    def beaten(self) -> bool:
        """Whether the model is better than one answer to all rows, by more than chance."""
        if self.score is None or self.constant is None:
            return False
        return self.score.high < self.constant if self.lower_is_better else self.score.low > self.constant

    @cached_property
    def gap(self) -> Measured | None:
        """Validation loss less training loss of the saved weights: rows are resampled on one side, steps on the other.

        None where no figure of the validation rows is the loss, as of a weighted one, or the training loss is another one.
        """
        other = self.train.get("label_smoothing") or self.train.get("mixing")
        name = self.loss_figure
        if other or name is None:
            return None
        return above(
            self.records.resampled[name], self.figures[name], self.before(self.evaluated[self.saved]), self.seed
        )

    @property
    def saved_loss(self) -> float:
        """Validation loss of the saved weights."""
        return float(self.validation[self.saved]) if len(self.validation) else math.nan

    @cached_property
    def validation_slope(self) -> Measured | None:
        """Change of the validation loss in an epoch, over the last half of the evaluations."""
        last = slice(-max(ENOUGH, (len(self.validation) + 1) // 2), None)
        return slope(self.epochs[last], self.validation[last])

    @cached_property
    def training_slope(self) -> Measured | None:
        """Change of the training loss in an epoch, over the last half of the steps that had half of the largest rate or more.

        The rate falls to zero in most schedules, and with it any slope.
        """
        fast = np.flatnonzero(self.rates >= self.rate / 2) if math.isfinite(self.rate) else np.arange(len(self.losses))
        last = fast[len(fast) // 2 :]
        parts = [part for part in np.array_split(last, 10) if len(part)]
        at, means = ([float(values[part].mean()) for part in parts] for values in (self.steps, self.losses))
        return slope(np.array(at) / self.per_epoch, np.array(means))


def _column(records: Sequence[Mapping[str, Any]], key: str) -> Values:
    values = (one.get(key) for one in records)
    return np.array([float("nan") if value is None else float(value) for value in values])
