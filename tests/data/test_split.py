"""Stratified division: invariants over many label distributions, and scikit-learn as the reference."""

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.data import splits
from luthier.data.split import Division, draw, stratified
from luthier.errors import DataError

RATIOS = [[9, 1], [8, 2], [7, 3], [0.8, 0.2], [8, 1, 1], [0.7, 0.15, 0.15], [1, 1, 1]]


def divide(labels: list[Any], parts: list[float], seed: int) -> Division:
    return splits.divide("random", splits.Basis(labels, seed=seed), splits.Parts.ratio(parts))


def labels_of(kind: str) -> list[Any]:
    chance = random.Random(kind)
    many = {
        "two": ["a"] * 700 + ["b"] * 300,
        "rare": ["a"] * 950 + ["b"] * 47 + ["c"] * 3,
        "hundred": [f"class {row % 100}" for row in range(730)],
        "zipf": [f"class {int(chance.paretovariate(0.7))}" for _ in range(800)],
        "numbers": [row % 3 for row in range(101)],
    }[kind]
    chance.shuffle(many)
    return many


KINDS = ["two", "rare", "hundred", "zipf", "numbers"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parts", RATIOS, ids=str)
def test_every_row_is_in_one_part_and_every_class_keeps_its_share(kind: str, parts: list[float]) -> None:
    labels = labels_of(kind)
    division = divide(labels, parts, seed=3)
    assert np.array_equal(np.sort(np.concatenate(list(division.rows.values()))), np.arange(len(labels)))
    shares = dict(zip(division.rows, np.array(parts) / sum(parts), strict=True))
    whole = Counter(labels)
    for name, rows in division.rows.items():
        assert np.array_equal(rows, np.sort(rows))
        here = Counter(labels[row] for row in rows)
        for label, count in whole.items():
            assert abs(here[label] - count * shares[name]) <= 1 + 1e-9, (name, label)
    assert {labels[row] for row in division.rows["train"]} == set(labels)


@pytest.mark.parametrize("kind", ["two", "hundred", "numbers"])
@pytest.mark.parametrize("parts", RATIOS, ids=str)
def test_sizes_of_the_parts_come_out_as_asked(kind: str, parts: list[float]) -> None:
    labels = labels_of(kind)
    for rows, part in zip(divide(labels, parts, seed=0).rows.values(), parts, strict=True):
        assert abs(len(rows) - len(labels) * part / sum(parts)) < 2


def test_shares_are_as_good_as_those_of_scikit_learn() -> None:
    from sklearn.model_selection import train_test_split

    labels = labels_of("two")
    theirs, _ = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0)
    ours = divide(labels, [8, 2], seed=0).rows["train"]
    assert Counter(labels[row] for row in ours) == Counter(labels[row] for row in theirs) == {"a": 560, "b": 240}


def test_the_seed_decides_and_the_order_of_rows_does_not_change_sizes() -> None:
    labels = labels_of("zipf")
    one, same, other = divide(labels, [8, 1, 1], 0), divide(labels, [8, 1, 1], 0), divide(labels, [8, 1, 1], 1)
    assert all(np.array_equal(one.rows[name], same.rows[name]) for name in one.rows)
    assert not np.array_equal(one.rows["test"], other.rows["test"])
    shuffled = random.Random(5).sample(labels, len(labels))
    again = divide(shuffled, [8, 1, 1], 7)
    for name, rows in one.rows.items():
        assert Counter(labels[row] for row in rows) == Counter(shuffled[row] for row in again.rows[name])


def test_parts_are_named() -> None:
    assert list(divide(["a", "b"] * 10, [9, 1], 0).rows) == ["train", "validation"]
    assert list(divide(["a", "b"] * 10, [8, 1, 1], 0).rows) == ["train", "validation", "test"]


def test_a_class_with_one_row_goes_to_training_with_a_warning() -> None:
    labels = ["a"] * 50 + ["only"] + ["b"] * 50
    for seed in range(20):
        division = divide(labels, [1, 4], seed)
        assert 50 in division.rows["train"]
        assert division.warnings == ["A single row has the label 'only'; it is in training and cannot be evaluated."]


def test_a_class_that_a_part_lacks_is_warned_of() -> None:
    division = divide(["a"] * 90 + ["b"] * 2, [8, 1, 1], 0)
    lacking = [name for name in ("validation", "test") if not any(row >= 90 for row in division.rows[name])]
    assert division.warnings == [
        f"No row of the {name} split has the label 'b': too few rows for every part." for name in lacking
    ]
    many = divide([f"c{row}" for row in range(8)] + ["a"] * 30, [8, 2], 0).warnings
    assert many[-1:] == [
        "A single row has the label 'c0', 'c1', 'c2', 'c3', 'c4' and 3 more; it is in training and cannot be evaluated."
    ]


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"^2 rows cannot be divided into 3 parts \(train, validation, test\); give more rows\.$"
    ):
        divide(["a", "b"], [8, 1, 1], 0)
    with pytest.raises(
        DataError,
        match=r"^data\.split by: random leaves no row for \w+ out of 20; give more rows or larger parts\.$",
    ):
        divide(["a", "b"] * 10, [98, 1, 1], 0)


def multilabel(rows: int) -> list[list[str]]:
    chance = random.Random(0)
    shares = {"common": 0.6, "usual": 0.3, "seldom": 0.05, "rare": 0.02}
    return [[name for name, share in shares.items() if chance.random() < share] for _ in range(rows)]


def test_every_label_of_rows_with_several_keeps_its_share() -> None:
    labels = multilabel(2000)
    division = divide(labels, [8, 1, 1], 0)
    assert np.array_equal(np.sort(np.concatenate(list(division.rows.values()))), np.arange(len(labels)))
    whole = Counter(name for row in labels for name in row)
    for rows, share in zip(division.rows.values(), (0.8, 0.1, 0.1), strict=True):
        assert abs(len(rows) - 2000 * share) < 3
        here = Counter(name for row in rows for name in labels[row])
        for name, count in whole.items():
            assert abs(here[name] - count * share) <= 8, name
        assert abs(sum(not labels[row] for row in rows) - share * sum(not row for row in labels)) <= 1


def test_a_label_of_one_row_among_several_goes_to_training() -> None:
    labels = [*multilabel(200), ["common", "only"]]
    for seed in range(10):
        division = divide(labels, [1, 1], seed)
        assert 200 in division.rows["train"]
        assert division.warnings[0] == "A single row has the label 'only'; it is in training and cannot be evaluated."


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [10, 33, 100])
def test_a_drawn_sample_has_the_size_asked_for_and_the_shares(kind: str, rows: int) -> None:
    labels = labels_of(kind)
    picked = draw(labels, rows, 1)
    assert len(set(picked.tolist())) == rows
    here = Counter(labels[row] for row in picked)
    assert all(abs(here[label] - count * rows / len(labels)) <= 1 + 1e-9 for label, count in Counter(labels).items())
    assert np.array_equal(picked, draw(labels, rows, 1))


def test_a_sample_of_everything_is_everything() -> None:
    assert draw(["a"] * 5, 10, 0).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [150, 300])
def test_a_sample_to_learn_from_has_a_row_of_every_class(kind: str, rows: int) -> None:
    labels = labels_of(kind)
    whole = Counter(labels)
    for seed in range(5):
        plain, every = draw(labels, rows, seed), draw(labels, rows, seed, every_label=True)
        before, after = (Counter(labels[row] for row in picked) for picked in (plain, every))
        assert np.array_equal(every, np.unique(every))
        assert len(every) == min(rows, len(labels))
        assert set(after) == set(whole)
        assert all(after[label] == 1 for label in whole if not before[label])
        assert np.array_equal(every, draw(labels, rows, seed, every_label=True))
        if set(before) == set(whole):
            assert np.array_equal(plain, every)


def test_what_makes_room_for_rare_classes_comes_from_the_largest() -> None:
    labels = ["a"] * 600 + ["b"] * 380 + [f"rare {row}" for row in range(15)]
    here = Counter(labels[row] for row in draw(labels, 40, 0, every_label=True))
    assert sum(here.values()) == 40
    assert all(here[f"rare {row}"] == 1 for row in range(15))
    assert abs(here["a"] - here["b"]) <= 1  # from 24 and 15 or so, row by row


def test_a_sample_that_is_too_small_for_every_label_is_refused() -> None:
    labels = labels_of("hundred")
    with pytest.raises(DataError) as refused:
        draw(labels, 99, 0, every_label=True)
    assert str(refused.value) == (
        "data.rows: 99 rows cannot hold one of each of training's 100 labels, and it needs them. Ask for more rows."
    )
    assert {labels[row] for row in draw(labels, 100, 0, every_label=True)} == set(labels)


LABEL_LISTS = st.lists(st.lists(st.sampled_from("abcdefgz"), unique=True, max_size=3), min_size=12, max_size=60)


@given(LABEL_LISTS, st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_of_rows_with_several_labels_training_has_each(labels: list[list[str]], seed: int) -> None:
    known = {name for label in labels for name in label}
    picked = draw(labels, 10, seed, every_label=True)  # never refused: there are 8 labels
    assert len(np.unique(picked)) == len(picked) == 10
    assert {name for row in picked for name in labels[row]} == known
    for shares in ({"train": 0.8, "validation": 0.2}, {"train": 0.8, "validation": 0.1, "test": 0.1}):
        parts = stratified(labels, shares, seed)
        assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(len(labels)))
        assert {name for row in parts["train"] for name in labels[row]} == known


def test_a_label_that_is_never_the_rarest_of_its_row_is_not_lost_to_training() -> None:
    """Strata go by the rarest label of a row, so none is of z's rows alone."""
    labels = [["z", "a"], ["a"], ["z", "b"], ["b"], *[["c"]] * 40]
    for seed in range(20):
        parts = stratified(labels, {"train": 0.5, "validation": 0.5}, seed)
        assert {name: len(rows) for name, rows in parts.items()} == {"train": 22, "validation": 22}
        assert {name for row in parts["train"] for name in labels[row]} == {"a", "b", "c", "z"}
