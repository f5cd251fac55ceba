"""Judging transcripts: how many words and characters have to be changed to make what is written what was said."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from luthier.evaluate.bootstrap import Array
from luthier.evaluate.judge import Figure
from luthier.evaluate.overlap import installed
from luthier.evaluate.texts import OVERLAP, Weighed, WrittenJudge, ratio
from luthier.extras import need

EXTRA, PACKAGE = "transcribe", "jiwer"
SPOKEN = "lower case, without marks and symbols"
FIGURES = {
    "wer": Figure(
        "Word error rate",
        f"words to change, leave out or put in, over those that were said; {SPOKEN}",
        True,
        ("wer", None),
    ),
    "cer": Figure("Character error rate", f"the same of characters; {SPOKEN}", True, ("cer", None)),
    "wer_as_written": Figure("Word error rate as written", "with case and punctuation as they stand", True),
}
"""Over 1 where much is written that nobody said (https://github.com/jitsi/jiwer)."""
UNSPACED = ("cer",)
"""Those that mean something where there are no spaces between words."""


class TranscriptJudge(WrittenJudge):
    """Figures of what was heard."""

    @property
    def compared(self) -> Mapping[str, Figure]:
        """Of errors, where jiwer is installed, and of rows without any."""
        names = UNSPACED if self.characters else tuple(FIGURES)
        errors = {name: FIGURES[name] for name in names} if installed(PACKAGE) else {}
        return {**errors, "exact_match": OVERLAP["exact_match"]}

    def comparisons(self, made: Sequence[str], true: Sequence[str]) -> dict[str, Weighed]:
        """Errors and what was said are added up over rows, so that long rows count more."""
        found: dict[str, Weighed] = {}
        for name in filter(FIGURES.__contains__, self.compared):
            errors, said = COUNTS[name](made, true).T
            found[name] = partial(ratio, above=errors, below=said)
        return found


def spoken(text: str) -> str:
    """A text as it is heard: in lower case, and without punctuation and symbols; marks that belong to letters stay."""
    letters = unicodedata.normalize("NFKC", text).lower()
    return " ".join("".join(" " if unicodedata.category(one)[0] in "PS" else one for one in letters).split())


def word_errors(made: Sequence[str], true: Sequence[str]) -> Array:
    """Of each row words that are wrong, missing or too many, and words that are true: (rows, 2).

    Raises:
        ExtraError: jiwer is not installed.
    """
    pairs = zip(made, true, strict=True)
    return np.array([_errors(one.split(), other.split(), " ", "process_words") for one, other in pairs]).reshape(-1, 2)


def character_errors(made: Sequence[str], true: Sequence[str]) -> Array:
    """The same of characters, a space between words among them."""
    pairs = zip(made, true, strict=True)
    return np.array([_errors(list(one), list(other), "", "process_characters") for one, other in pairs]).reshape(-1, 2)


def _errors(made: Sequence[str], true: Sequence[str], between: str, count: str) -> tuple[float, float]:
    """Errors and the true number; where nothing is said, which jiwer does not take, all that is written is wrong."""
    if not true:
        return float(len(made)), 0.0
    found = getattr(need(PACKAGE, EXTRA), count)(between.join(true), between.join(made))
    return float(found.substitutions + found.deletions + found.insertions), float(len(true))


def _heard(texts: Sequence[str]) -> list[str]:
    return [spoken(one) for one in texts]


COUNTS: Mapping[str, Callable[[Sequence[str], Sequence[str]], Array]] = {
    "wer": lambda made, true: word_errors(_heard(made), _heard(true)),
    "cer": lambda made, true: character_errors(_heard(made), _heard(true)),
    "wer_as_written": word_errors,
}
