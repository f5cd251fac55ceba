"""Regression: one or several numbers a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from luthier.errors import DataError, RecipeError
from luthier.evaluate.numbers import NumberJudge
from luthier.tasks import NO_BATCH, About, Labels, Linear, Prediction, Target, Task

if TYPE_CHECKING:
    import torch

    from luthier.objectives import Objective

RANGES = 5
"""Ranges in which the data's summary counts rows, cut so that as many training rows lie in each."""
SINGLE = "value"
"""Name of the output where there is one."""


class Regress(Task):
    """Predict a number for each row, or one from each of several columns."""

    name: ClassVar[str] = "regress"
    labels: ClassVar[Labels] = "numbers"

    loss: Literal["mse", "mae", "huber"] = "mse"
    """What training minimises, in deviations of the training rows: the squared error, the absolute error, or Huber's, which is squared
    up to one deviation and absolute beyond."""

    def learn(self, values: Sequence[Any]) -> Numbers:
        """Learn the spread of the training rows; mappings of column to number are several outputs."""
        names = list(values[0]) if values and isinstance(values[0], Mapping) else [SINGLE]
        table = _table(values, names)
        return Numbers([_learned(name, column) for name, column in zip(names, table.T, strict=True)], self.loss)

    def restore(self, facts: Mapping[str, Any]) -> Numbers:
        """Make the target of an earlier run again."""
        return Numbers([Output(**one) for one in facts["outputs"]], self.loss)


@dataclass(frozen=True)
class Output:
    """A number that is predicted, and how it spreads over the training rows."""

    name: str
    mean: float
    median: float
    deviation: float
    edges: list[float]
    """Ascending; between the ranges that `Numbers.count` counts in."""

    @property
    def ranges(self) -> list[str]:
        """The names of the ranges."""
        edges = [f"{edge:.4g}" for edge in self.edges]
        if not edges:
            return ["all"]
        between = [f"{low} to {high}" for low, high in pairwise(edges)]
        return [f"below {edges[0]}", *between, f"{edges[-1]} and more"]


class Numbers(Target):
    """Numbers in the user's units; only the loss and the network see them in deviations from the mean.

    Args:
        outputs: what is predicted, in the order of the network's outputs.
        loss: see `Regress.loss`.
    """

    def __init__(self, outputs: Sequence[Output], loss: str) -> None:
        self.outputs = list(outputs)
        self.loss = loss

    @property
    def names(self) -> list[str]:
        """Of the outputs."""
        return [one.name for one in self.outputs]

    @property
    def facts(self) -> dict[str, Any]:
        """The outputs."""
        return {"kind": "numbers", "outputs": [asdict(one) for one in self.outputs]}

    @property
    def about(self) -> About:
        """How many numbers, and how to read what a plain network says."""
        single = len(self.outputs) == 1
        told = "a number" if single else f"{len(self.outputs)} numbers: {', '.join(self.names)}"
        return About(
            kind="one number" if single else told,
            answer=told,
            pipeline="{medium}-classification",
            peft="AutoPeftModelForSequenceClassification",
            options={"function_to_apply": "none"} | ({} if single else {"top_k": None}),
            reading=self._reading(),
        )

    def _reading(self) -> str:
        """Python that brings the network's deviations back into the user's units."""
        if len(self.outputs) == 1:
            return f'{self.outputs[0].mean!r} + {self.outputs[0].deviation!r} * {{call}}[0]["score"]'
        spread = {one.name: (one.mean, one.deviation) for one in self.outputs}
        return (
            f"{{name: mean + deviation * one['score'] for one in {{call}}[0] for name, (mean, deviation) in {spread!r}.items() "
            "if name == one['label']}"
        )

    @property
    def judge(self) -> NumberJudge:
        """Of numbers."""
        return NumberJudge(
            *zip(*((one.name, one.mean, one.median, one.deviation) for one in self.outputs), strict=True)
        )

    @property
    def model_config(self) -> dict[str, Any]:
        """Outputs by name; transformers' own loss for them would be the squared error."""
        return {
            "num_labels": len(self.outputs),
            "id2label": dict(enumerate(self.names)),
            "label2id": {name: place for place, name in enumerate(self.names)},
            "problem_type": "regression",
        }

    def encode(self, values: Sequence[Any]) -> np.ndarray:
        """(rows, outputs) float64, in the user's units."""
        return _table(values, self.names)

    def decode(self, targets: np.ndarray) -> list[Any]:
        """The inverse of `encode`: a float a row, or a mapping of name to float."""
        if len(self.outputs) == 1:
            return [float(row[0]) for row in targets]
        return [dict(zip(self.names, map(float, row), strict=True)) for row in targets]

    def count(self, targets: np.ndarray) -> dict[str, int]:
        """Rows in each range of each output."""
        counted: dict[str, int] = {}
        for one, column in zip(self.outputs, targets.T, strict=True):
            rows = np.bincount(np.searchsorted(one.edges, column, side="right"), minlength=len(one.ranges))
            before = "" if len(self.outputs) == 1 else f"{one.name} "
            counted |= {f"{before}{name}": int(count) for name, count in zip(one.ranges, rows, strict=True)}
        return counted

    def objective(self, label_smoothing: float = 0.0) -> Objective:
        """The loss of the recipe."""
        import torch

        from luthier.objectives.regression import Regression

        if label_smoothing:
            raise RecipeError(
                f"train.label_smoothing is {label_smoothing:g}: it spreads a row's label over all classes, and task regress has none. "
                "Leave it out; task.loss=huber is what makes wild labels count less."
            )
        means, deviations = ([getattr(one, key) for one in self.outputs] for key in ("mean", "deviation"))
        return Regression(self.loss, torch.tensor(means), torch.tensor(deviations))

    def linear(self, features: Any, targets: np.ndarray, strength: float) -> Linear:
        """Ridge regression."""
        from sklearn.linear_model import Ridge

        fitted = Ridge(alpha=strength).fit(features, targets)
        return Linear(
            lambda rows: fitted.predict(rows).reshape(-1, len(self.outputs)),
            (features.shape[1] + 1) * len(self.outputs),
        )

    def scores(self, logits: torch.Tensor, batch: Mapping[str, torch.Tensor] = NO_BATCH) -> torch.Tensor:
        """(rows, outputs) float32 in the user's units."""
        logits = logits.float()  # before the numbers take its precision
        deviations, means = (
            logits.new_tensor([getattr(one, key) for one in self.outputs]) for key in ("deviation", "mean")
        )
        return logits * deviations + means

    def predictions(self, scores: np.ndarray) -> list[Prediction]:
        """The numbers, to the digits that float32 has; without confidence."""
        return [Prediction(label) for label in self.decode(np.vectorize(_shortest, otypes=[np.float64])(scores))]

    def stored(self, scores: np.ndarray) -> dict[str, list[Any]]:
        """Nothing: the answers are the scores."""
        return {}

    def restored(self, columns: Mapping[str, Sequence[Any]]) -> np.ndarray:
        """The answers: (rows, outputs) float32."""
        return _table(columns["predicted"], self.names).astype(np.float32)


def _table(values: Sequence[Any], names: Sequence[str]) -> np.ndarray:
    """(rows, outputs) float64."""
    rows = [[value[name] for name in names] if isinstance(value, Mapping) else [value] for value in values]
    return np.array(rows, dtype=np.float64).reshape(len(values), len(names))


def _learned(name: str, column: np.ndarray) -> Output:
    if not len(column) or column.min() == column.max():  # the deviation of equal numbers is rarely rounded to 0
        found = f"only {column[0]:g}" if len(column) else "none"
        of = "" if name == SINGLE else f" in column {name!r}"
        raise DataError(
            f"Regression needs numbers that differ, and the training rows have {found}{of}. Is this the right label column?"
        )
    edges = np.unique(np.quantile(column, np.linspace(0, 1, RANGES + 1)[1:-1]))
    spread = float(column.mean()), float(np.median(column)), float(column.std())
    return Output(name, *spread, edges[edges > column.min()].tolist())


def _shortest(number: np.floating[Any]) -> float:
    """The number with the fewest digits that rounds to the same float32."""
    return float(str(np.float32(number)))
