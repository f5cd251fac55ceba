"""Parquet, file endings, missing files, and tables in the cache."""

import errno
import os
from pathlib import Path

import datasets
import pandas as pd
import pyarrow as pa
import pytest

from luthier.cache import cache_folder
from luthier.data import tables
from luthier.data.formats import ending, open_table
from luthier.errors import DataError, DiskFullError


def test_parquet_keeps_types_categories_become_values_and_the_index_is_no_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["a", "b", "a"], "label": [1, 0, 1]}, index=["x", "y", "z"])
    frame["kind"] = pd.Categorical(["u", "v", "u"])
    frame.to_parquet(tmp_path / "a.parquet")
    rows = open_table(tmp_path / "a.parquet").rows
    assert rows.to_list() == [
        {"text": t, "label": n, "kind": k} for t, n, k in [("a", 1, "u"), ("b", 0, "v"), ("a", 1, "u")]
    ]


def test_parquet_keeps_class_names(tmp_path: Path) -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features).to_parquet(
        str(tmp_path / "a.parquet")
    )
    assert open_table(tmp_path / "a.parquet").rows.features == features


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("text")
    with pytest.raises(DataError, match=r"a\.parquet is not a parquet file, or a damaged one"):
        open_table(tmp_path / "a.parquet")


def test_a_parquet_file_without_rows_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"text": [], "label": []}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet holds no rows\."):
        open_table(tmp_path / "a.parquet")


def test_a_damaged_gzip_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_text("text,label\na,1\n")
    with pytest.raises(DataError, match=r"a\.csv\.gz is not a gzip file, or a damaged one"):
        open_table(tmp_path / "a.csv.gz")


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("a.CSV", ".csv"),
        ("a.csv.gz", ".csv"),
        ("a.jsonl", ".jsonl"),
        ("a.json", ".json"),
        ("a.txt", None),
        ("a.parquet.gz", None),
    ],
)
def test_endings(name: str, known: str | None) -> None:
    assert ending(name) == known


def test_a_missing_file_suggests_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").touch()
    with pytest.raises(DataError) as error:
        open_table(tmp_path / "review.csv")
    assert (
        str(error.value) == f"There is no file '{tmp_path / 'review.csv'}'; did you mean '{tmp_path / 'reviews.csv'}'?"
    )


def test_a_missing_file_without_a_near_name_lists_the_data_files(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    (tmp_path / "b.doc").touch()
    with pytest.raises(DataError, match=r"There is no file '.*zzz\.csv'; data files in '.*': a\.jsonl\."):
        open_table(tmp_path / "zzz.csv")
    with pytest.raises(
        DataError, match=r"There is no file '.*': there is no folder '.*nowhere' either \(looked from .*\)\."
    ):
        open_table(tmp_path / "nowhere" / "a.csv")


def test_a_spreadsheet_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(
        DataError, match=r"a\.xlsx is a spreadsheet\. Save the sheet as CSV \(UTF-8\) and give that file\."
    ):
        open_table(tmp_path / "a.xlsx")


def test_an_unknown_ending_is_refused_with_those_supported(tmp_path: Path) -> None:
    (tmp_path / "a.doc").touch()
    with pytest.raises(
        DataError,
        match=r"files that end in '\.doc' cannot be read; supported: \.csv, \.tsv, \.json, \.jsonl, \.parquet, \.conll,",
    ):
        open_table(tmp_path / "a.doc")


def test_a_file_is_read_once_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text,label\na,1\n")
    assert len(open_table(file).rows) == 1
    monkeypatch.setattr("luthier.data.delimited.Delimited.batches", lambda self: pytest.fail("read again"))
    assert len(open_table(file).rows) == 1
    monkeypatch.undo()
    file.write_text("text,label\nb,1\n")
    os.utime(file, ns=(1, 1))
    assert open_table(file).rows[0]["text"] == "b"


def test_names_with_the_signs_of_a_pattern_are_plain_names(tmp_path: Path) -> None:
    file = tmp_path / "a[1]*?.csv"
    file.write_text("text,label\na,1\n")
    assert len(open_table(file).rows) == 1


def test_a_table_cut_short_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    batch = pa.record_batch({"text": ["a"]})

    def breaks_off():
        yield batch
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(
        DiskFullError,
        match=r"The disk is full: .*tables has no room for the rows\. .*set LUTHIER_CACHE to a folder on another",
    ):
        tables.cached("key", "reading", breaks_off)
    assert list((tmp_path / "cache" / "tables").iterdir()) == []
    assert tables.cached("key", "reading", lambda: [batch]).to_list() == [{"text": "a"}]


def test_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("LUTHIER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "luthier"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "luthier"
