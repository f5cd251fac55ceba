"""Judging tagged words: spans by seqeval's definition, right where first word, last word and type are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from luthier.evaluate.bootstrap import Array, draw
from luthier.evaluate.judge import Baseline, Errors, Figure, Judge
from luthier.evaluate.metrics import refuse
from luthier.tasks.tagging_schemes import Flat, Spans, Tagset, spans

SPAN_FIGURES = {
    "f1": Figure("F1 of entities", "harmonic mean of their precision and recall", hub=("f1", None)),
    "precision": Figure(
        "Precision of entities",
        "how often an entity that is answered is there, bounds and type",
        hub=("precision", None),
    ),
    "recall": Figure("Recall of entities", "how much of them is found, bounds and type", hub=("recall", None)),
    "f1_macro": Figure(
        "F1, macro", "F1 averaged over types; rare types count as much as common ones", hub=("f1", {"average": "macro"})
    ),
    "accuracy": Figure("Accuracy of words", "share of words with the right tag, O included", hub=("accuracy", None)),
}
WORD_FIGURES = {
    "accuracy": Figure("Accuracy of words", "share of words with the right tag", hub=("accuracy", None)),
    "f1_macro": Figure(
        "F1, macro", "F1 averaged over tags; rare tags count as much as common ones", hub=("f1", {"average": "macro"})
    ),
}


class SpanJudge(Judge):
    """Figures of tagged words.

    Targets are tag numbers of each row, (words,) int64; scores are probabilities of each row, (words, tags), all zero for words that
    were cut off. Those are answered with O where there is an O, and with nothing where there is none: what stands there is missed.
    """

    def __init__(self, tags: Tagset) -> None:
        self.tags = tags

    @property
    def monitor(self) -> str:
        """F1 of the entities, or the share of right words where each has a tag of its own."""
        return next(iter(self.figures))

    @property
    def figures(self) -> Mapping[str, Figure]:
        """Of spans, or of words that are tagged alone."""
        return WORD_FIGURES if self.tags.alone else SPAN_FIGURES

    def metrics(self, targets: Sequence[Array], scores: Sequence[Array]) -> dict[str, float]:
        """Micro and macro figures as seqeval has them: a type counts where it is in the truth or the answers."""
        _refuse(targets, scores)
        return self._figures(targets, answers(scores))

    def errors(self, targets: Sequence[Array], scores: Sequence[Array]) -> Errors:
        """How many entities are missed or made up."""
        right, answered, true = _counts(self.tags, targets, answers(scores))[:, :-1].sum(axis=1).T
        worst = "with the most entities missed or made up"
        return Errors(answered + true - 2 * right, "Wrong", "{:.0f}", worst, graded=True)

    def resampled(self, targets: Sequence[Array], scores: Sequence[Array], seed: int = 0) -> dict[str, Array]:
        """By matrix products: whole rows are drawn, as their words depend on each other."""
        _refuse(targets, scores)
        counts = _counts(self.tags, targets, answers(scores))
        flat = counts.reshape(len(counts), -1)
        with threadpool_limits(1):
            sums = [weights @ flat for weights in draw(len(targets), seed)]
        found = _ratios(np.concatenate(sums).reshape(-1, *counts.shape[1:]))
        return {name: found[name] for name in self.figures}

    def baseline(self, targets: Sequence[Array], train: Mapping[str, Any]) -> Baseline:
        """No entity anywhere, or the most frequent tag for every word."""
        answer = self._usual(train)
        figures = self.metrics(targets, self.constant(targets, train))
        if self.tags.alone:
            return Baseline("most frequent tag", f"“{self.tags.names[answer]}”", figures)
        return Baseline("no entities", "no entity", figures)

    def constant(self, targets: Sequence[Array], train: Mapping[str, Any]) -> list[Array]:
        """That tag for every word, surely."""
        one = np.eye(len(self.tags.names))[self._usual(train)]
        return [np.tile(one, (len(row), 1)) for row in targets]

    def sections(self, targets: Sequence[Array], scores: Sequence[Array]) -> dict[str, Any]:
        """Each type: precision, recall, F1 and, as `rows`, how many entities there are."""
        totals = _counts(self.tags, targets, answers(scores)).sum(axis=0)[: len(self.tags.kinds), :3]
        precision, recall, f1 = _shares(totals)
        columns = zip(self.tags.kinds, precision.tolist(), recall.tolist(), f1.tolist(), totals[:, 2], strict=True)
        return {
            "classes": [
                {"label": kind, "precision": one, "recall": two, "f1": three, "rows": int(true)}
                for kind, one, two, three, true in columns
            ]
        }

    def _usual(self, train: Mapping[str, Any]) -> int:
        """The number of the most frequent tag, or of O where spans are tagged."""
        counts = [train["labels"].get(kind, 0) for kind in self.tags.kinds]
        return int(np.argmax(counts)) if self.tags.alone else 0

    def _figures(self, targets: Sequence[Array], given: Sequence[Array]) -> dict[str, float]:
        found = _ratios(_counts(self.tags, targets, given).sum(axis=0)[None])
        return {name: float(found[name][0]) for name in self.figures}


def answers(scores: Sequence[Array]) -> list[Array]:
    """The likeliest tag of each word, by number; -1 for words without probabilities, which were cut off."""
    lengths = np.fromiter(map(len, scores), dtype=np.int64, count=len(scores))
    whole = np.concatenate([row for row in scores if len(row)]) if lengths.any() else np.zeros((0, 1))
    best = np.where(whole.any(axis=1), whole.argmax(axis=1), -1)
    return np.split(best, np.cumsum(lengths)[:-1])


def _refuse(targets: Sequence[Array], scores: Sequence[Array]) -> None:
    sums = np.fromiter((row.sum() for row in scores), dtype=np.float64, count=len(scores))
    refuse(np.arange(len(targets)), sums[:, None])


def _counts(tags: Tagset, targets: Sequence[Array], given: Sequence[Array]) -> Array:
    """Of each row and type the right, answered and true spans, and in a last line the right words and words: (rows, types + 1, 3)."""
    truth, said = tags.flat(targets), tags.flat(given)
    true, answered = spans(truth), spans(said)
    room = 1 + int(truth.words.max(initial=0))
    right = np.isin(_keys(answered, tags, room), _keys(true, tags, room))
    shape = (len(targets), len(tags.kinds) + 1)
    parts = [_table(answered.rows[right], answered.kinds[right], shape)]
    parts += [_table(found.rows, found.kinds, shape) for found in (answered, true)]
    counts = np.stack(parts, axis=-1)
    counts[:, -1, 0] = np.bincount(truth.rows[_same(truth, said)], minlength=len(targets))
    counts[:, -1, 2] = [len(row) for row in targets]
    return counts


def _same(truth: Flat, said: Flat) -> Array:
    """Mask of the words with the same tag."""
    return np.asarray((truth.letters == said.letters) & (truth.kinds == said.kinds) & ~truth.ending)


def _table(rows: Array, kinds: Array, shape: tuple[int, int]) -> Array:
    return np.bincount(rows * shape[1] + kinds, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)


def _keys(found: Spans, tags: Tagset, room: int) -> Array:
    """A number for each span, equal where row, first word, last word and type are; `room` is more than a row has words."""
    return np.asarray(((found.rows * room + found.starts) * room + found.ends) * len(tags.kinds) + found.kinds)


def _ratios(sums: Array) -> dict[str, Array]:
    """Every figure of sums of `_counts`: (resamples, types + 1, 3) to (resamples,) each."""
    kinds, words = sums[:, :-1], sums[:, -1]
    precision, recall, f1 = _shares(kinds.sum(axis=1))
    seen = kinds[..., 1] + kinds[..., 2] > 0
    return {
        "f1": f1,
        "precision": precision,
        "recall": recall,
        "f1_macro": _ratio((_shares(kinds)[2] * seen).sum(axis=1), seen.sum(axis=1)),
        "accuracy": _ratio(words[:, 0], words[:, 2]),
    }


def _shares(counts: Array) -> tuple[Array, Array, Array]:
    """Precision, recall and F1 of (..., 3) right, answered and true."""
    right, answered, true = np.moveaxis(counts, -1, 0)
    return _ratio(right, answered), _ratio(right, true), _ratio(2 * right, answered + true)


def _ratio(above: Array, below: Array) -> Array:
    """Division in which nothing over nothing is 0, as seqeval has it."""
    quotient: Array = np.divide(above, below, out=np.zeros(np.shape(above)), where=below > 0)
    return quotient
