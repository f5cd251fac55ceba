"""Fingerprints follow content, and nothing else."""

import hashlib
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from luthier.data import fingerprint, source
from luthier.recipe.data import Data

TEXTS = [f"text {row} 中文" for row in range(25_000)]
LABELS = [str(row % 2) for row in range(25_000)]


def table(**cells: list[Any]) -> datasets.Dataset:
    return datasets.Dataset.from_dict(cells)


def test_the_way_rows_came_does_not_matter(tmp_path: Path) -> None:
    rows = table(text=TEXTS, label=LABELS)
    expected = fingerprint.of_dataset(rows)
    parts = [rows.select(range(0, 7)), rows.select(range(7, 12_345)), rows.select(range(12_345, 25_000))]
    assert fingerprint.of_dataset(datasets.concatenate_datasets(parts)) == expected
    assert fingerprint.of_dataset(rows.select(np.arange(25_000)[::-1]).select(np.arange(25_000)[::-1])) == expected
    assert fingerprint.of_dataset(rows.select_columns(["label", "text"])) == expected
    rows.to_csv(str(tmp_path / "a.csv"))
    rows.to_parquet(str(tmp_path / "b.parquet"))
    for name in ("a.csv", "b.parquet"):
        assert fingerprint.of_dataset(source.read(Data(files=str(tmp_path / name))).splits["all"]) == expected


@pytest.mark.parametrize(
    "other",
    [
        {"text": ["a", "bc"], "label": [0, 1]},
        {"text": ["ab", "c"], "label": [1, 0]},
        {"text": ["ab", None], "label": [0, 1]},
        {"text": ["ab", ""], "label": [0, 1]},
        {"text": ["ab", "c"], "other": [0, 1]},
        {"text": ["ab", "c"]},
        {"text": ["ab"], "label": [0]},
        {"text": ["ab", "c"], "label": [[0], [1]]},
    ],
)
def test_any_other_content_has_another(other: dict[str, list[Any]]) -> None:
    known = {
        fingerprint.of_dataset(table(text=["ab", "c"], label=[0, 1])),
        fingerprint.of_dataset(table(text=["ab"], label=["c"])),
    }
    assert fingerprint.of_dataset(table(**other)) not in known


def test_of_several_splits() -> None:
    one, two = table(text=["a"]), table(text=["b"])
    assert fingerprint.of({"train": one, "test": two}) == fingerprint.of({"test": two, "train": one})
    assert fingerprint.of({"train": one, "test": two}) != fingerprint.of({"train": two, "test": one})


def test_of_indices() -> None:
    assert fingerprint.of_indices(np.array([1, 2], dtype=np.int32)) == fingerprint.of_indices(np.array([1, 2]))
    assert fingerprint.of_indices(np.array([1, 2])) != fingerprint.of_indices(np.array([2, 1]))


def test_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    assert fingerprint.of_file(tmp_path / "a") == hashlib.sha256(b"content").hexdigest()
