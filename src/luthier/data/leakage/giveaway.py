"""Features that give a label away: a token, a pattern of characters or a length that alone predicts it.

A decision stump is tried on each feature: the presence of every token, a table of character patterns, and three lengths. What counts
is balanced accuracy (the mean of the share of a label's rows that the stump finds and the share of the others it leaves alone), so
that unbalanced labels neither hide nor feign anything, and its lower confidence bound, so that few rows do not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from luthier.data.leakage.certificate import SHOWN, Check, Example, Place, Side
from luthier.data.split import members

TELLING = 0.9
"""Bound of balanced accuracy from which one feature alone tells a label.

Of real data, the strongest ordinary word reaches 0.53 (SST-2), 0.68 (hotel reviews) and 0.72 (ten topics of news titles), and the
strongest length there 0.87. Above it are digits in English spam (0.91) and the keywords by which Chinese spam was collected (up to
0.99): each tells its label so well that scores say little of anything else. tests/data/leakage/test_giveaway.py holds it."""

SURE = 3.0
"""Standard errors of the confidence bound: thousands of tokens are tried, and one may fit by chance."""

LEAST = 20
"""A label with fewer rows, or with fewer other rows, is not judged."""

SAMPLE = 5_000
"""Rows looked at, spread evenly."""

MOST = 3
"""Features reported for one label."""

SAME = 0.8
"""Features on as many of the same rows (Jaccard similarity) say the same, and the strongest stands for all."""

PATTERNS: Mapping[str, str] = {
    "a digit": r"\d",
    "a run of x, * or # where digits would stand": r"[xX]{2,}|\*{2,}|#{2,}",
    "a link": r"https?://|www\.",
    "an @": r"@",
    "a line break": r"[\r\n]",
    "a tag such as <br>": r"</?[A-Za-z][^<>]*>",
    "a capital letter": r"[A-Z]",
    "a word in capitals": r"\b[A-Z]{2,}\b",
    "a space at its beginning or end": r"\A\s|\s\Z",
    "two spaces in a row": r"  ",
    "a full stop, question or exclamation mark at its end": r"[.!?。！？]\s*\Z",
    "dots at its end": r"(\.\.\.|…)\s*\Z",
    "a quotation mark": '["“”„«»「」]',
    "a Chinese character": r"[\u4e00-\u9fff]",
    "a Latin letter": r"[A-Za-z]",
    "a full-width form": r"[\uff01-\uff5e]",
    "a pictogram": r"[\u2600-\u27bf\U0001f300-\U0001faff]",
}

LENGTHS: Mapping[str, Callable[[str], int]] = {
    "the number of characters": len,
    "the number of words": lambda text: len(text.split()),
    "the number of digits": lambda text: sum(map(str.isdigit, text)),
}

TOKEN = re.compile(r"[\u3400-\u9fff]+|[^\W\d_\u3400-\u9fff]+|\d+|[^\w\s]|_")


def tokens(text: str) -> set[str]:
    """Words, numbers, signs; of scripts without spaces the characters and pairs of them. Case counts for nothing."""
    found = set(TOKEN.findall(text.casefold()))
    ideographs = [run for run in found if "\u3400" <= run[0] <= "\u9fff"]
    pairs = {
        run[start : start + width] for run in ideographs for width in (1, 2) for start in range(len(run) - width + 1)
    }
    return (found - set(ideographs)) | pairs


@dataclass(frozen=True)
class Telling:
    """A feature that tells a label."""

    feature: str
    absent: bool
    """Whether it tells by not being there."""
    label: str
    score: float
    """Balanced accuracy."""
    recall: float
    """Share of the label's rows with the feature."""
    fallout: float
    """Share of the other rows with it."""
    has: np.ndarray
    """Which rows have it, (rows,) bool."""

    @property
    def what(self) -> str:
        """The feature, or its absence."""
        return f"the absence of {self.feature}" if self.absent else self.feature

    @property
    def sentence(self) -> str:
        """What a person reads."""
        return (
            f"{self.what[0].upper()}{self.what[1:]} alone tells the label {self.label!r}: true of {self.recall:.0%} of its rows and "
            f"{self.fallout:.0%} of the others (balanced accuracy {self.score:.2f}). A model may learn this and nothing else; if it comes "
            "from how the data were made, take it out of the texts."
        )


def find(splits: Mapping[str, Side]) -> tuple[Check, ...]:
    """Look for features that give a label away, over the rows of all splits.

    Returns:
        One check per feature found, at most `MOST` for a label; or a single clean one.
    """
    rows = _sample(splits)
    texts = [str(splits[name].texts[row]) for name, row in rows]
    names, marked = _marked([splits[name].labels[row] for name, row in rows])
    told = [*_presences(texts, names, marked), *_lengths(texts, names, marked)] if names else []
    checks = [_check(one, rows, splits, marked[:, names.index(one.label)]) for one in _strongest(told)]
    if checks:
        return tuple(checks)
    sentence = "No single token, character pattern or length tells a label."
    return (Check("giveaway", tuple(splits), 0, len(rows), sentence),)


def _sample(splits: Mapping[str, Side]) -> list[tuple[str, int]]:
    names, ends = list(splits), np.cumsum([len(side.labels) for side in splits.values()])
    picked = np.unique(np.linspace(0, ends[-1] - 1, min(SAMPLE, ends[-1])).astype(int))
    places = np.searchsorted(ends, picked, side="right")
    starts = np.concatenate([[0], ends[:-1]])[places]
    return [(names[place], row) for place, row in zip(places.tolist(), (picked - starts).tolist(), strict=True)]


def _marked(labels: Sequence[Any]) -> tuple[list[str], np.ndarray]:
    """Labels with enough rows, and which rows have them, (rows, labels) bool."""
    sets = [{str(member) for member in members(label)} for label in labels]
    counts = Counter(name for one in sets for name in one)
    names = sorted(name for name, count in counts.items() if LEAST <= count <= len(labels) - LEAST)
    return names, np.array([[name in one for name in names] for one in sets], dtype=bool).reshape(len(sets), len(names))


def _presences(texts: Sequence[str], names: Sequence[str], marked: np.ndarray) -> list[Telling]:
    """Tokens and patterns that tell a label by being there, or by not being there."""
    features, has = _binary(texts)
    hits, sizes = np.asarray(has.T @ marked.astype(np.int64)), marked.sum(axis=0)
    misses, others = np.asarray(has.sum(axis=0)).T - hits, len(texts) - sizes
    told = []
    for absent in (False, True):
        inside, outside = (sizes - hits, others - misses) if absent else (hits, misses)
        for feature, label in np.argwhere(_bound(inside, sizes, outside, others) >= TELLING):
            present = has[:, [feature]].toarray()[:, 0].astype(bool)
            told.append(_telling(features[feature], names[label], present ^ absent, marked[:, label], absent))
    return told


def _binary(texts: Sequence[str]) -> tuple[list[str], Any]:
    """Names of tokens and patterns, and which rows have them: a sparse (rows, features) matrix of 0 and 1."""
    from scipy import sparse

    found = [tokens(text) for text in texts]
    counts = Counter(token for one in found for token in one)
    common = sorted(token for token, count in counts.items() if count >= LEAST // 2)
    place = {token: column for column, token in enumerate(common)}
    cells = [[place[token] for token in one if token in place] for one in found]
    columns = np.array([column for row in cells for column in row], dtype=np.int64)
    ends = np.cumsum([0, *map(len, cells)])
    words = sparse.csr_matrix((np.ones(len(columns), dtype=np.int64), columns, ends), shape=(len(texts), len(common)))
    signs = np.array(
        [[re.search(one, text) is not None for one in PATTERNS.values()] for text in texts], dtype=np.int64
    )
    return [*(f"the token {token!r}" for token in common), *PATTERNS], sparse.hstack([words, signs], format="csc")


def _lengths(texts: Sequence[str], names: Sequence[str], marked: np.ndarray) -> list[Telling]:
    """Lengths that tell a label by being below a value, above it, or between two."""
    from sklearn.tree import DecisionTreeClassifier

    told = []
    for feature, measure in LENGTHS.items():
        values = np.array([[measure(text)] for text in texts])
        for place, label in enumerate(names):
            rows = marked[:, place]
            stump = DecisionTreeClassifier(
                max_leaf_nodes=3, min_samples_leaf=LEAST // 2, class_weight="balanced", random_state=0
            )
            guess = stump.fit(values, rows).predict(values)
            if _bound((guess & rows).sum(), rows.sum(), (guess & ~rows).sum(), (~rows).sum()) >= TELLING:
                told.append(_telling(f"{feature} ({_range(values[guess], values[~guess])})", label, guess, rows))
    return told


def _range(inside: np.ndarray, outside: np.ndarray) -> str:
    """The values of one leaf or of two; where these lie on both sides of the third, what they are not."""
    if outside.size and inside.min() < outside.min() and outside.max() < inside.max():
        return f"not {outside.min():,} to {outside.max():,}"
    return f"{inside.min():,} to {inside.max():,}"


def _bound(hits: Any, sizes: Any, misses: Any, others: Any) -> Any:
    """Lower confidence bound of balanced accuracy, from Wilson's bounds of both shares."""
    return (1 + _wilson(hits, sizes, -SURE) - _wilson(misses, others, SURE)) / 2


def _wilson(count: Any, total: Any, z: float) -> Any:
    """Bound of a share, `z` standard errors away (Wilson 1927)."""
    share = count / total
    spread = z * np.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return (share + z * z / (2 * total) + spread) / (1 + z * z / total)


def _telling(feature: str, label: str, has: np.ndarray, rows: np.ndarray, absent: bool = False) -> Telling:
    recall, fallout = float(has[rows].mean()), float(has[~rows].mean())
    return Telling(feature, absent, label, (1 + recall - fallout) / 2, recall, fallout, has)


def _strongest(told: Sequence[Telling]) -> list[Telling]:
    """Of features on the same rows the strongest; what is on all other rows says the same of two labels.

    Of equals the first stays: presences come before lengths.
    """
    kept: list[Telling] = []
    for one in sorted(told, key=lambda one: (one.absent, -round(one.score, 2))):
        repeats = any(max(_alike(one.has, other.has), _alike(one.has, ~other.has)) >= SAME for other in kept)
        if not repeats and sum(other.label == one.label for other in kept) < MOST:
            kept.append(one)
    return sorted(kept, key=lambda one: (one.label, -one.score))


def _alike(rows: np.ndarray, others: np.ndarray) -> float:
    return float((rows & others).sum() / max(1, (rows | others).sum()))


def _check(told: Telling, rows: Sequence[tuple[str, int]], splits: Mapping[str, Side], marked: np.ndarray) -> Check:
    hits = np.flatnonzero(told.has & marked)
    places = tuple(Place.of(name, splits[name], row) for name, row in (rows[hit] for hit in hits[:SHOWN]))
    examples = tuple(Example((place,), told.what) for place in places)
    return Check("giveaway", tuple(splits), len(hits), int(marked.sum()), told.sentence, examples)
