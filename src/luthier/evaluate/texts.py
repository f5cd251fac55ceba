"""Judging what a model writes: how likely it finds the true answers, and how much of them is in its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from luthier.evaluate.bootstrap import Array, draw
from luthier.evaluate.judge import Errors, Figure, Judge
from luthier.evaluate.metrics import refuse
from luthier.evaluate.overlap import bleu, bleu_counts, chrf, chrf_counts, installed, rouge_l

Weighed = Callable[[Array], Array]
"""A figure of rows that count several times: weights (resamples, rows) to (resamples,)."""
SUMS = ("loss", "tokens", "right")
SCORED = np.dtype([*((name, "f8") for name in SUMS), ("text", "O")])
"""Of a row: the summed cross entropy of its answer's tokens, how many there are, how many of them are the likeliest next token, and
what the model writes by itself."""

LIKELIHOOD = {
    "perplexity": Figure(
        "Perplexity",
        "exp of the mean cross entropy of the answers' tokens: between how many equally likely tokens the model wavers",
        lower_is_better=True,
        hub=("perplexity", None),
    ),
    "token_accuracy": Figure(
        "Accuracy of tokens", "how often the next token of the true answer is the likeliest one", hub=("accuracy", None)
    ),
}
OVERLAP = {
    "exact_match": Figure(
        "Exact match", "share of rows where the text that is written is the true one", hub=("exact_match", None)
    ),
    "chrf": Figure("chrF", "F2 of character n-grams up to 6, 0 to 100 (Popovic 2015)", hub=("chrf", None)),
    "bleu": Figure("BLEU", "word n-grams up to 4 of what is written, 0 to 100 (sacrebleu)", hub=("sacrebleu", None)),
    "rouge_l": Figure(
        "ROUGE-L", "F1 of the longest common subsequence of words, mean over rows (Lin 2004)", hub=("rouge", None)
    ),
}
BY_CHARACTERS = {
    "bleu": Figure(
        "BLEU", "character n-grams up to 4, 0 to 100 (sacrebleu, tokenizer zh)", hub=("sacrebleu", {"tokenize": "zh"})
    ),
    "rouge_l": Figure("ROUGE-L", "F1 of the longest common subsequence of characters, mean over rows (Lin 2004)"),
}
"""What they are where there are no spaces between words."""
NEEDS = {"bleu": "sacrebleu", "rouge_l": "rouge_score"}
"""Figures that are left out where a package is not installed (`pip install 'luthier[generate]'`)."""


class WrittenJudge(Judge, ABC):
    """Figures of what a model writes.

    Targets are the code points of the true answers, a row each; scores are a (rows,) array of `SCORED` or, before anything is
    written, a (rows, 3) array of its first three.

    Args:
        characters: whether the script has no spaces between words.
    """

    def __init__(self, characters: bool) -> None:
        self.characters = characters

    @property
    @abstractmethod
    def compared(self) -> Mapping[str, Figure]:
        """Of what is written against what is true, as far as the packages are installed."""

    @abstractmethod
    def comparisons(self, made: Sequence[str], true: Sequence[str]) -> dict[str, Weighed]:
        """For each of these, but `exact_match`, what makes it from weights, (resamples, rows) to (resamples,)."""

    @property
    def monitor(self) -> str:
        """Perplexity, which needs no writing."""
        return "perplexity"

    @property
    def figures(self) -> Mapping[str, Figure]:
        """Of likelihood, and of what is written."""
        return {**LIKELIHOOD, **self.compared}

    def measurable(self, targets: Any) -> list[str]:
        """What is measured while training goes on: nothing is written then."""
        return list(LIKELIHOOD)

    def metrics(self, targets: Sequence[Array], scores: Array) -> dict[str, float]:
        """Perplexity of all tokens together, not the mean over rows; figures of overlap where texts were written."""
        ones = np.ones((1, len(targets)))
        return {name: float(values[0]) for name, values in self._weighted(targets, scores, [ones]).items()}

    def resampled(self, targets: Sequence[Array], scores: Array, seed: int = 0) -> dict[str, Array]:
        """By sums over weighted rows."""
        return self._weighted(targets, scores, draw(len(targets), seed))

    def right(self, targets: Sequence[Array], scores: Array) -> dict[str, Array]:
        """Rows where the true text is written; none before anything is."""
        return {"exact_match": _same(targets, scores)} if scores.dtype == SCORED else {}

    def errors(self, targets: Sequence[Array], scores: Array) -> Errors:
        """The mean loss of a row's tokens."""
        sums = _sums(scores)
        mean = np.divide(sums[:, 0], sums[:, 1], out=np.zeros(len(sums)), where=sums[:, 1] > 0)
        return Errors(mean, "Loss", "{:.3g}", "whose answers the model finds least likely", graded=False)

    def _weighted(self, targets: Sequence[Array], scores: Array, weights: Any) -> dict[str, Array]:
        """Each figure of rows that count several times, (resamples,)."""
        refuse(np.arange(len(targets)), _sums(scores))
        parts = self._parts(targets, scores)
        with threadpool_limits(1):
            blocks = [{name: figure(block) for name, figure in parts.items()} for block in weights]
        return {name: np.concatenate([block[name] for block in blocks]) for name in parts}

    def _parts(self, targets: Sequence[Array], scores: Array) -> dict[str, Weighed]:
        """For each figure what makes it from weights, (resamples, rows) to (resamples,)."""
        sums = _sums(scores)
        parts: dict[str, Weighed] = {
            "perplexity": lambda weights: np.exp(ratio(weights, sums[:, 0], sums[:, 1])),
            "token_accuracy": lambda weights: ratio(weights, sums[:, 2], sums[:, 1]),
        }
        if scores.dtype != SCORED:
            return parts
        parts["exact_match"] = partial(_mean, values=_same(targets, scores).astype(np.float64))
        return parts | self.comparisons(list(scores["text"]), _texts(targets))


class TextJudge(WrittenJudge):
    """Figures of texts of which there is more than one right one."""

    @property
    def compared(self) -> Mapping[str, Figure]:
        """Of overlap."""
        known = OVERLAP | (BY_CHARACTERS if self.characters else {})
        return {name: one for name, one in known.items() if name not in NEEDS or installed(NEEDS[name])}

    def comparisons(self, made: Sequence[str], true: Sequence[str]) -> dict[str, Weighed]:
        """By counts of each row that can be added up."""
        counts = chrf_counts(made, true)
        parts: dict[str, Weighed] = {"chrf": lambda weights: chrf(weights @ counts)}
        if "bleu" in self.figures:
            words = bleu_counts(made, true, self.characters)
            parts["bleu"] = lambda weights: bleu(weights @ words)
        if "rouge_l" in self.figures:
            parts["rouge_l"] = partial(_mean, values=rouge_l(made, true, self.characters))
        return parts


def _texts(targets: Sequence[Array]) -> list[str]:
    return ["".join(map(chr, row)) for row in targets]


def _same(targets: Sequence[Array], scores: Array) -> Array:
    """Rows where what is written is the true text, but for white space around it: (rows,) bool."""
    pairs = zip(scores["text"], _texts(targets), strict=True)
    return np.array([made.strip() == true.strip() for made, true in pairs], dtype=bool)


def _sums(scores: Array) -> Array:
    """(rows, 3) float64."""
    if scores.dtype != SCORED:
        return np.asarray(scores, dtype=np.float64)
    return np.stack([scores[name] for name in SUMS], axis=1)


def ratio(weights: Array, above: Array, below: Array) -> Array:
    """Of weighted sums over rows, (resamples,).

    Args:
        weights: (resamples, rows).
        above: (rows,).
        below: likewise.
    """
    return np.asarray(weights @ above / np.maximum(weights @ below, 1))


def _mean(weights: Array, values: Array) -> Array:
    return np.asarray(weights @ values / weights.sum(axis=1))
