"""Division by group: no group is on two sides, and the parts are balanced."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dividing import EIGHT_ONE_ONE, check_complete, exactly, sides
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from luthier.data.split import Division
from luthier.data.splits import WAYS, Basis, Parts, divide
from luthier.errors import DataError


@st.composite
def grouped(draw: st.DrawFn) -> tuple[list[str], list[Any]]:
    groups = draw(st.integers(3, 15))
    rows = draw(
        st.lists(st.tuples(st.integers(0, groups - 1), st.sampled_from("ab")), min_size=groups + 1, max_size=150)
    )
    assume(3 <= len({group for group, _ in rows}) < len(rows))
    return [label for _, label in rows], [group for group, _ in rows]


@settings(deadline=None)
@given(grouped(), st.sampled_from([[8, 1, 1], [1, 1, 1], [7, 3]]), st.integers(0, 3))
def test_no_group_is_on_two_sides(given_rows: tuple[list[str], list[Any]], ratio: list[float], seed: int) -> None:
    labels, groups = given_rows
    rows = WAYS["group"].divide(Basis(labels, groups, "author", seed=seed), Parts.ratio(ratio))
    division = Division(rows)
    check_complete(division, len(labels))
    parts = sides(division, groups)
    assert sum(map(len, parts)) == len(set(groups))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("several", [False, True])
def test_groups_are_as_balanced_as_those_of_scikit_learn(seed: int, several: bool) -> None:
    from sklearn.model_selection import StratifiedGroupKFold

    random_ = np.random.default_rng(seed)
    groups = np.minimum(random_.pareto(1.0, 3000) * 20, 300).astype(int)
    lean = random_.random(301)
    labels = [("a" if random_.random() < lean[group] else random_.choice(["b", "c"])) for group in groups]
    found = [[label] if several else label for label in labels]
    basis = Basis(found, groups.tolist(), "author", seed=seed)
    rows = list(WAYS["group"].divide(basis, Parts.folds(5)).values())
    theirs = [
        test for _, test in StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(groups, labels, groups)
    ]

    def distance(parts: list[np.ndarray]) -> float:
        whole = Counter(labels)
        return sum(
            (Counter(labels[row] for row in part)[one] - whole[one] / 5) ** 2 / whole[one]
            for part in parts
            for one in whole
        )

    assert distance(rows) <= 1.1 * distance(theirs) + 0.1


def test_groups_of_parts_of_different_size_come_near_their_shares() -> None:
    random_ = np.random.default_rng(0)
    groups = random_.integers(0, 400, 4000)
    labels = [str(label) for label in random_.choice(["a", "b", "c"], 4000, p=[0.7, 0.2, 0.1])]
    division = divide("group", Basis(labels, groups.tolist(), "author"), EIGHT_ONE_ONE)
    for name, share in EIGHT_ONE_ONE.shares.items():
        rows = division.rows[name]
        assert len(rows) == pytest.approx(4000 * share, rel=0.03)
        for label, count in Counter(labels).items():
            assert sum(labels[row] == label for row in rows) == pytest.approx(count * share, rel=0.1)
    assert division.warnings == []


def test_a_row_without_a_group_is_a_group_of_its_own() -> None:
    groups = ["a", "a", None, "b", "b", float("nan"), " ", "c", "c"]
    division = divide("group", Basis(["x"] * 9, groups, "author"), Parts.ratio([1, 1, 1]))
    check_complete(division, 9)
    assert {len(rows) for rows in division.rows.values()} == {3}


def test_a_group_that_alone_has_a_label_is_trained_on() -> None:
    labels, groups = ["a"] * 30 + ["only"] * 3, [row // 3 for row in range(33)]
    for seed in range(10):
        division = divide("group", Basis(labels, groups, "author", seed=seed), Parts.ratio([1, 4, 4]))
        assert {30, 31, 32} <= set(division.rows["train"].tolist())


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (
            list(range(9)),
            "Column 'author' has a different value in each of the 9 rows, so it groups nothing. Name the column with the groups, or write "
            "by: random.",
        ),
        (
            ["x"] * 9,
            "Column 'author' has the same value in all 9 rows; a single group cannot be divided. Name another column, or write by: random.",
        ),
        (
            ["x"] * 5 + ["y"] * 4,
            "Column 'author' has 2 different values, and 3 parts (train, validation, test) need as many groups. Divide into fewer parts, "
            "or write by: random.",
        ),
    ],
)
def test_columns_that_do_not_group_are_refused(groups: list[Any], said: str) -> None:
    with pytest.raises(DataError, match=exactly(said)):
        divide("group", Basis(["a"] * 9, groups, "author"), EIGHT_ONE_ONE)


def test_speakers_of_real_recordings_stay_together(assets: Path) -> None:
    table = pd.read_csv(assets / "data" / "spoken_digits" / "metadata.csv")
    speaker = next(name for name in table if "speaker" in name.lower())
    label = next(name for name in table if name.lower() in {"label", "digit"})
    basis = Basis(table[label].astype(str).tolist(), table[speaker].tolist(), speaker)
    division = divide("group", basis, Parts.ratio([4, 1, 1]))
    check_complete(division, len(table))
    assert sum(map(len, sides(division, table[speaker].tolist()))) == table[speaker].nunique()
