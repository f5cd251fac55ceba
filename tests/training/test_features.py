"""Outputs of all rows, stored unpadded, against lists of rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from luthier.data.batches import Feed, Sequences
from luthier.training import features
from luthier.training.features import Features, FrozenFeed, Shape, shapes
from luthier.training.keeping import bytes_of
from luthier.training.selection import Selection

LENGTHS = np.array([3, 1, 4, 2, 4])


def leaves_of(rows: np.ndarray, dtype: torch.dtype) -> list[Tensor | None]:
    """A leaf of one entry a position, one of one entry a row, and one that is no tensor; padded to the longest."""
    width = int(LENGTHS[rows].max())
    tokens = torch.stack([100 * int(row) + torch.arange(width * 2.0).view(width, 2) for row in rows])
    return [tokens.to(dtype), torch.stack([torch.full((3,), float(row)) for row in rows]).to(dtype), None]


def filled(parts: tuple[str, ...], dtype: torch.dtype) -> Features:
    """All rows, put in two groups in another order."""
    selection = Selection(parts)
    made = shapes(leaves_of(np.arange(5), dtype), selection)
    tensors = [None if one is None else torch.empty(one.size(LENGTHS), dtype=one.dtype) for one in made]
    features = Features(made, tensors, Sequences(np.ones(len(LENGTHS), dtype=np.int64), LENGTHS))
    for rows in (np.array([4, 2]), np.array([0, 3, 1])):
        features.put(rows, selection.keep(leaves_of(rows, dtype), torch.from_numpy(LENGTHS[rows])))
    return features


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4], [3], [1, 1, 0], [4, 2, 0]])
def test_whole_rows_come_back_padded_with_zeros(rows: list[int], dtype: torch.dtype) -> None:
    found = filled(("whole", "row", "none"), dtype).get(np.array(rows))
    width = int(LENGTHS[rows].max())
    expected = torch.zeros(len(rows), width, 2, dtype=dtype)
    for place, row in enumerate(rows):
        for position in range(LENGTHS[row]):
            for column in range(2):
                expected[place, position, column] = 100 * row + 2 * position + column
    assert sorted(found) == ["kept0", "kept1"]
    assert found["kept0"].dtype == dtype
    assert torch.equal(found["kept0"], expected)
    assert torch.equal(found["kept1"], torch.tensor([[float(row)] * 3 for row in rows], dtype=dtype))


@pytest.mark.parametrize(("part", "position"), [("first", lambda row: 0), ("last", lambda row: LENGTHS[row] - 1)])
def test_one_position_of_each_row(part: str, position: object) -> None:
    found = filled((part, "none", "none"), torch.float32).get(np.array([2, 1]))
    expected = [[[100.0 * row + 2 * position(row), 100.0 * row + 2 * position(row) + 1]] for row in (2, 1)]  # type: ignore[operator]
    assert found["kept0"].tolist() == expected
    assert found["kept1"].shape == (2, 3)
    assert not found["kept1"].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_size_said_beforehand_is_what_is_stored(dtype: torch.dtype) -> None:
    made = shapes(leaves_of(np.arange(5), dtype), Selection(("whole", "row", "none")))
    sizes = [one.size(LENGTHS) for one in made if one]
    assert sizes == [LENGTHS.sum() * 2, 5 * 3]
    assert [bytes_of((size, dtype)) for size in sizes] == [size * dtype.itemsize for size in sizes]
    assert Shape((1, 4), dtype, "none").size(LENGTHS) == 0
    assert Shape((4,), dtype, "last").size(LENGTHS) == 5 * 4


class Numbers(Feed):
    """Rows of numbers, padded with zeros."""

    def __init__(self) -> None:
        super().__init__(np.array([0, 1, 0, 1, 0]))

    @property
    def lengths(self) -> np.ndarray:
        return LENGTHS

    def inputs(self, indices: np.ndarray) -> dict[str, Tensor]:
        width = int(LENGTHS[indices].max())
        grid = torch.arange(width) + 10 * torch.from_numpy(indices)[:, None]
        return {"input_ids": grid * (torch.arange(width) < torch.from_numpy(LENGTHS[indices])[:, None])}


def test_a_feed_with_whole_rows_has_the_rows_own_inputs() -> None:
    selection = Selection(("whole", "row", "none"))
    feed = FrozenFeed(Numbers(), filled(selection.parts, torch.float32), selection)
    assert (len(feed), feed.lengths.tolist()) == (5, LENGTHS.tolist())
    batch = feed.batch(np.array([1, 0]), torch.device("cpu"))
    assert batch["input_ids"].tolist() == [[10, 0, 0], [0, 1, 2]]
    assert batch["target"].tolist() == [1, 0]
    assert batch["kept0"].shape == (2, 3, 2)


@pytest.mark.parametrize("portion", [1, 3, 1 << 16])
def test_a_feed_of_one_position_is_one_position_long(portion: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "PORTION", portion)  # rows are collated one, some or all at a time
    selection = Selection(("last", "none", "none"))
    feed = FrozenFeed(Numbers(), filled(selection.parts, torch.float32), selection)
    assert feed.lengths.tolist() == [1] * 5
    batch = feed.batch(np.array([4, 0, 4]), torch.device("cpu"))
    assert batch["input_ids"].tolist() == [[43], [2], [43]]
    assert batch["kept0"].shape == (3, 1, 2)
