"""The plain opponent of a network that reads texts: words counted by tf-idf, and a linear model of them.

Joachims 1998, "Text Categorization with Support Vector Machines"; Wang & Manning 2012, "Baselines and Bigrams", found such models hard
to beat on short texts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from luthier.data.token_rows import UNSPACED
from luthier.evaluate.contenders import CHOSEN_ON
from luthier.tasks import Linear, Target

NAME = "tf-idf + linear model"
STRENGTHS = (0.1, 1.0, 10.0)
"""Of the regularisation; the best on the validation rows is taken, or 1 where there are none."""
SAMPLE = 200
"""Texts that tell whether words have spaces between them."""

Texts = Sequence[Sequence[str]]
"""Columns of texts."""


@dataclass(frozen=True)
class Opponent:
    """A fitted opponent and what it says."""

    what: str
    scores: Mapping[str, Any]
    """Of the rows of each split but training."""
    parameters: int
    seconds: float
    """To fit it, for all strengths that were tried."""
    per_row: float
    """Seconds a prediction takes, with the counting of words."""


class Features:
    """Words and pairs of words by tf-idf or, without spaces between words, pieces of up to three characters.

    Rows of several texts have the features of each, and the cosine of the first two's, which is large where they share words.

    Args:
        columns: of the training rows.
    """

    def __init__(self, columns: Texts) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        texts = [text for column in columns for text in column]
        some = "".join(texts[:SAMPLE])
        self.characters = 2 * len(UNSPACED.findall(some)) > len(some)
        kind = (
            {"analyzer": "char", "ngram_range": (1, 3)}
            if self.characters
            else {"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"}
        )
        self.counter = TfidfVectorizer(sublinear_tf=True, **kind).fit(texts)

    @property
    def told(self) -> str:
        """What is counted."""
        return "pieces of 1 to 3 characters" if self.characters else "words and pairs of words"

    def __call__(self, columns: Texts) -> Any:
        """(rows, features), sparse."""
        from scipy.sparse import csr_array, hstack

        found = [self.counter.transform(column) for column in columns]
        shared = [csr_array(found[0].multiply(found[1]).sum(axis=1)).reshape(-1, 1)] if len(found) > 1 else []
        return hstack([*found, *shared]).tocsr()


def oppose(target: Target, texts: Mapping[str, Texts], targets: Mapping[str, Any], monitor: str) -> Opponent | None:
    """Fit the opponent on the training rows; None where the task has no linear model.

    Args:
        target: what is predicted.
        texts: columns of texts of each split, `train` among them.
        targets: of each split, encoded.
        monitor: the figure that chooses how strongly it is regularised, on the validation rows.
    """
    began = time.perf_counter()
    features = Features(texts["train"])
    train = features(texts["train"])
    tried = {strength: target.linear(train, targets["train"], strength) for strength in _strengths(texts)}
    known = {strength: one for strength, one in tried.items() if one is not None}
    if not known:
        return None
    strength = _best(target, known, features, texts, targets, monitor)
    fitted = time.perf_counter()
    scores = {name: known[strength].scores(features(columns)) for name, columns in texts.items() if name != "train"}
    rows = sum(len(columns[0]) for name, columns in texts.items() if name != "train")
    chosen = f", chosen on the {CHOSEN_ON} rows" if len(known) > 1 else ""
    return Opponent(
        what=f"{features.told}, regularisation {strength:g}{chosen}",
        scores=scores,
        parameters=known[strength].parameters,
        seconds=fitted - began,
        per_row=(time.perf_counter() - fitted) / max(1, rows),
    )


def _strengths(texts: Mapping[str, Texts]) -> tuple[float, ...]:
    return STRENGTHS if CHOSEN_ON in texts else (1.0,)


def _best(
    target: Target,
    fitted: Mapping[float, Linear],
    features: Features,
    texts: Mapping[str, Texts],
    targets: Mapping[str, Any],
    monitor: str,
) -> float:
    """The strength with the best figure on the validation rows."""
    if len(fitted) == 1:
        return next(iter(fitted))
    rows, judge = features(texts[CHOSEN_ON]), target.judge
    sign = -1 if judge.lower_is_better(monitor) else 1

    def figure(strength: float) -> float:
        return sign * judge.metrics(targets[CHOSEN_ON], fitted[strength].scores(rows)).get(monitor, 0.0)

    return max(fitted, key=figure)
