"""Answering a question by a piece of the text that comes with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from luthier.data.answers import Marked
from luthier.data.token_rows import UNSPACED
from luthier.errors import DataError, RecipeError
from luthier.evaluate.answers import NUMBERS, AnswerJudge, answered, pack, unpack
from luthier.tasks import NO_BATCH, About, Labels, Piece, Prediction, Target, Task

if TYPE_CHECKING:
    import torch

    from luthier.objectives import Objective

SAMPLE = 1000
"""Answers by which their script is told."""
NAME = "answer"
"""What a marked piece of a text is called in the report."""
WITH, WITHOUT = "with an answer", "without an answer"
NOTHING = ("", -1)
"""No answer, and where it begins."""
PLAIN = """\
from transformers import AutoModelForQuestionAnswering, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("{folder}")
model = AutoModelForQuestionAnswering.from_pretrained("{folder}")
question, context = "Who made the lute?", "The lute was made by Hans."
inputs = tokenizer(question, context, return_tensors="pt", truncation="only_second")
outputs = model(**inputs)
begin, end = outputs.start_logits.argmax(), outputs.end_logits.argmax()
print(tokenizer.decode(inputs["input_ids"][0][begin : end + 1]))"""
"""How a plain model is asked, as transformers 5 has no pipeline for it any more: of one window, each end for itself."""


class Answer(Task):
    """Answer a question with a piece of the text that comes with it, or with nothing where training rows have no answer either."""

    name: ClassVar[str] = "answer"
    labels: ClassVar[Labels] = "answers"

    max_answer_length: Annotated[int, Field(ge=1)] = 30
    """Tokens of the longest answer that is given (30 as in BERT's run_squad.py)."""

    def learn(self, values: Sequence[Any]) -> Answers:
        """Learn from the answers of the training rows whether there always is one, and whether their script has spaces."""
        texts = [_texts(value) for value in values]
        some = [one for several in texts[:SAMPLE] for one in several]
        if not any(texts):
            raise DataError(
                "None of the training rows has an answer: there is nothing to learn. Is this the right column?"
            )
        letters = [one for answer in some for one in answer if one.isalpha()]  # digits are of no script
        unspaced = len(UNSPACED.findall("".join(letters)))
        return Answers(self.max_answer_length, 2 * unspaced > len(letters), not all(texts))

    def restore(self, facts: Mapping[str, Any]) -> Answers:
        """Make the target of an earlier run again."""
        return Answers(facts["max_answer_length"], facts["characters"], facts["refuses"])


class Answers(Target):
    """Pieces of a text.

    Args:
        longest: see `Answer.max_answer_length`.
        characters: whether answers are in a script without spaces between words.
        refuses: whether some questions have no answer.
    """

    reads: ClassVar[str] = "question"

    def __init__(self, longest: int, characters: bool, refuses: bool) -> None:
        self.longest = longest
        self.characters = characters
        self.refuses = refuses

    @property
    def facts(self) -> dict[str, Any]:
        """The setting, the script, and whether there always is an answer."""
        return {
            "kind": "answers",
            "max_answer_length": self.longest,
            "characters": self.characters,
            "refuses": self.refuses,
        }

    @property
    def model_config(self) -> dict[str, Any]:
        """Two outputs a token: an answer begins here, it ends here."""
        return {"num_labels": 2}

    @property
    def about(self) -> About:
        """How to ask it with plain transformers."""
        none = ", or nothing where it does not say" if self.refuses else ""
        return About(
            kind="a piece of a text",
            answer=f"the piece of the text that answers the question{none}",
            pipeline="question-answering",
            peft="AutoPeftModelForQuestionAnswering",
            plain=PLAIN,
        )

    @property
    def judge(self) -> AnswerJudge:
        """By the rules of SQuAD or CMRC."""
        return AnswerJudge(self.characters, self.refuses)

    def encode(self, values: Sequence[Any]) -> np.ndarray:
        """Of each row an int64 array as `evaluate.answers.pack` makes it.

        Args:
            values: `Marked`, or mappings with `text` and `answer_start`, as `decode` gives them.
        """
        encoded = np.empty(len(values), dtype=object)
        for row, value in enumerate(values):
            encoded[row] = pack(_texts(value), _starts(value))
        return encoded

    def decode(self, targets: np.ndarray) -> list[dict[str, list[Any]]]:
        """Answers as SQuAD has them: their texts, and the characters where they begin."""
        rows = [unpack(one) for one in targets]
        return [{"text": [text for text, _ in row], "answer_start": [start for _, start in row]} for row in rows]

    def count(self, targets: np.ndarray) -> dict[str, int]:
        """Questions with and without an answer."""
        there = sum(bool(one[0] >= 0) for one in targets)
        without = {WITHOUT: len(targets) - there} if self.refuses or there < len(targets) else {}
        return {WITH: there, **without}

    def objective(self, label_smoothing: float = 0.0) -> Objective:
        """Cross entropy of both ends."""
        from luthier.objectives.spans import SpanCrossEntropy

        if label_smoothing:
            raise RecipeError(
                f"train.label_smoothing is {label_smoothing:g}: it spreads a row's label over all classes, and task answer has none. "
                "Leave it out."
            )
        return SpanCrossEntropy()

    def scores(self, logits: torch.Tensor, batch: Mapping[str, torch.Tensor] = NO_BATCH) -> list[torch.Tensor]:
        """Of each row `evaluate.answers.NUMBERS` and the code points of its best answer, float64, on the CPU."""
        import torch

        from luthier.modalities.windows import TEXT
        from luthier.objectives.spans import best

        found = best(logits, batch, self.longest)
        numbers = torch.stack([found.begins, found.scores, found.null, found.mass], dim=1).double()
        pieces = [text[begin:end] for text, begin, end in zip(batch[TEXT].cpu(), found.begins, found.ends, strict=True)]
        return [_trimmed(torch.cat([row, piece.double()])) for row, piece in zip(numbers, pieces, strict=True)]

    def stored(self, scores: Sequence[np.ndarray]) -> dict[str, list[Any]]:
        """The numbers; the answer stands beside them."""
        return {"scores": [row[: len(NUMBERS)].tolist() for row in scores]}

    def restored(self, columns: Mapping[str, Sequence[Any]]) -> list[np.ndarray]:
        """The inverse of `stored`, but that an answer that was not given is lost."""
        texts = [one["text"] for one in columns["predicted"]]
        return [np.array([*row, *map(ord, text)]) for row, text in zip(columns["scores"], texts, strict=True)]

    def predictions(self, scores: Sequence[np.ndarray]) -> list[Prediction]:
        """Of each row `text`, empty for no answer, and `start`, the character of the text where it begins, -1 for none.

        Confidence is the answer's share of the probability of all pieces that could be the answer and, where questions may have
        none, of no answer.
        """
        return [self._prediction(row) for row in scores]

    def pieces(self, row: Any, label: Any, answer: Any) -> list[Piece]:
        """The question, and the text cut where the true answer and the given one begin and end."""
        question, text = row
        given = (answer["text"], int(answer["start"]))
        known = list(zip(label["text"], map(int, label["answer_start"]), strict=True))
        true = given if given in known else next(iter(known), NOTHING)
        marks = [range(start, start + len(piece)) for piece, start in (true, given)]
        ends = sorted({0, len(text)}.union(*({one.start, one.stop} for one in marks if one)))
        cut = [
            _piece(text[begin:end], begin in marks[0], begin in marks[1], true == given)
            for begin, end in pairwise(ends)
        ]
        return [Piece(f"{question} \N{EM DASH} "), *cut]

    def _prediction(self, row: np.ndarray) -> Prediction:
        text, start = answered(row, self.refuses)
        _, score, null, mass = row[: len(NUMBERS)]
        whole = np.logaddexp(mass, null) if self.refuses else mass
        own = score if text or not self.refuses else null
        return Prediction({"text": text, "start": start}, float(np.exp(min(0.0, own - whole))))


def _piece(text: str, true: bool, answered: bool, same: bool) -> Piece:
    return Piece(text, NAME if true else "", NAME if answered else "", right=true and same)


def _texts(value: Any) -> list[str]:
    return list(value.texts if isinstance(value, Marked) else value["text"])


def _starts(value: Any) -> list[int]:
    return list(value.starts if isinstance(value, Marked) else value["answer_start"])


def _trimmed(row: torch.Tensor) -> torch.Tensor:
    """A row of scores without white space at the ends of its answer: some tokens hold the space before a word."""
    import torch

    letters = "".join(map(chr, row[len(NUMBERS) :].long().tolist()))
    first = len(letters) - len(letters.lstrip())
    kept = row[len(NUMBERS) + first : len(NUMBERS) + first + len(letters.strip())]
    moved = row[: len(NUMBERS)].clone()
    moved[0] += first
    return torch.cat([moved, kept])
