"""Batches are a function of seed, epoch and step."""

from __future__ import annotations

import numpy as np
import pytest

from luthier.data.batches import Batches


@pytest.mark.parametrize(("rows", "size"), [(10, 3), (12, 4), (1, 8), (7, 1)])
def test_every_epoch_has_every_row_once(rows: int, size: int) -> None:
    batches = Batches(rows, size, seed=3)
    assert batches.per_epoch == len(range(0, rows, size))
    for epoch in range(3):
        steps = [batches.at(epoch * batches.per_epoch + position) for position in range(batches.per_epoch)]
        assert all(len(step) == size for step in steps[:-1])
        assert sorted(np.concatenate(steps)) == list(range(rows))


def test_no_step_depends_on_those_asked_for_before() -> None:
    forwards = [Batches(50, 7, 1).at(step).tolist() for step in range(40)]
    backwards = [Batches(50, 7, 1).at(step).tolist() for step in reversed(range(40))]
    assert forwards == backwards[::-1]


def test_epochs_and_seeds_differ() -> None:
    one, other = Batches(50, 50, 1), Batches(50, 50, 2)
    assert one.at(0).tolist() != one.at(1).tolist()
    assert one.at(0).tolist() != other.at(0).tolist()


def test_the_order_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Batches(5, 5, 0).at(0)[0] = 3
