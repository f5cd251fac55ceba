"""Folds: every row is tested once."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from dividing import check_complete, exactly, sides, texts

from luthier.data.splits import Basis, fold
from luthier.errors import DataError


@pytest.mark.parametrize("by", ["random", "group", "content"])
@pytest.mark.parametrize("several", [False, True])
def test_every_row_is_tested_once(by: str, several: bool) -> None:
    chance = random.Random(0)
    labels: list[Any] = [chance.choice("aaab") for _ in range(400)]
    labels = [[label] if several else label for label in labels]
    keys: list[Any] = [row // 4 for row in range(400)] if by == "group" else texts(400, 0)
    seen: list[int] = []
    for number in range(1, 6):
        division = fold(by, Basis(labels, keys, "key", seed=1), number, 5, 0.25)
        check_complete(division, 400)
        assert list(division.rows) == ["train", "validation", "test"]
        assert len(division.rows["validation"]) == pytest.approx(80, abs=25 if by == "content" else 3)
        if by != "random":
            parts = sides(division, keys)
            assert sum(map(len, parts)) == len(set(keys))
        seen += division.rows["test"].tolist()
    assert sorted(seen) == list(range(400))


def test_random_folds_are_as_stratified_as_those_of_scikit_learn() -> None:
    from sklearn.model_selection import StratifiedKFold

    labels = ["a"] * 57 + ["b"] * 31 + ["c"] * 12
    theirs = [Counter(labels[row] for row in test) for _, test in StratifiedKFold(5).split(labels, labels)]
    ours = [
        Counter(labels[row] for row in fold("random", Basis(labels), one, 5, 0).rows["test"]) for one in range(1, 6)
    ]
    for label in "abc":
        assert sorted(count[label] for count in ours) == sorted(count[label] for count in theirs)


@pytest.mark.parametrize("by", ["random", "group"])
def test_what_alone_has_a_label_is_trained_on_in_every_fold(by: str) -> None:
    labels = ["a"] * 30 + ["only"]
    groups = [row // 3 for row in range(31)]
    seen: list[int] = []
    for number in (1, 2, 3):
        division = fold(by, Basis(labels, groups, "author"), number, 3, 0)
        assert 30 in division.rows["train"]
        assert division.warnings == ["A single row has the label 'only'; it is in training and cannot be evaluated."]
        seen += division.rows["test"].tolist()
    assert sorted(seen) == list(range(30))


def test_folds_that_cannot_be() -> None:
    basis = Basis(["a"] * 20, range(20), "when")
    with pytest.raises(
        DataError, match=exactly("data.split.folds goes with by: random or group or content, not time.")
    ):
        fold("time", basis, 1, 5, 0.1)
    with pytest.raises(DataError, match=exactly("data.split.fold: there is no fold 6 of 5; expected 1 to 5.")):
        fold("random", basis, 6, 5, 0.1)
    with pytest.raises(
        DataError, match=exactly("20 rows whose label other rows have cannot be divided into 30 folds; ask for fewer.")
    ):
        fold("random", basis, 1, 30, 0.1)
