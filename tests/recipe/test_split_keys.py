"""Keys of `data.split` that contradict each other are refused, each in a sentence; what a run writes down is read again."""

from __future__ import annotations

from typing import Any

import pytest

from luthier.errors import RecipeError
from luthier.recipe.data import Split
from luthier.recipe.reading import read

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "time without a column": ({"by": "time"}, "by: time needs `column`, the column of dates"),
    "group without a column": ({"by": "group"}, "by: group needs `column`, the column of groups"),
    "given without a column": ({"by": "given"}, "by: given needs `column`, the column of split names"),
    "random with a column": ({"column": "x"}, "by: random uses no column; did you mean by: group or by: time?"),
    "a format without dates": ({"format": "%Y"}, "`format` says how dates are written and goes with by: time"),
    "parts and sizes": ({"parts": "7:3", "sizes": {"test": 5}}, "give `parts` or `sizes` and not both"),
    "sizes of a given column": (
        {"by": "given", "column": "x", "sizes": {"test": 5}},
        "by: given takes its sizes from the column: leave `sizes` out",
    ),
    "sizes by content": (
        {"by": "content", "sizes": {"test": 5}},
        "by: content divides by `parts`: sizes cannot hold when rows are added",
    ),
    "parts and folds": ({"parts": "7:3", "folds": 5}, "give `folds`, `parts` or `sizes`: folds are of equal size"),
    "folds in time": (
        {"by": "time", "column": "x", "folds": 5},
        "by: time has no folds; they go with random, group and content",
    ),
    "a fold too many": ({"folds": 5, "fold": 6}, "there is no fold 6 of 5"),
    "a fold of none": ({"fold": 2}, "`fold` says which of `folds` is tested; give `folds` as well"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_contradicts_itself_is_refused(case: str) -> None:
    split, sentence = REFUSED[case]
    with pytest.raises(RecipeError) as refused:
        read({"data": {"files": "x.csv", "split": split}})
    assert sentence in str(refused.value)
    assert "data.split" in str(refused.value)


@pytest.mark.parametrize(
    "split",
    [
        {},
        {"by": "time", "column": "x", "format": "%Y"},
        {"sizes": {"test": 5}},
        {"folds": 5, "fold": 3},
        {"parts": "7:3"},
    ],
    ids=str,
)
def test_what_is_written_down_is_read_again(split: dict[str, Any]) -> None:
    made = Split.model_validate(split)
    assert Split.model_validate(made.model_dump(mode="json")) == made
