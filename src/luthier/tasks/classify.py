"""Classification: binary, multi-class and multi-label, decided by what the label column holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from luthier.counted import many
from luthier.errors import DataError
from luthier.evaluate.classes import ClassJudge
from luthier.evaluate.metrics import decide
from luthier.registry import closest
from luthier.tasks import NO_BATCH, About, Linear, Prediction, Target, Task

if TYPE_CHECKING:
    import torch

    from luthier.objectives import Objective

Label = str | int
LISTED = 30
"""Labels that are listed to people; of more the first."""


def _names(weights: Any) -> Any:
    """Labels that YAML reads as numbers are named by their text, as in `{0: 1, 1: 5}`."""
    return {str(label): weight for label, weight in weights.items()} if isinstance(weights, Mapping) else weights


class Classify(Task):
    """Put each row into one class, or give it any number of labels."""

    name: ClassVar[str] = "classify"

    weights: Annotated[
        Literal["balanced"] | dict[str, Annotated[float, Field(gt=0)]] | None, BeforeValidator(_names)
    ] = None
    """Weight of each class in the loss: `balanced` is inverse to its frequency (King & Zeng 2001), or a mapping of label to weight."""

    focal: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Power of 1 - p(true class) that each row's loss is multiplied by, so that what is easy counts less (focal loss, Lin et al.
    2017, who take 2); 0 is plain cross entropy."""

    def learn(self, values: Sequence[Any]) -> Classes:
        """Learn the labels of the training rows: lists make the target multi-label."""
        multilabel = any(isinstance(value, list) for value in values)
        counts = Counter(label for value in values for label in (value if multilabel else [value]))
        labels = sorted(counts, key=lambda label: (isinstance(label, str), label))
        _check(labels, len(values), multilabel)
        weights = self._weights(labels, counts, len(values), multilabel)
        return Classes(tuple(labels), multilabel, weights, self.focal)

    def restore(self, facts: Mapping[str, Any]) -> Classes:
        """Make the target of an earlier run again."""
        weights = facts.get("weights")
        made = Classes(tuple(facts["labels"]), facts["kind"] == "multilabel", tuple(weights) if weights else None)
        return made.calibrated(facts.get("temperature", 1.0), facts.get("thresholds", {}))

    def _weights(
        self, labels: list[Label], counts: Counter[Label], rows: int, multilabel: bool
    ) -> tuple[float, ...] | None:
        if self.weights is None:
            return None
        if self.weights == "balanced":
            if multilabel:  # of a label's positives against its negatives, taken as one where there are none
                return tuple(max(1, rows - counts[label]) / counts[label] for label in labels)
            return tuple(rows / (len(labels) * counts[label]) for label in labels)
        unknown = sorted(set(self.weights) - {str(label) for label in labels})
        if unknown:
            raise DataError(
                f"task.weights names the label {unknown[0]!r}, which the training rows do not have; {closest(unknown[0], map(str, labels))}"
            )
        return tuple(self.weights.get(str(label), 1.0) for label in labels)


class Classes(Target):
    """Learned labels, in sorted order.

    Args:
        labels: strings or integers.
        multilabel: whether a row can have any number of them.
        weights: one per label: of the class in the loss, or for multi-label of its positives.
        focal: of the loss in training.
        temperature: that logits are divided by.
        thresholds: by label, the probability from which it is answered; where rows have one class of at most one label.
    """

    smoothing: ClassVar[bool] = True

    def __init__(
        self,
        labels: tuple[Label, ...],
        multilabel: bool,
        weights: tuple[float, ...] | None = None,
        focal: float = 0.0,
        temperature: float = 1.0,
        thresholds: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.temperature = temperature
        self.thresholds = dict(thresholds)
        self.labels = labels
        self.multilabel = multilabel
        self.weights = weights
        self.focal = focal
        self._index = {str(label): index for index, label in enumerate(labels)}

    @property
    def kind(self) -> str:
        """`binary`, `multiclass` or `multilabel`."""
        if self.multilabel:
            return "multilabel"
        return "binary" if len(self.labels) == 2 else "multiclass"

    @property
    def facts(self) -> dict[str, Any]:
        """Labels, kind and weights, and how scores are calibrated, where they are."""
        known = {
            "labels": list(self.labels),
            "kind": self.kind,
            "weights": list(self.weights) if self.weights else None,
        }
        return known | ({"temperature": self.temperature, "thresholds": self.thresholds} if self.calibration else {})

    @property
    def calibration(self) -> str:  # type: ignore[override]
        """The temperature, and the thresholds by label."""
        if self.temperature == 1 and not self.thresholds:
            return ""
        return ", ".join(
            [
                f"temperature {self.temperature:.3g}",
                *(f"{label} from {threshold:.3g}" for label, threshold in self.thresholds.items()),
            ]
        )

    def calibrated(self, temperature: float, thresholds: Mapping[str, float]) -> Classes:
        """A temperature for all labels, and thresholds for some."""
        return Classes(self.labels, self.multilabel, self.weights, self.focal, temperature, thresholds)

    @property
    def _cuts(self) -> np.ndarray | None:
        return np.array([self.thresholds.get(name, np.nan) for name in self.names]) if self.thresholds else None

    @property
    def names(self) -> list[str]:
        """The labels as text."""
        return [str(label) for label in self.labels]

    @property
    def about(self) -> About:
        """How many labels, and which."""
        count = len(self.names)
        kinds = {
            "binary": "two classes",
            "multiclass": f"{count} classes",
            "multilabel": f"{many(count, 'label')}, any number a row",
        }
        listed = ", ".join(self.names[:LISTED]) + (", … (all in `config.json`)" if count > LISTED else "")
        return About(
            kind=kinds[self.kind],
            answer=f"{'any number' if self.multilabel else 'one'} of {many(count, 'label')}: {listed}",
            pipeline="{medium}-classification",
            peft="AutoPeftModelForSequenceClassification",
            options={"top_k": None} if self.multilabel else {},
        )

    @property
    def judge(self) -> ClassJudge:
        """Of classes."""
        return ClassJudge(self.names, self.multilabel, self._cuts)

    @property
    def model_config(self) -> dict[str, Any]:
        """Labels by name, for transformers' pipelines."""
        return {
            "num_labels": len(self.names),
            "id2label": dict(enumerate(self.names)),
            "label2id": {name: index for index, name in enumerate(self.names)},
            "problem_type": "multi_label_classification" if self.multilabel else "single_label_classification",
        }

    def encode(self, values: Sequence[Any]) -> np.ndarray:
        """(rows,) int64 class indices; multi-label: (rows, labels) float32 of 0 and 1."""
        if not self.multilabel:
            return np.fromiter(
                (self._number(value, row) for row, value in enumerate(values)), dtype=np.int64, count=len(values)
            )
        table = np.zeros((len(values), len(self.labels)), dtype=np.float32)
        for row, value in enumerate(values):
            table[row, [self._number(label, row) for label in value]] = 1
        return table

    def count(self, targets: np.ndarray) -> dict[str, int]:
        """Rows of each label."""
        totals = targets.sum(axis=0) if self.multilabel else np.bincount(targets, minlength=len(self.labels))
        return {str(label): int(total) for label, total in zip(self.labels, totals, strict=True)}

    def objective(self, label_smoothing: float = 0.0) -> Objective:
        """Cross entropy over classes, or over each label's yes and no."""
        import torch

        from luthier.objectives.supervised import CrossEntropy, LabelCrossEntropy

        weights = torch.tensor(self.weights, dtype=torch.float32) if self.weights else None
        kind = LabelCrossEntropy if self.multilabel else CrossEntropy
        return kind(weights, label_smoothing, self.focal)

    def linear(self, features: Any, targets: np.ndarray, strength: float) -> Linear:
        """Logistic regression, of several labels one for each; classes weigh as in the loss."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.multiclass import OneVsRestClassifier

        weights = dict(enumerate(self.weights)) if self.weights and not self.multilabel else None
        regression = LogisticRegression(C=1 / strength, max_iter=1000, class_weight=weights)
        fitted = (OneVsRestClassifier(regression) if self.multilabel else regression).fit(features, targets)

        def scores(rows: Any) -> np.ndarray:
            found = np.zeros((rows.shape[0], len(self.labels)), dtype=np.float32)
            found[:, fitted.classes_] = fitted.predict_proba(rows)
            return found

        return Linear(scores, (features.shape[1] + 1) * (len(self.labels) if self.kind != "binary" else 1))

    def scores(self, logits: torch.Tensor, batch: Mapping[str, torch.Tensor] = NO_BATCH) -> torch.Tensor:
        """(rows, labels) probabilities: softmax, or a sigmoid for each label, of logits divided by the temperature."""
        logits = logits.float() / self.temperature
        return logits.sigmoid() if self.multilabel else logits.softmax(dim=-1)

    def stored(self, scores: np.ndarray) -> dict[str, list[Any]]:
        """The probabilities."""
        return {"probabilities": scores.tolist()}

    def restored(self, columns: Mapping[str, Sequence[Any]]) -> np.ndarray:
        """The inverse of `stored`: (rows, labels) float32."""
        return np.array([np.asarray(row) for row in columns["probabilities"]], dtype=np.float32)

    def decode(self, targets: np.ndarray) -> list[Any]:
        """The inverse of `encode`."""
        if self.multilabel:
            return [[self.labels[index] for index in np.flatnonzero(row)] for row in targets]
        return [self.labels[index] for index in targets]

    def predictions(self, scores: np.ndarray) -> list[Prediction]:
        """Label, confidence (of the class; for several labels the least sure decision) and all probabilities, per row."""
        shape = scores if self.multilabel else scores[:, 0]
        answers = decide(shape, scores, self._cuts)
        confidence = (
            np.where(answers > 0, scores, 1 - scores).min(axis=1)
            if self.multilabel
            else scores[np.arange(len(scores)), answers]
        )
        return [
            Prediction(label, float(sure), dict(zip(self.names, map(float, row), strict=True)))
            for label, sure, row in zip(self.decode(answers), confidence, scores, strict=True)
        ]

    def _number(self, label: Label, row: int) -> int:
        try:
            return self._index[str(label)]  # another file may have the same labels as text or as numbers
        except KeyError:
            known = ", ".join(map(str, self.labels[:10]))
            raise DataError(
                f"Row {row + 1} has the label {label!r}, which the training rows do not have (known: {known}). Correct it, or add "
                "training rows with this label."
            ) from None


def _check(labels: list[Label], rows: int, multilabel: bool) -> None:
    if len(labels) < 2 and not multilabel:
        found = f"only {labels[0]!r}" if labels else "no label"
        raise DataError(
            f"Classification needs at least two classes, and the training rows have {found}. Is this the right label column?"
        )
    if not labels:
        raise DataError("None of the training rows has a label. Is this the right label column?")
    if len(labels) > rows / 2 and len(labels) > 2:
        raise DataError(
            f"The label column has {len(labels)} different values in {rows} training rows, so this is no classification: is it the right "
            "column? `data.columns.label` names another."
        )
