"""Rows without text or label, against a plain loop."""

import random
from pathlib import Path

import datasets
import numpy as np
import pytest

from luthier.data import clean, columns, source, tables
from luthier.errors import DataError
from luthier.recipe.data import Columns, Data

BLANK = [None, "", "  ", "\n\t", "\u3000\u00a0"]


def test_rows_are_those_a_plain_loop_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BATCH", 7)
    draw = random.Random(0)
    texts = [draw.choice([*BLANK, "good", "  x ", "NA", "0"]) for _ in range(200)]
    labels = [draw.choice([None, "a", 0, []]) for _ in range(200)]
    kept, bad = clean.find(clean.without_text(datasets.Dataset.from_dict({"t": texts}), "t"), labels, "train", "drop")
    usable = [row for row in range(200) if (texts[row] or "").strip() and labels[row] is not None]
    assert kept.tolist() == usable
    assert [row - 1 for row, _ in bad] == sorted(set(range(200)) - set(usable))


def test_reasons() -> None:
    rows = datasets.Dataset.from_dict({"t": ["a", "", "b", None]})
    kept, bad = clean.find(clean.without_text(rows, "t"), ["x", "x", None, None], "test", "drop")
    assert kept.tolist() == [0]
    assert bad == [(2, "no text"), (3, "no label"), (4, "no text and no label")]


def test_clean_rows_pass_and_error_does_not_mind_them() -> None:
    kept, bad = clean.find(
        clean.without_text(datasets.Dataset.from_dict({"t": ["a", "b"]}), "t"), [0, []], "train", "error"
    )
    assert (kept.tolist(), bad) == ([0, 1], [])
    assert kept.dtype == np.int64


def test_bad_rows_can_be_an_error() -> None:
    with pytest.raises(DataError) as error:
        clean.find(clean.without_text(datasets.Dataset.from_dict({"t": ["a", ""]}), "t"), [0, 1], "train", "error")
    assert str(error.value) == (
        "1 of 2 rows of the train split cannot be used: row 2 (no text). Mend them, or write data.bad_rows: drop."
    )


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(DataError) as error:
        clean.find(clean.without_text(datasets.Dataset.from_dict({"t": ["a"] * 6}), "t"), [None] * 6, "all", "drop")
    assert str(error.value) == (
        "6 of 6 rows of the data cannot be used: row 1 (no label), row 2 (no label), row 3 (no label), row 4 (no label), "
        "row 5 (no label) and 1 more. Nothing is left; are these the right columns?"
    )


def test_the_row_number_is_that_of_pandas_on_real_reviews(assets: Path) -> None:
    import pandas as pd

    file = assets / "data" / "hotel_reviews_zh.csv"
    rows = source.read(Data(files=str(file))).splits["all"]
    found = columns.infer(rows, Columns())
    _, bad = clean.find(clean.without_text(rows, found.text), columns.labels(rows, found), "all", "drop")
    frame = pd.read_csv(file)
    assert [row - 1 for row, _ in bad] == frame.index[frame["review"].isna()].tolist()
