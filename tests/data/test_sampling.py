"""Epochs with as many rows of each class."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from luthier.data.batches import Batches
from luthier.data.sampling import balance
from luthier.errors import RecipeError
from small_jobs import job_of, recipe_for

TARGETS = np.array([0] * 20 + [1] * 3 + [2] * 7)


def epochs(sampling: str, count: int, seed: int = 0) -> list[np.ndarray]:
    batches = Batches(len(TARGETS), 8, seed, balance(TARGETS, sampling))
    steps = [batches.at(step) for step in range(count * batches.per_epoch)]
    return [
        np.concatenate(steps[first : first + batches.per_epoch]) for first in range(0, len(steps), batches.per_epoch)
    ]


def test_over_sampling_repeats_rows_of_small_classes_and_leaves_none_out() -> None:
    first, second = epochs("over", 2)
    for rows in (first, second):
        assert Counter(TARGETS[rows]) == {0: 20, 1: 20, 2: 20}
        assert set(rows) == set(range(30))
        times = Counter(rows.tolist())
        assert {times[row] for row in range(20)} == {1}
        assert {times[row] for row in range(20, 23)} == {6, 7}
        assert {times[row] for row in range(23, 30)} == {2, 3}
    assert first.tolist() != second.tolist()


def test_under_sampling_takes_other_rows_of_large_classes_each_time() -> None:
    first, second = epochs("under", 2)
    for rows in (first, second):
        assert Counter(TARGETS[rows]) == {0: 3, 1: 3, 2: 3}
        assert len(set(rows)) == 9
    assert set(first) != set(second)


@pytest.mark.parametrize("sampling", ["over", "under"])
def test_an_epoch_depends_on_seed_and_number_only(sampling: str) -> None:
    assert [one.tolist() for one in epochs(sampling, 3)] == [one.tolist() for one in epochs(sampling, 3)]
    assert epochs(sampling, 1)[0].tolist() != epochs(sampling, 1, seed=1)[0].tolist()


def test_several_labels_a_row_are_refused() -> None:
    with pytest.raises(RecipeError) as refused:
        balance(np.eye(3, dtype=np.float32), "over")
    assert str(refused.value) == (
        "train.sampling: over needs one class for each row, and these rows have several labels. Leave it out; task.weights: balanced "
        "weighs the labels instead."
    )


@pytest.mark.parametrize(("sampling", "each"), [("over", max), ("under", min)])
def test_a_job_has_the_batches_that_the_recipe_asks_for(
    sampling: str, each: Callable[[Iterable[int]], int], tiny_bert: Path, tmp_path: Path
) -> None:
    file = tmp_path / "uneven.csv"
    lines = [
        f"the film is {'poor' if row % 5 == 0 else 'good'} {'very ' * (row % 7)},{row % 5 == 0}" for row in range(90)
    ]
    file.write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    recipe = recipe_for(tiny_bert, file, tmp_path / "run", {"sampling": sampling})
    recipe["data"]["duplicates"] = "ignore"
    job, ready = job_of(recipe)
    rows = ready.data.rows["train"]
    there = Counter(rows.targets.tolist())
    assert there[0] > 3 * there[1]
    size = 2 * each(there.values())
    assert job.batches.per_epoch == math.ceil(size / 16)
    for epoch in range(2):
        first = epoch * job.batches.per_epoch
        drawn = np.concatenate([job.batches.at(first + step) for step in range(job.batches.per_epoch)])
        assert Counter(rows.targets[drawn].tolist()) == {0: size // 2, 1: size // 2}
    reference = Batches(len(rows), 16, 0, balance(rows.targets, sampling))
    assert all(job.batches.at(step).tolist() == reference.at(step).tolist() for step in range(12))


def test_numbers_and_tags_have_no_classes_to_even_out() -> None:
    for targets in (np.array([0.5, 1.5]), np.array([np.array([0, 1]), np.array([1])], dtype=object)):
        with pytest.raises(
            RecipeError, match=r"^train\.sampling: over evens out classes, and this task has none\. Leave it out\.$"
        ):
            balance(targets, "over")
