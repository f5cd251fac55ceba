"""Some rows of a table."""

from __future__ import annotations

import datasets
import numpy as np

from luthier.data.table import Table


def test_some_rows_of_which_no_two_are_alike() -> None:
    names, alike = list("abcdefgh"), np.array([0, 1, 0, 2, 3, 3, 4, 5])
    table = Table(datasets.Dataset.from_dict({"name": names}), names, np.arange(8), alike, alike)
    assert table.some(6, 0).labels == list("abdegh"), "all firsts, where they are few enough"
    drawn = [table.some(3, seed) for seed in range(20)]
    assert {tuple(one.numbers) for one in drawn} > {tuple(table.some(3, 0).numbers)}, "the seed decides"
    for one in drawn:
        assert len(one.labels) == len(set(one.alike)) == 3
        assert one.labels == sorted(one.labels) == one.rows["name"][:]
