"""Judging answers that are cut out of a text: exact match and F1 by the rules of SQuAD or, for Chinese, of CMRC 2018."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from luthier.evaluate.bootstrap import Array, draw
from luthier.evaluate.judge import Baseline, Errors, Figure, Judge
from luthier.evaluate.metrics import refuse

NUMBERS = ("begin", "score", "null", "mass")
"""What a row of scores begins with: the character where the answer begins, -1 for none; the sum of its ends' logits; that of no
answer; and log of the summed exp of all that could be answers. Behind them stand the code points of the answer."""

FIGURES: Mapping[str, Figure] = {
    "f1": Figure(
        "F1",
        "words that the answer shares with the nearest true one, mean over rows (SQuAD); case, punctuation and articles do not count",
        hub=("f1", None),
    ),
    "exact_match": Figure(
        "Exact match",
        "share of rows where the answer is one of the true ones, by the same rules",
        hub=("exact_match", None),
    ),
}
BY_CHARACTERS: Mapping[str, Figure] = {
    "f1": Figure(
        "F1",
        "characters of the longest piece that the answer shares with the nearest true one, mean over rows (CMRC 2018)",
        hub=("f1", None),
    ),
}
"""What they are where there are no spaces between words."""
REFUSING: Mapping[str, Figure] = {
    "f1_answerable": Figure("F1 of questions with an answer", "the same, of those rows alone"),
    "refused": Figure("Questions without an answer", "share of them that are answered with nothing"),
}
"""Where some questions cannot be answered (Rajpurkar et al. 2018)."""

PUNCTUATION = frozenset("-:_*^/\\~`+=，。：？！“”；’《》…·、「」（）－～『』")
"""What CMRC's evaluation leaves out."""
PIECES = re.compile("[\u4e00-\u9fa5]|[^\\W\u4e00-\u9fa5]+|[^\\w\\s]")
"""A Chinese character, a word of other letters, or a mark."""


class AnswerJudge(Judge):
    """Figures of answers.

    Targets are as `pack` makes them, scores a list of arrays that begin with `NUMBERS`.

    Args:
        characters: whether the script has no spaces between words.
        refuses: whether some questions of the training rows cannot be answered, so that nothing is an answer too.
    """

    def __init__(self, characters: bool, refuses: bool) -> None:
        self.characters = characters
        self.refuses = refuses

    @property
    def monitor(self) -> str:
        """F1, which tells nearly right from wrong."""
        return "f1"

    @property
    def figures(self) -> Mapping[str, Figure]:
        """Of all rows and, where some questions cannot be answered, of both kinds."""
        own = BY_CHARACTERS if self.characters else {}
        return {**FIGURES, **own, **(REFUSING if self.refuses else {})}

    def measurable(self, targets: Sequence[Array]) -> list[str]:
        """Without those of a kind of question that these rows do not have."""
        return list(self._rows(targets, [""] * len(targets)))

    def metrics(self, targets: Sequence[Array], scores: Sequence[Array]) -> dict[str, float]:
        """Means over rows, of the nearest of several true answers, 0 to 1."""
        return {name: float(np.nanmean(values)) for name, values in self._figures(targets, scores).items()}

    def resampled(self, targets: Sequence[Array], scores: Sequence[Array], seed: int = 0) -> dict[str, Array]:
        """By weighted means."""
        columns = self._figures(targets, scores)
        values = np.stack(list(columns.values()), axis=1)
        known, found = (~np.isnan(values)).astype(float), []
        with threadpool_limits(1):
            for weights in draw(len(targets), seed):
                of = weights @ known
                sums = weights @ np.nan_to_num(values)
                found.append(np.divide(sums, of, out=np.full(of.shape, np.nan), where=of > 0))
        return dict(zip(columns, np.concatenate(found).T, strict=True))

    def right(self, targets: Sequence[Array], scores: Sequence[Array]) -> dict[str, Array]:
        """Rows whose answer is one of the true ones."""
        return {"exact_match": self._figures(targets, scores)["exact_match"] == 1}

    def errors(self, targets: Sequence[Array], scores: Sequence[Array]) -> Errors:
        """What F1 lacks to 1."""
        worst = "whose answers have least in common with the true ones"
        return Errors(1 - self._figures(targets, scores)["f1"], "1 - F1", "{:.2f}", worst, graded=False)

    def baseline(self, targets: Sequence[Array], train: Mapping[str, Any]) -> Baseline | None:
        """Never an answer, where some questions have none."""
        if not self.refuses:
            return None
        rows = self._rows(targets, [""] * len(targets))
        return Baseline("no answer", "nothing", {name: float(np.nanmean(values)) for name, values in rows.items()})

    def _figures(self, targets: Sequence[Array], scores: Sequence[Array]) -> dict[str, Array]:
        refuse(np.arange(len(targets)), np.array([row[: len(NUMBERS)] for row in scores]))
        return self._rows(targets, [answered(row, self.refuses)[0] for row in scores])

    def _rows(self, targets: Sequence[Array], answers: Sequence[str]) -> dict[str, Array]:
        """Each figure of each row, NaN where it says nothing of it."""
        measure = by_characters if self.characters else by_words
        true = [[text for text, _ in unpack(one)] for one in targets]
        pairs = np.array([measure(one, texts) for one, texts in zip(answers, true, strict=True)]).reshape(-1, 2)
        figures = {"f1": pairs[:, 1], "exact_match": pairs[:, 0]}
        if not self.refuses:
            return figures
        there = np.array([bool(texts) for texts in true], dtype=bool)
        none = np.array([not answer for answer in answers], dtype=float)
        parts = {"f1_answerable": (there, pairs[:, 1]), "refused": (~there, none)}
        return figures | {name: np.where(rows, own, np.nan) for name, (rows, own) in parts.items() if rows.any()}


def pack(texts: Sequence[str], starts: Sequence[int]) -> Array:
    """True answers as int64: for each the character where it begins, its length and its code points; -1 and 0 where there are none."""
    parts = [[start, len(text), *map(ord, text)] for text, start in zip(texts, starts, strict=True)]
    return np.array([number for part in parts for number in part] or [-1, 0], dtype=np.int64)


def unpack(packed: Array) -> list[tuple[str, int]]:
    """The inverse of `pack`: texts with the characters where they begin."""
    found, at = [], 0
    while at < len(packed) and packed[at] >= 0:
        start, length = int(packed[at]), int(packed[at + 1])
        found.append(("".join(map(chr, packed[at + 2 : at + 2 + length])), start))
        at += 2 + length
    return found


def answered(row: Array, refuses: bool) -> tuple[str, int]:
    """The answer that a row of scores gives and where it begins: an empty text and -1 for none.

    Args:
        row: `NUMBERS`, and the code points of the best answer.
        refuses: whether nothing is an answer too: it is given where its score is higher (Devlin et al. 2019, section 4.3, with
            threshold 0).
    """
    begin, score, null, _ = row[: len(NUMBERS)]
    if begin < 0 or (refuses and null > score):
        return "", -1
    return "".join(chr(int(one)) for one in row[len(NUMBERS) :]), int(begin)


def by_words(answer: str, true: Sequence[str]) -> tuple[float, float]:
    """Exact match and F1 of an answer to the nearest true one, as SQuAD 2.0's evaluate-v2.0.py has them."""
    made = normalised(answer)
    others = [one for one in map(normalised, true) if one] or [""]
    return float(made in others), max(_overlap(made.split(), one.split()) for one in others)


def by_characters(answer: str, true: Sequence[str]) -> tuple[float, float]:
    """The same as CMRC 2018's cmrc2018_evaluate.py has them; words that are not Chinese are told apart by their letters alone."""
    others = list(true) or [""]
    exact = any(_bare(answer) == _bare(one) for one in others)
    made = PIECES.findall(_bare(answer))
    return float(exact), max(_longest(made, PIECES.findall(_bare(one))) for one in others)


def normalised(text: str) -> str:
    """In lower case, without punctuation (ASCII), articles and superfluous white space."""
    bare = text.lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def _overlap(made: Sequence[str], true: Sequence[str]) -> float:
    return _f1((Counter(made) & Counter(true)).total(), made, true)


def _longest(made: Sequence[str], true: Sequence[str]) -> float:
    """F1 of the longest run of pieces that both have."""
    match = SequenceMatcher(None, made, true, autojunk=False).find_longest_match()
    return _f1(match.size, made, true)


def _f1(shared: int, made: Sequence[str], true: Sequence[str]) -> float:
    """2 shared / (made + true), the harmonic mean of precision and recall; of nothing and nothing 1."""
    return 2 * shared / (len(made) + len(true)) if made or true else 1.0


def _bare(text: str) -> str:
    return "".join(one for one in text.lower().strip() if one not in PUNCTUATION)
