"""Judging written texts: exact sums over tokens, weights in place of repeated rows, and what is left out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from luthier.errors import DataError, DivergedError
from luthier.evaluate import texts
from luthier.evaluate.judge import take
from luthier.evaluate.texts import SCORED, TextJudge
from luthier.tasks.generate import Generate, Texts

TRUE = ["the cat is on the mat", "a dog barks", "yes"]
MADE = ["the cat sat on the mat", "a dog", "yes"]
SUMS = np.array([[6.0, 4, 1], [1.0, 3, 2], [0.5, 1, 1]])


@pytest.fixture
def target() -> Texts:
    return Generate().learn(TRUE)


@pytest.fixture
def scores() -> np.ndarray:
    table = np.empty(3, dtype=SCORED)
    for name, column in zip(texts.SUMS, SUMS.T, strict=True):
        table[name] = column
    table["text"] = MADE
    return table


def test_perplexity_is_of_all_tokens_and_not_the_mean_of_rows(target: Texts) -> None:
    found = target.judge.metrics(target.encode(TRUE), SUMS)
    assert found == {"perplexity": pytest.approx(math.exp(7.5 / 8)), "token_accuracy": pytest.approx(4 / 8)}
    assert target.judge.measurable(target.encode(TRUE)) == list(found)


def test_figures_of_written_texts(target: Texts, scores: np.ndarray) -> None:
    found = target.judge.metrics(target.encode(TRUE), scores)
    assert list(found) == list(target.judge.figures) == [
        "perplexity", "token_accuracy", "exact_match", "chrf", "bleu", "rouge_l"
    ]  # fmt: skip
    assert found["exact_match"] == pytest.approx(1 / 3)


def test_intervals_are_those_of_drawn_rows(target: Texts, scores: np.ndarray) -> None:
    targets, judge = target.encode(TRUE), target.judge
    drawn = np.array([0, 0, 2])
    slow = judge.metrics(take(targets, drawn), take(scores, drawn))
    fast = judge._weighted(targets, scores, [np.array([[2.0, 0, 1]])])
    assert {name: float(value[0]) for name, value in fast.items()} == pytest.approx(slow)
    ends = judge.intervals(targets, scores)
    assert set(ends) == set(slow)
    assert all(low <= high for low, high in ends.values())


def test_without_packages_their_figures_are_left_out(
    target: Texts, scores: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "installed", lambda package: False)
    found = target.judge.metrics(target.encode(TRUE), scores)
    assert list(found) == list(target.judge.figures) == ["perplexity", "token_accuracy", "exact_match", "chrf"]


def test_the_worst_rows_are_those_with_the_largest_mean_loss(target: Texts, scores: np.ndarray) -> None:
    assert target.judge.errors(target.encode(TRUE), scores).sizes.tolist() == pytest.approx([1.5, 1 / 3, 0.5])


def test_stored_scores_come_back(target: Texts, scores: np.ndarray) -> None:
    answers = [one.label for one in target.predictions(scores)]
    assert answers == MADE
    back = target.restored({**target.stored(scores), "predicted": answers})
    assert back.dtype == SCORED
    assert back.tolist() == scores.tolist()


def test_answers_are_encoded_without_loss() -> None:
    answers = ["", "naïve 🙂", "你好，世界", "\ud800 alone"]
    target = Texts(None, 8, characters=True)
    assert target.decode(target.encode(answers)) == answers
    assert target.count(target.encode(answers)) == {"answers": 4}


def test_script_is_learned_from_the_answers() -> None:
    task = Generate()
    assert task.learn(["北京是中国的首都。", "GPT 模型"]).characters
    assert not task.learn(["Beijing (北京) is the capital."]).characters
    facts = task.learn(["你好"]).facts
    assert task.restore(facts).facts == facts
    assert TextJudge(True).figures["bleu"].hub == ("sacrebleu", {"tokenize": "zh"})


def test_refusals(target: Texts) -> None:
    with pytest.raises(DataError, match="There is no answer to learn from in the training rows"):
        Generate().learn(["", ""])
    with pytest.raises(DataError, match="there are no rows to measure"):
        target.judge.metrics(target.encode([]), np.zeros((0, 3)))
    with pytest.raises(DivergedError, match="not a number for 1 of 3 rows"):
        target.judge.metrics(target.encode(TRUE), np.where(SUMS == 6, np.nan, SUMS))
