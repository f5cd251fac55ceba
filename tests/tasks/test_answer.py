"""The target of task answer: what it learns, encodes, says and stores."""

from __future__ import annotations

import numpy as np
import pytest

from luthier.data.answers import Marked
from luthier.errors import DataError, RecipeError
from luthier.tasks import Piece
from luthier.tasks.answer import Answer

TEXT = "Anna built a lute in Rome. Anna built a harp in Oslo."
VALUES = [Marked(["Rome"], [21]), Marked([], []), Marked(["a harp", "harp"], [38, 40])]


def score(text: str, begin: int, own: float, null: float, mass: float) -> np.ndarray:
    return np.array([begin, own, null, mass, *map(ord, text)])


def test_it_learns_whether_there_always_is_an_answer_and_the_script() -> None:
    assert Answer().learn(VALUES).refuses
    assert not Answer().learn(VALUES[:1]).refuses
    assert not Answer().learn(VALUES).characters
    assert Answer().learn([Marked(["长城"], [0]), Marked(["1987年"], [3])]).characters
    with pytest.raises(DataError, match="None of the training rows has an answer"):
        Answer().learn([Marked([], [])])


def test_facts_make_the_same_target_again() -> None:
    target = Answer(max_answer_length=7).learn(VALUES)
    assert vars(Answer().restore(target.facts)) == vars(target)
    assert target.facts["max_answer_length"] == 7


def test_labels_are_encoded_and_decoded() -> None:
    target = Answer().learn(VALUES)
    encoded = target.encode(VALUES)
    decoded = target.decode(encoded)
    assert decoded == [
        {"text": ["Rome"], "answer_start": [21]},
        {"text": [], "answer_start": []},
        {"text": ["a harp", "harp"], "answer_start": [38, 40]},
    ]
    again = target.encode(decoded)
    assert all(np.array_equal(one, other) for one, other in zip(encoded, again, strict=True))
    assert target.count(encoded) == {"with an answer": 2, "without an answer": 1}
    assert Answer().learn(VALUES[:1]).count(encoded[:1]) == {"with an answer": 1}


def test_an_answer_is_a_piece_of_the_text_with_its_place_and_its_share() -> None:
    scores = [score("Rome", 21, 2.0, 1.0, 2.5), score("Rome", 21, 2.0, 3.0, 2.5)]
    given, none = Answer().learn(VALUES).predictions(scores)
    assert given.label == {"text": "Rome", "start": 21}
    assert given.confidence == pytest.approx(np.exp(2.0) / (np.exp(2.5) + np.exp(1.0)))
    assert none.label == {"text": "", "start": -1}
    assert none.confidence == pytest.approx(np.exp(3.0) / (np.exp(2.5) + np.exp(3.0)))
    always = Answer().learn(VALUES[:1]).predictions(scores)[1]
    assert always.label == {"text": "Rome", "start": 21}
    assert always.confidence == pytest.approx(np.exp(-0.5))


def test_what_is_stored_gives_the_same_answers_again() -> None:
    target = Answer().learn(VALUES)
    scores = [score("Rome", 21, 2.0, 1.0, 2.5), score("Rome", 21, 2.0, 3.0, 2.5)]
    columns = target.stored(scores) | {"predicted": [one.label for one in target.predictions(scores)]}
    assert target.predictions(target.restored(columns)) == target.predictions(scores)
    assert target.judge.metrics(target.encode(VALUES[:2]), target.restored(columns))["exact_match"] == 1


def shown(label: Marked, text: str, start: int) -> list[Piece]:
    target = Answer().learn(VALUES)
    (decoded,) = target.decode(target.encode([label]))
    found = target.pieces(("Where?", TEXT), decoded, {"text": text, "start": start})
    assert found[0].text.startswith("Where?")
    assert "".join(one.text for one in found[1:]) == TEXT
    return [one for one in found[1:] if one.true or one.answered]


def test_the_report_marks_where_answers_stand() -> None:
    assert shown(VALUES[0], "Rome", 21) == [Piece("Rome", "answer", "answer", True)]
    assert shown(VALUES[0], "Oslo", 48) == [Piece("Rome", "answer", ""), Piece("Oslo", "", "answer")]
    assert shown(VALUES[0], "in Rome", 18) == [Piece("in ", "", "answer"), Piece("Rome", "answer", "answer")]
    assert shown(VALUES[0], "", -1) == [Piece("Rome", "answer", "")]
    assert shown(VALUES[1], "Anna", 27) == [Piece("Anna", "", "answer")]
    assert shown(VALUES[2], "harp", 40) == [Piece("harp", "answer", "answer", True)]


def test_label_smoothing_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"train.label_smoothing is 0.1: .* task answer has none. Leave it out."):
        Answer().learn(VALUES).objective(0.1)


def test_copies_of_a_label_say_the_same() -> None:
    import copy

    again = copy.deepcopy(VALUES[2])
    assert again == VALUES[2]
    assert (again.texts, again.starts) == (("a harp", "harp"), (38, 40))
    assert len({*VALUES, again}) == 3
