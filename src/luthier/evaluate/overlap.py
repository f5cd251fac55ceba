"""How much of a true text is in one that was written: BLEU, chrF and ROUGE-L, as counts of each row that can be added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np

from luthier.evaluate.bootstrap import Array
from luthier.extras import need

CHRF_ORDER = 6
CHRF_BETA = 2
"""Popovic 2015, "chrF: character n-gram F-score": n-grams up to 6; 2016: recall counts twice as much as precision."""
BLEU_ORDER = 4
EXTRA = "generate"


def installed(package: str) -> bool:
    """Whether an optional package is there; it is not imported."""
    return find_spec(package) is not None


def chrf_counts(made: Sequence[str], true: Sequence[str]) -> Array:
    """Of each row and n-gram length: n-grams that are written, that are true, and that are both, (rows, 18).

    As in sacrebleu what is written does not count where a true text is too short to have such n-grams.
    """
    orders = range(1, CHRF_ORDER + 1)
    rows = [[_counted(one, other, order) for order in orders] for one, other in zip(made, true, strict=True)]
    return np.array(rows, dtype=np.float64).reshape(len(rows), 3 * CHRF_ORDER)


def chrf(counts: Array) -> Array:
    """The chrF of summed counts, 0 to 100, as sacrebleu has it: lengths of which either side has no n-gram do not count.

    Args:
        counts: (resamples, 18).
    """
    made, true, both = np.moveaxis(counts.reshape(len(counts), CHRF_ORDER, 3), -1, 0)
    used = (made > 0) & (true > 0)
    orders = np.maximum(used.sum(axis=1), 1)
    precision = (np.divide(both, made, out=np.zeros_like(both), where=used)).sum(axis=1) / orders
    recall = (np.divide(both, true, out=np.zeros_like(both), where=used)).sum(axis=1) / orders
    above, below = (1 + CHRF_BETA**2) * precision * recall, CHRF_BETA**2 * precision + recall
    return np.asarray(100 * np.divide(above, below, out=np.zeros_like(below), where=below > 0))


def bleu_counts(made: Sequence[str], true: Sequence[str], characters: bool) -> Array:
    """Of each row words that are written and that are true, then n-grams that are right and that are written, (rows, 10).

    Raises:
        ExtraError: sacrebleu is not installed.
    """
    metric = need("sacrebleu", EXTRA).BLEU(tokenize="zh" if characters else "13a", effective_order=True)
    found = [metric.sentence_score(one, [other]) for one, other in zip(made, true, strict=True)]
    rows = [[one.sys_len, one.ref_len, *one.counts, *one.totals] for one in found]
    return np.array(rows, dtype=np.float64).reshape(len(rows), 2 + 2 * BLEU_ORDER)


def bleu(counts: Array) -> Array:
    """BLEU of summed counts, 0 to 100, as `sacrebleu.corpus_bleu`.

    Args:
        counts: (resamples, 10).
    """
    metric, rows = need("sacrebleu", EXTRA).BLEU, counts.astype(np.int64).tolist()
    found = [metric.compute_bleu(row[2:6], row[6:], row[0], row[1], smooth_method="exp").score for row in rows]
    return np.array(found, dtype=np.float64)


def rouge_l(made: Sequence[str], true: Sequence[str], characters: bool) -> Array:
    """ROUGE-L of each row, 0 to 1, (rows,). The package knows ASCII words only, so that other scripts come as characters.

    Raises:
        ExtraError: rouge-score is not installed.
    """
    tokenizer = Characters() if characters else None
    scorer = need("rouge_score.rouge_scorer", EXTRA).RougeScorer(["rougeL"], tokenizer=tokenizer)
    return np.array([scorer.score(other, one)["rougeL"].fmeasure for one, other in zip(made, true, strict=True)])


class Characters:
    """A tokenizer for rouge-score that gives every character."""

    def tokenize(self, text: str) -> list[str]:
        """All characters but white space, in lower case."""
        return [one for one in text.lower() if not one.isspace()]


def _ngrams(text: str, order: int) -> Counter[str]:
    letters = "".join(text.split())
    return Counter(letters[start : start + order] for start in range(len(letters) - order + 1))


def _counted(made: str, true: str, order: int) -> tuple[int, int, int]:
    one, other = _ngrams(made, order), _ngrams(true, order)
    return one.total() if other else 0, other.total(), (one & other).total()
