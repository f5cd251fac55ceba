"""Judging answers of one class or several labels a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from luthier.evaluate import intervals, metrics
from luthier.evaluate.bootstrap import Array
from luthier.evaluate.judge import Baseline, Errors, Figure, Judge

CONFUSIONS = 10
"""Most frequent confusions that are listed."""


class ClassJudge(Judge):
    """Figures, baseline and report sections of classes.

    Args:
        labels: their names, in the order of the scores.
        multilabel: whether a row can have any number of them.
        cuts: as in `metrics.decide`.
    """

    def __init__(self, labels: Sequence[str], multilabel: bool, cuts: Array | None = None) -> None:
        self.labels = list(labels)
        self.multilabel = multilabel
        self.cuts = cuts

    @property
    def monitor(self) -> str:
        """F1 macro, in which rare classes count as much as common ones."""
        return "f1_macro"

    @property
    def figures(self) -> Mapping[str, Figure]:
        """Those of `metrics.FIGURES` that such rows have; figures of the second of two classes name it."""
        two = len(self.labels) == 2 and not self.multilabel
        return {
            name: replace(
                figure,
                title=figure.title.format(positive=self.labels[-1]),
                meaning=figure.meaning.format(positive=_quoted(self.labels[-1])),
            )
            for name, figure in metrics.FIGURES.items()
            if two or name not in metrics.SECOND_CLASS
        }

    def metrics(self, targets: Array, scores: Array) -> dict[str, float]:
        """Every figure of `luthier.evaluate.metrics.measure`."""
        return metrics.measure(targets, scores, self.cuts)

    def measurable(self, targets: Array) -> list[str]:
        """Without ROC AUC where the rows have one class only."""
        return list(self.metrics(targets, np.full((len(targets), len(self.labels)), 1 / len(self.labels))))

    def resampled(self, targets: Array, scores: Array, seed: int = 0) -> dict[str, Array]:
        """By matrix products."""
        return intervals.resampled(targets, scores, seed, cuts=self.cuts)

    def right(self, targets: Array, scores: Array) -> dict[str, Array]:
        """Rows with the right class, or with every label right."""
        missed = metrics.decide(targets, scores, self.cuts) != targets
        return {"accuracy": ~(missed.any(axis=1) if self.multilabel else missed)}

    def baseline(self, targets: Array, train: Mapping[str, Any]) -> Baseline:
        """The most frequent class of the training rows, or the majority's yes or no to each label."""
        counts = [train["labels"].get(label, 0) for label in self.labels]
        figures = metrics.majority(counts, targets, train["rows"])
        return Baseline("majority class", self._most_frequent(counts, train["rows"]), figures)

    def constant(self, targets: Array, train: Mapping[str, Any]) -> Array:
        """The shares of the training rows as probabilities of every row."""
        shares = np.array([train["labels"].get(label, 0) for label in self.labels]) / train["rows"]
        return np.broadcast_to(shares, (len(targets), len(shares)))

    def errors(self, targets: Array, scores: Array) -> Errors:
        """The probability of a wrong answer; for several labels that of the surest wrong decision."""
        missed = metrics.decide(targets, scores, self.cuts) != targets
        if self.multilabel:
            sure = np.where(missed, np.where(targets > 0, 1 - scores, scores), 0).max(axis=1)
            missed = missed.any(axis=1)
        else:
            sure = metrics.confidences(targets, scores, self.cuts)[0]
        return Errors(np.where(missed, sure, 0.0), "Sure", "{:.0%}", "about which the model was most sure", graded=True)

    def sections(self, targets: Array, scores: Array) -> dict[str, Any]:
        """Which answers are mixed up, each label, and how far to trust the confidence."""
        counts = metrics.confusion(targets, scores, self.cuts)
        return {
            "answers": {
                "labels": self.labels,
                "multilabel": self.multilabel,
                "counts": counts.tolist(),
                "pairs": self._pairs(counts),
            },
            "classes": metrics.per_class(targets, scores, self.labels, self.cuts),
            "calibration": {
                "bins": metrics.reliability(*metrics.checked(targets, scores), cuts=self.cuts),
                "error": self.metrics(targets, scores)["ece"],
                "multilabel": self.multilabel,
            },
        }

    def _most_frequent(self, counts: Sequence[int], rows: int) -> str:
        if self.multilabel:
            common = [label for label, count in zip(self.labels, counts, strict=True) if 2 * count >= rows]
            return " + ".join(map(_quoted, common)) or "no label"
        return _quoted(self.labels[int(np.argmax(counts))])

    def _pairs(self, counts: Array) -> list[dict[str, Any]]:
        """The most frequent confusions of one class for another."""
        if self.multilabel:
            return []
        wrong = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
        order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS]
        places = [divmod(int(place), len(counts)) for place in order]
        return [
            {"truth": self.labels[i], "answer": self.labels[j], "count": int(wrong[i, j]), "of": int(counts[i].sum())}
            for i, j in places
            if wrong[i, j]
        ]


def _quoted(label: str) -> str:
    return f"“{label}”"
