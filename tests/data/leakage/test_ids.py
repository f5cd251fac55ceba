"""Which column holds ids, and which only seems to."""

from __future__ import annotations

import datetime

from luthier.data.leakage import ids


def test_names_of_id_columns() -> None:
    assert ids.guess(["text", "reviewId", "label"]) == "reviewId"
    assert ids.guess(["uuid", "ID"]) == "ID"
    assert ids.guess(["编号", "text"]) == "编号"
    assert ids.guess(["identity", "text", "idle"]) is None


def test_ids_that_only_count_rows_or_repeat_are_no_ids() -> None:
    assert (
        ids.unusable({"train": list(range(50)), "test": [*range(1, 10), 11]}) == "it counts the rows of each split anew"
    )
    assert ids.unusable({"train": ["u1", "u1", "u2"], "test": ["u3"]}) == "its values repeat within the train split"
    assert ids.unusable({"train": list(range(50)), "test": list(range(50, 60))}) is None
    assert ids.unusable({"train": ["a", "b"], "test": ["a"]}) is None
    assert ids.unusable({"all": list(range(50))}) is None
    assert ids.unusable({"train": [datetime.date(2024, 1, 1)], "test": [4]}) is None
