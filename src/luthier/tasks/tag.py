"""Tagging words: named entities and other spans, or a tag for each word such as its part of speech."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from luthier.counted import many
from luthier.data.token_rows import spaced
from luthier.errors import DataError
from luthier.evaluate.spans import SpanJudge, answers
from luthier.tasks import NO_BATCH, About, Labels, Piece, Prediction, Target, Task
from luthier.tasks.tagged_pieces import pieces
from luthier.tasks.tagging_schemes import (
    SCHEMES,
    WORDS,
    Flat,
    Reading,
    Tagset,
    detect,
    flat_tags,
    illegal,
    kinds_of,
    spans,
)

if TYPE_CHECKING:
    import torch

    from luthier.objectives import Objective

LISTED = 10
"""Types that an error lists."""
NOTHING = "there is nothing to learn. Is this the right column of tags?"
SAMPLES = {
    "B-TYPE": "O or as in B-PER",
    "TYPE-B": "O or as in PER-B",
    "TYPE": "O or the type",
    "TAG": "a tag for each word",
}
"""What tags look like, by notation."""
OfIllegal = Literal["repair", "error"]


class Tag(Task):
    """Mark spans of words, such as names, or give each word a tag of its own."""

    name: ClassVar[str] = "tag"
    labels: ClassVar[Labels] = "tags"

    illegal: OfIllegal = "repair"
    """Tags that must not stand where they do, such as an I without a B before it: `repair` reads them as the CoNLL evaluation does (I
    or E goes on with a span of its type right before it, and begins one elsewhere), `error` refuses them."""

    def learn(self, values: Sequence[Any]) -> Tags:
        """Learn from lists of tags how they are written, which scheme they follow and which types there are."""
        rows = _lists(values)
        if not any(rows):
            raise DataError(f"None of the training rows has a tag: {NOTHING}")
        reading = detect(rows)
        _check_written(rows, reading)
        kinds = kinds_of(rows, reading)
        _check_kinds(kinds, reading)
        return Tags(reading, Tagset(kinds, reading.scheme == WORDS), self.illegal)

    def restore(self, facts: Mapping[str, Any]) -> Tags:
        """Make the target of an earlier run again."""
        reading = Reading(facts["notation"], facts["scheme"])
        return Tags(reading, Tagset(tuple(facts["types"]), reading.scheme == WORDS), facts["illegal"])


class Tags(Target):
    """Learned types of spans, or tags of single words.

    Args:
        reading: how tags are written.
        tags: what the network answers with.
        action: what to do with illegal tags: `repair` or `error`.
    """

    smoothing: ClassVar[bool] = True

    def __init__(self, reading: Reading, tags: Tagset, action: OfIllegal) -> None:
        self.reading = reading
        self.tags = tags
        self.action = action

    @property
    def facts(self) -> dict[str, Any]:
        """How tags are written and which types there are."""
        reading = {"notation": self.reading.notation, "scheme": self.reading.scheme}
        return {"kind": "tags", **reading, "types": list(self.tags.kinds), "illegal": self.action}

    @property
    def model_config(self) -> dict[str, Any]:
        """Tags by name, spans as BIO, for transformers' pipelines."""
        names = self.tags.names
        return {
            "num_labels": len(names),
            "id2label": dict(enumerate(names)),
            "label2id": {name: index for index, name in enumerate(names)},
        }

    @property
    def about(self) -> About:
        """Which types."""
        count = len(self.tags.kinds)
        kind = many(count, "tag" if self.tags.alone else "type")
        listed = ", ".join(self.tags.kinds)
        return About(
            kind=f"a tag a word, of {kind}" if self.tags.alone else f"entities of {kind}",
            answer=f"a tag for each word: {listed}" if self.tags.alone else f"entities of {kind}: {listed}",
            pipeline="token-classification",
            peft="AutoPeftModelForTokenClassification",
            options={} if self.tags.alone else {"aggregation_strategy": "simple"},
        )

    @property
    def judge(self) -> SpanJudge:
        """By seqeval's definition."""
        return SpanJudge(self.tags)

    def encode(self, values: Sequence[Any]) -> np.ndarray:
        """Of each row an int64 array of shape (words,), tag numbers; spans become BIO, whatever scheme they are written in."""
        rows = _lists(values)
        numbers = range(1, len(rows) + 1)
        self._check_known(rows, numbers)
        tags = self._flat(rows)
        if self.action == "error":
            self._check_legal(rows, tags, numbers)
        encoded_tags = self.tags.numbers(tags)[~tags.ending]
        ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
        encoded = np.empty(len(rows), dtype=object)
        for row, end in enumerate(ends):
            encoded[row] = encoded_tags[end - len(rows[row]) : end]
        return encoded

    def remarks(self, values: Sequence[Any], numbers: Sequence[int]) -> list[str]:
        """A sentence on tags that break the scheme, and are repaired.

        Raises:
            DataError: there are such tags, and they are to be refused; or tags of a type that was not learned.
        """
        rows = _lists(values)
        self._check_known(rows, numbers)
        tags = self._flat(rows)
        if self.action == "error":
            self._check_legal(rows, tags, numbers)
        broken = self._broken(rows, tags, numbers)
        read = "read as CoNLL's evaluation does. task: {name: tag, illegal: error} refuses them."
        return [f"{broken}: {read}"] if broken else []

    def count(self, targets: np.ndarray) -> dict[str, int]:
        """Spans of each type, or words with each tag."""
        totals = np.bincount(spans(self.tags.flat(targets)).kinds, minlength=len(self.tags.kinds))
        return dict(zip(self.tags.kinds, totals.tolist(), strict=True))

    def objective(self, label_smoothing: float = 0.0) -> Objective:
        """Cross entropy over words."""
        from luthier.objectives.tokens import WordCrossEntropy

        return WordCrossEntropy(label_smoothing)

    def scores(self, logits: torch.Tensor, batch: Mapping[str, torch.Tensor] = NO_BATCH) -> list[torch.Tensor]:
        """Of each row probabilities of shape (words, tags), float32, on the CPU; all zero for words that were cut off."""
        from luthier.objectives.tokens import word_probabilities

        return word_probabilities(logits, batch)

    def stored(self, scores: Sequence[np.ndarray]) -> dict[str, list[Any]]:
        """The probabilities of each row, word after word in one list."""
        return {"scores": [row.ravel().tolist() for row in scores]}

    def restored(self, columns: Mapping[str, Sequence[Any]]) -> list[np.ndarray]:
        """The inverse of `stored`."""
        return [np.asarray(row, dtype=np.float32).reshape(-1, len(self.tags.names)) for row in columns["scores"]]

    def decode(self, targets: np.ndarray) -> list[list[str]]:
        """The tags of each row; spans as BIO, whatever scheme they were written in."""
        names = self.tags.names
        return [[names[tag] for tag in row] for row in targets]

    def predictions(self, scores: Sequence[np.ndarray]) -> list[Prediction]:
        """Of each row its entities, or the tag of each word.

        An entity is {type, start, end, confidence}: `start` its first word, counted from 0, `end` the first one behind it,
        `confidence` the mean probability of its words' tags. A row's confidence is that of its least sure word, 0 where words
        were cut off.
        """
        given = answers(scores)
        sure = [row.max(axis=1, initial=0) for row in scores]
        labels = self._alone(given) if self.tags.alone else self._entities(given, sure)
        return [Prediction(label, float(one.min(initial=1))) for label, one in zip(labels, sure, strict=True)]

    def told(self, prediction: Prediction, row: Sequence[str]) -> Prediction:
        """The same, each entity with its `text`: its words, with spaces between them where the row is written with spaces."""
        between = " " if spaced(row) else ""
        entities = [
            {**one, "text": between.join(row[one["start"] : one["end"]])} if isinstance(one, dict) else one
            for one in prediction.label
        ]
        return replace(prediction, label=entities)

    def pieces(self, row: Sequence[str], label: Any, answer: Any) -> list[Piece]:
        """The words between which entities, or tags of single words, begin and end."""
        return pieces(row, label, answer, self.tags)

    def _alone(self, given: Sequence[np.ndarray]) -> list[list[Any]]:
        names = [*self.tags.names, None]  # -1 is the last
        return [[names[tag] for tag in row] for row in given]

    def _entities(self, given: Sequence[np.ndarray], sure: Sequence[np.ndarray]) -> list[list[Any]]:
        found = spans(self.tags.flat(given))
        labels: list[list[Any]] = [[] for _ in given]
        places = zip(found.rows.tolist(), found.starts.tolist(), found.ends.tolist(), found.kinds.tolist(), strict=True)
        for row, start, end, kind in places:
            confidence = float(sure[row][start:end].mean())
            labels[row].append({"type": self.tags.kinds[kind], "start": start, "end": end, "confidence": confidence})
        return labels

    def _flat(self, rows: Sequence[Sequence[str]]) -> Flat:
        return flat_tags(rows, self.reading, self.tags.kinds)

    def _broken(self, rows: Sequence[Sequence[str]], tags: Flat, numbers: Sequence[int]) -> str:
        """What breaks the scheme, and where first; empty where nothing does."""
        places = np.flatnonzero(illegal(tags, SCHEMES[self.reading.scheme]))
        if not len(places):
            return ""
        row, word = int(tags.rows[places[0]]), int(tags.words[places[0]])
        of = f"in {len(np.unique(tags.rows[places])):,} of {many(len(rows), 'row')}"
        first = f"row {numbers[row]}, word {word + 1} ({_told(rows[row], word)})"
        return f"{many(len(places), 'tag breaks', 'tags break')} the scheme {self.reading.scheme}, {of}, the first in {first}"

    def _check_legal(self, rows: Sequence[Sequence[str]], tags: Flat, numbers: Sequence[int]) -> None:
        broken = self._broken(rows, tags, numbers)
        if broken:
            raise DataError(
                f"{broken}, and the recipe says illegal: error. Correct them, or write task: {{name: tag, illegal: repair}}."
            )

    def _check_known(self, rows: Sequence[Sequence[str]], numbers: Sequence[int]) -> None:
        _check_written(rows, self.reading)
        unknown = set(kinds_of(rows, self.reading)) - set(self.tags.kinds)
        if not unknown:
            return
        row, word = _first(rows, lambda tag: (self.reading.take_apart(tag) or ("", ""))[1] in unknown)
        known = ", ".join(self.tags.kinds[:LISTED])
        raise DataError(
            f"Row {numbers[row]} has the tag {rows[row][word]!r} at word {word + 1}, of a type that the training rows do not have (known: "
            f"{known}). Correct it, or add training rows with this type."
        )


def _lists(values: Sequence[Any]) -> list[list[str]]:
    """Rows of tags as text: in some files they are numbers."""
    for row, value in enumerate(values):
        if not isinstance(value, list | tuple | np.ndarray):
            raise DataError(
                f"Row {row + 1} has {value!r} where a list of tags was expected, one for each word, such as ['B-PER', 'O']. Is this the "
                "right column of tags? `data.columns.label` names another."
            )
    return [[str(tag) for tag in value] for value in values]


def _check_written(rows: Sequence[Sequence[str]], reading: Reading) -> None:
    wrong = {tag for row in rows for tag in row if reading.take_apart(tag) is None}
    if not wrong:
        return
    row, word = _first(rows, lambda tag: tag in wrong)
    raise DataError(
        f"Row {row + 1} has the tag {rows[row][word]!r} at word {word + 1}, which is not written as the other tags of the training rows "
        f"are ({SAMPLES[reading.notation]}). Correct it."
    )


def _check_kinds(kinds: Sequence[str], reading: Reading) -> None:
    if not kinds:
        raise DataError(f"No word of the training rows has a tag but O: {NOTHING}")
    if len(kinds) < 2 and reading.scheme == WORDS:
        raise DataError(f"All words of the training rows have the tag {kinds[0]!r}: {NOTHING}")


def _first(rows: Sequence[Sequence[str]], wanted: Callable[[str], bool]) -> tuple[int, int]:
    """Row and word of the first such tag."""
    return next((row, word) for row, tags in enumerate(rows) for word, tag in enumerate(tags) if wanted(tag))


def _told(tags: Sequence[str], word: int) -> str:
    """A tag and what is around it."""
    before = f" behind {tags[word - 1]}" if word else " at the beginning"
    after = f", before {tags[word + 1]}" if word + 1 < len(tags) else ", at the end"
    return f"{tags[word]}{before}{after}"
