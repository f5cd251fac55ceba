"""How tags mark spans of words: read in any of the usual ways, checked, and turned into spans.

Ramshaw & Marcus 1995 (IOB1), Tjong Kim Sang & Veenstra 1999 (IOB2, IOE2), Ratinov & Roth 2009 (BILOU, which is BIOES with other
letters, as BMES is).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

OUTSIDE = "O"
LETTERS = "OBIES"
"""Outside, beginning, inside, end and single; numbers stand for places in this text."""
SAME = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}
"""Letters of all schemes to those of BIOES."""
UNTYPED = "_"
"""Type of the spans of tags that are a letter and no more, as in word segmentation; seqeval's name for it."""
PREFIXED, SUFFIXED = re.compile(r"([BIMELSUW])(?:[-_](.+))?"), re.compile(r"(.+)[-_]([BIMELSUW])")


@dataclass(frozen=True)
class Scheme:
    """Which letters may stand where."""

    letters: str
    """Those that it knows, as BIOES has them."""
    begins: str
    """Those that a span may begin with."""
    ends: str
    """Those that a span may end with."""
    divides: str = ""
    """Those that a span begins with only right behind another of its type."""


SCHEMES: Mapping[str, Scheme] = {
    "IOB2": Scheme("BI", "B", "BI"),
    "IOB1": Scheme("BI", "BI", "BI", divides="B"),
    "IOE2": Scheme("IE", "IE", "E"),
    "BIOES": Scheme("BIES", "BS", "ES"),
    "words": Scheme("S", "S", "S"),
}
"""By name; `words` are tags that say something of each word alone, such as its part of speech."""
WORDS = "words"

Tag = tuple[str, str]
"""A tag taken apart: its letter, as BIOES has it, and the type of its span, empty for O."""


def _prefixed(tag: str) -> Tag | None:
    found = PREFIXED.fullmatch(tag)
    return (SAME[found[1]], found[2] or UNTYPED) if found else None


def _suffixed(tag: str) -> Tag | None:
    found = SUFFIXED.fullmatch(tag)
    return (SAME[found[2]], found[1]) if found else None


NOTATIONS: Mapping[str, Callable[[str], Tag | None]] = {
    "B-TYPE": _prefixed,
    "TYPE-B": _suffixed,
    "TYPE": lambda tag: ("I", tag) if tag else None,
    "TAG": lambda tag: ("S", tag) if tag else None,
}
"""How a tag is written, to what takes it apart. In the third way spans of one type that touch are one, in the last there is no O."""
LETTERED, BARE, ALONE = ("B-TYPE", "TYPE-B"), "TYPE", "TAG"


@dataclass(frozen=True)
class Reading:
    """How the tags of a data set are to be read: keys of `NOTATIONS` and `SCHEMES`."""

    notation: str
    scheme: str

    def take_apart(self, tag: str) -> Tag | None:
        """Letter and type; None where the tag is not written this way."""
        return (OUTSIDE, "") if tag == OUTSIDE and self.notation != ALONE else NOTATIONS[self.notation](tag)


@dataclass(frozen=True)
class Flat:
    """Tags of many rows one behind the other, each row with one O behind it; all fields have shape (tags,).

    `letters` are places in `LETTERS`, `kinds` numbers of types (-1 for O); `rows` and `words` say where a tag stands.
    """

    letters: np.ndarray
    kinds: np.ndarray
    rows: np.ndarray
    words: np.ndarray

    @property
    def ending(self) -> np.ndarray:
        """Mask of the O behind each row."""
        return np.asarray(np.append(self.words, 0)[1:] == 0)


@dataclass(frozen=True)
class Spans:
    """Spans in order: number of the row, first word, first word behind, number of the type; all of shape (spans,)."""

    rows: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    kinds: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Tagset:
    """The tags that a network answers with: O and, for each type, B and I; or the types themselves where words are tagged alone."""

    kinds: tuple[str, ...]
    alone: bool

    @property
    def names(self) -> list[str]:
        """The tags, by number."""
        spanning = [f"{letter}-{kind}" for kind in self.kinds for letter in "BI"]
        return list(self.kinds) if self.alone else [OUTSIDE, *spanning]

    def numbers(self, tags: Flat) -> np.ndarray:
        """Tag numbers of spans in whatever scheme, (tags,), -1 behind each row."""
        first, _ = _bounds(tags)
        inside = np.where(tags.letters > 0, 2 * tags.kinds + 2, 0) - first
        return np.where(tags.ending, -1, tags.kinds if self.alone else inside)

    def flat(self, rows: np.ndarray | Sequence[np.ndarray]) -> Flat:
        """Rows of tag numbers as one; -1 is no answer, which counts as O."""
        count = len(self.kinds)
        if self.alone:
            return flatten(rows, [LETTERS.index("S")] * count, range(count))
        return flatten(
            rows, [0, *[LETTERS.index(letter) for letter in "BI"] * count], [-1, *np.repeat(range(count), 2)]
        )


def detect(rows: Sequence[Sequence[str]]) -> Reading:
    """The first notation that most of the tags have, and the scheme that the fewest words break."""
    distinct = sorted(set(chain.from_iterable(rows)))
    spanning = [tag for tag in distinct if tag != OUTSIDE]
    lettered = (name for name in LETTERED if 2 * sum(map(bool, map(NOTATIONS[name], spanning))) > len(spanning))
    notation = next(lettered, BARE if OUTSIDE in distinct else ALONE)
    if notation == ALONE:
        return Reading(ALONE, WORDS)
    reading = Reading(notation, "")
    tags = flat_tags(rows, reading, kinds_of(rows, reading))
    broken = {name: int(illegal(tags, scheme).sum()) for name, scheme in SCHEMES.items() if name != WORDS}
    return Reading(notation, min(broken, key=lambda name: broken[name]))


def kinds_of(rows: Sequence[Sequence[str]], reading: Reading) -> tuple[str, ...]:
    """Types of the spans, in alphabetical order."""
    parts = filter(None, map(reading.take_apart, set(chain.from_iterable(rows))))
    return tuple(sorted({kind for _, kind in parts} - {""}))


def flat_tags(rows: Sequence[Sequence[str]], reading: Reading, kinds: Sequence[str]) -> Flat:
    """Rows of written tags; what is not written as `reading` says, or is of no such type, counts as O."""
    distinct = list(dict.fromkeys(chain.from_iterable(rows)))
    number = {kind: index for index, kind in enumerate(kinds)}
    parts = [reading.take_apart(tag) or (OUTSIDE, "") for tag in distinct]
    parts = [part if part[1] in number else (OUTSIDE, "") for part in parts]
    place = {tag: index for index, tag in enumerate(distinct)}
    return flatten(
        [np.fromiter((place[tag] for tag in row), dtype=np.int64, count=len(row)) for row in rows],
        [LETTERS.index(letter) for letter, _ in parts],
        [number.get(kind, -1) for _, kind in parts],
    )


def flatten(rows: np.ndarray | Sequence[np.ndarray], letters: Sequence[int], kinds: Sequence[int]) -> Flat:
    """Rows of tag numbers as one.

    Args:
        rows: of shape (words,) each; -1 is O.
        letters: of each tag number, a place in `LETTERS`.
        kinds: of each tag number, the number of the type, -1 for O.
    """
    none = np.array([-1], dtype=np.int64)
    tags = np.concatenate([none[:0], *chain.from_iterable((row, none) for row in rows)])
    lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows)) + 1
    places = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return Flat(
        np.array([*letters, 0])[tags],  # -1 is the last
        np.array([*kinds, -1])[tags],
        np.repeat(np.arange(len(rows)), lengths),
        np.arange(len(tags)) - places,
    )


def spans(tags: Flat) -> Spans:
    """The spans, illegal tags read as the CoNLL evaluation and seqeval read them.

    I or E goes on with a span where B or I of its type is right before it; any other tag but O begins one.
    """
    first, last = (np.flatnonzero(mask) for mask in _bounds(tags))
    return Spans(tags.rows[first], tags.words[first], tags.words[last] + 1, tags.kinds[first])


def illegal(tags: Flat, scheme: Scheme) -> np.ndarray:
    """Mask of the tags that must not stand where they do: begin or end a span, or be there at all; (tags,) bool."""
    first, last = _bounds(tags)
    kind_before = np.concatenate([[-1], tags.kinds[:-1]])
    alone = first & (tags.kinds != kind_before)
    return np.asarray(
        ((tags.letters > 0) & ~_among(tags.letters, scheme.letters))
        | (first & ~_among(tags.letters, scheme.begins))
        | (last & ~_among(tags.letters, scheme.ends))
        | (alone & _among(tags.letters, scheme.divides))
    )


def _bounds(tags: Flat) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the tags with which spans begin and end; no span goes beyond a row, as there is an O behind each."""
    some = tags.letters > 0
    goes_on = np.zeros(len(some) + 1, dtype=bool)
    goes_on[1:-1] = (
        _among(tags.letters[1:], "IE") & _among(tags.letters[:-1], "BI") & (tags.kinds[1:] == tags.kinds[:-1])
    )
    return some & ~goes_on[:-1], some & ~goes_on[1:]


def _among(letters: np.ndarray, those: str) -> np.ndarray:
    table = np.array([letter in those for letter in LETTERS])
    return np.asarray(table[letters])
