"""Exact match and F1 against the formulas of the official scripts, written plainly, and what follows from them."""

from __future__ import annotations

import random
import re
import string
from collections import Counter
from typing import Any

import numpy as np
import pytest

from luthier.errors import DivergedError
from luthier.evaluate.answers import NUMBERS, AnswerJudge, answered, by_characters, by_words, pack, unpack
from luthier.evaluate.bootstrap import draw

DRAW = random.Random(0)
ENGLISH = ["the", "a", "Moon", "moon.", "an", "red", "Red", "sea", "U.S.", "1869", "-", "lute's"]
CHINESE = [*"红海的月亮，。《》123", "abc", " NBA ", "、"]


def drawn(pieces: list[str], between: str) -> str:
    return between.join(DRAW.choices(pieces, k=DRAW.randrange(0, 7)))


def squad(answer: str, true: list[str]) -> tuple[float, float]:
    """evaluate-v2.0.py of SQuAD: normalize_answer, compute_exact, compute_f1, and the maximum over the true answers."""

    def normalize(text: str) -> str:
        text = "".join(one for one in text.lower() if one not in set(string.punctuation))
        return " ".join(re.sub(re.compile(r"\b(a|an|the)\b", re.UNICODE), " ", text).split())

    def f1(gold: str, made: str) -> float:
        gold_tokens = normalize(gold).split() if gold else []
        made_tokens = normalize(made).split() if made else []
        same = sum((Counter(gold_tokens) & Counter(made_tokens)).values())
        if len(gold_tokens) == 0 or len(made_tokens) == 0:
            return float(gold_tokens == made_tokens)
        if same == 0:
            return 0.0
        precision, recall = same / len(made_tokens), same / len(gold_tokens)
        return 2 * precision * recall / (precision + recall)

    kept = [one for one in true if normalize(one)] or [""]
    return max(float(normalize(one) == normalize(answer)) for one in kept), max(f1(one, answer) for one in kept)


def cmrc(answer: str, true: list[str]) -> tuple[float, float]:
    """cmrc2018_evaluate.py: mixed_segmentation, find_lcs and remove_punctuation; without NLTK words are taken by their letters."""
    marks = [*"-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』", "……"]

    def segments(text: str) -> list[str]:
        found, word = [], ""
        for one in text.lower().strip():
            if one in marks:
                continue
            if re.search("[\u4e00-\u9fa5]", one):
                found += words(word)
                word = ""
                found.append(one)
            else:
                word += one
        return found + words(word)

    def words(text: str) -> list[str]:
        return re.findall(r"\w+|[^\w\s]", text)

    def longest(one: list[str], other: list[str]) -> int:
        table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
        most = 0
        for i in range(len(one)):
            for j in range(len(other)):
                if one[i] == other[j]:
                    table[i + 1][j + 1] = table[i][j] + 1
                    most = max(most, table[i + 1][j + 1])
        return most

    def f1(gold: str) -> float:
        gold_parts, made_parts = segments(gold), segments(answer)
        size = longest(gold_parts, made_parts)
        if size == 0:
            return 0.0
        precision, recall = size / len(made_parts), size / len(gold_parts)
        return 2 * precision * recall / (precision + recall)

    def bare(text: str) -> str:
        return "".join(one for one in text.lower().strip() if one not in marks)

    return float(any(bare(one) == bare(answer) for one in true)), max(map(f1, true))


def test_english_is_measured_as_squad_does() -> None:
    for _ in range(2000):
        answer, true = drawn(ENGLISH, " "), [drawn(ENGLISH, " ") for _ in range(DRAW.randrange(1, 4))]
        assert by_words(answer, true) == pytest.approx(squad(answer, true)), (answer, true)


def test_chinese_is_measured_as_cmrc_does() -> None:
    for _ in range(2000):
        answer, true = drawn(CHINESE, "") or "月", [drawn(CHINESE, "") or "海" for _ in range(DRAW.randrange(1, 4))]
        if any(not re.sub(r"[\W_]", "", one) for one in (answer, *true)):
            continue  # marks alone: CMRC gives 0 for what is equal
        assert by_characters(answer, true) == pytest.approx(cmrc(answer, true)), (answer, true)


@pytest.mark.parametrize("measure", [by_words, by_characters])
def test_nothing_is_right_where_there_is_no_answer(measure: Any) -> None:
    assert measure("", []) == (1, 1)
    assert measure("sea", []) == (0, 0)
    assert measure("", ["sea"]) == (0, 0)


def test_packing_keeps_texts_and_places() -> None:
    for texts, starts in ((["red sea", "海𠮷"], [4, 0]), ([], []), (["x"], [7])):
        assert unpack(pack(texts, starts)) == list(zip(texts, starts, strict=True))


def score(text: str, begin: int = 0, score: float = 1.0, null: float = 0.0, mass: float = 2.0) -> np.ndarray:
    return np.array([begin, score, null, mass, *map(ord, text)])


def test_nothing_is_answered_where_that_scores_higher() -> None:
    assert answered(score("sea", 3, 1.0, 0.5), refuses=True) == ("sea", 3)
    assert answered(score("sea", 3, 1.0, 1.5), refuses=True) == ("", -1)
    assert answered(score("sea", 3, 1.0, 1.5), refuses=False) == ("sea", 3)
    assert answered(score("", -1), refuses=False) == ("", -1)


TARGETS = [pack(["the red sea", "sea"], [0, 8]), pack([], []), pack(["moon"], [1]), pack([], [])]
SCORES = [score("sea", 8), score("sea", 8, 1.0, 5.0), score("red moon", 1), score("x")]


def test_figures_are_means_over_rows() -> None:
    judge = AnswerJudge(characters=False, refuses=True)
    figures = judge.metrics(TARGETS, SCORES)
    assert figures == pytest.approx(
        {"f1": (1 + 1 + 2 / 3 + 0) / 4, "exact_match": 0.5, "f1_answerable": (1 + 2 / 3) / 2, "refused": 0.5}
    )
    assert set(figures) == set(judge.figures) == set(judge.measurable(TARGETS))
    assert judge.errors(TARGETS, SCORES).sizes.tolist() == pytest.approx([0, 0, 1 / 3, 1])
    assert judge.right(TARGETS, SCORES)["exact_match"].tolist() == [True, True, False, False]


def test_figures_of_questions_that_are_not_there_are_left_out() -> None:
    judge = AnswerJudge(characters=False, refuses=True)
    assert (
        set(judge.metrics(TARGETS[:1], SCORES[:1]))
        == {"f1", "exact_match", "f1_answerable"}
        == set(judge.measurable(TARGETS[:1]))
    )
    assert set(AnswerJudge(characters=False, refuses=False).metrics(TARGETS, SCORES)) == {"f1", "exact_match"}


def test_resampled_figures_are_those_of_the_rows_that_are_drawn() -> None:
    judge = AnswerJudge(characters=False, refuses=True)
    found = judge.resampled(TARGETS, SCORES, seed=3)
    weights = np.concatenate(list(draw(4, 3))).astype(int)
    for place in (0, 1, 500):
        rows = np.repeat(np.arange(4), weights[place])
        expected = judge.metrics([TARGETS[row] for row in rows], [SCORES[row] for row in rows])
        assert {name: values[place] for name, values in found.items() if not np.isnan(values[place])} == pytest.approx(
            expected
        )
    assert set(judge.intervals(TARGETS, SCORES)) == set(judge.figures)


def test_the_baseline_never_answers() -> None:
    judge = AnswerJudge(characters=False, refuses=True)
    found = judge.baseline(TARGETS, {})
    assert found is not None
    assert found.figures == {"f1": 0.5, "exact_match": 0.5, "f1_answerable": 0.0, "refused": 1.0}
    assert AnswerJudge(characters=False, refuses=False).baseline(TARGETS, {}) is None


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(DivergedError):
        AnswerJudge(characters=False, refuses=False).metrics(TARGETS[:1], [score("sea", 8, np.nan)])
    assert len(NUMBERS) == 4
