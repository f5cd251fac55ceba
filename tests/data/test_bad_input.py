"""What goes wrong with files: huge cells, strange characters, several encodings, ragged lines, writers that are not done."""

import csv
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luthier.data import blocks, delimited, odd, source
from luthier.data.formats import open_table
from luthier.errors import DataError
from luthier.recipe.data import Data


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json"])
def test_a_cell_of_ten_million_characters_is_read_whole_and_told(tmp_path: Path, name: str) -> None:
    long = "wörd " * 2_000_000
    rows = [{"text": "short", "label": "a"}, {"text": long, "label": "b"}]
    with (tmp_path / name).open("w", encoding="utf-8", newline="") as stream:
        if name.startswith("a.js"):
            stream.write(json.dumps(rows) if name == "a.json" else "".join(json.dumps(row) + "\n" for row in rows))
        else:
            writer = csv.writer(stream, delimiter="\t" if name == "a.tsv" else ",")
            writer.writerows([["text", "label"], *([row["text"], row["label"]] for row in rows)])
    table = open_table(tmp_path / name)
    assert table.rows.to_list() == rows
    assert [one.sentence for one in odd.find(table.rows, "text")] == [
        "1 row holds more than 100,000 characters in 'text', such as row 2."
    ]


def test_many_large_cells_are_written_in_small_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "CHARACTERS", 1000)
    file = tmp_path / "a.csv"
    file.write_text("text,label\n" + f"{'x' * 400},1\n" * 10)
    found = delimited.look(file, delimited.Encoding("utf-8"))
    assert [batch.num_rows for batch in found.batches()] == [3, 3, 3, 1]
    assert len(open_table(file).rows) == 10


@given(st.lists(st.integers(0, 500), max_size=60), st.integers(1, 1000))
def test_blocks_hold_every_row_once_in_order_and_are_small(sizes: list[int], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "CHARACTERS", most)
        patch.setattr(blocks, "BATCH", 7)
        cut = list(blocks.blocks(sizes, lambda size: size))
    assert [size for block in cut for size in block] == sizes
    assert all(1 <= len(block) <= 7 and sum(block[:-1]) < most for block in cut)


def test_control_characters_are_kept_and_told(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"text,label\nbell \x07 and nul \x00 here,1\nplain,0\n")
    table = open_table(file)
    assert table.rows[0] == {"text": "bell \x07 and nul \x00 here", "label": "1"}
    assert [(one.kind, one.examples) for one in odd.find(table.rows, "text")] == [("control", (1,))]


@pytest.mark.parametrize("other", ["gb18030", "big5", "cp1251"])
def test_files_of_several_encodings_are_refused(tmp_path: Path, other: str) -> None:
    words = "Хорошая гостиница и завтрак" if other == "cp1251" else "酒店房間非常好服務員很熱情"
    utf8 = "".join(f"{words} {n},1\n" for n in range(50)).encode()
    rest = "".join(f"{words} {n},0\n" for n in range(50)).encode(other)
    (tmp_path / "a.csv").write_bytes(b"text,label\n" + utf8 + rest)
    with pytest.raises(
        DataError,
        match=r"a\.csv mixes encodings: most likely two files were joined\. .* line 52, byte .* Save each part",
    ):
        open_table(tmp_path / "a.csv")


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.conll"])
def test_a_byte_order_mark_is_no_letter(tmp_path: Path, codec: str, name: str) -> None:
    content = {"a.csv": "text,label\n好,1\n", "a.jsonl": '{"text": "好", "label": "1"}\n', "a.conll": "好 1\n"}[name]
    (tmp_path / name).write_bytes(("\ufeff" * (codec == "utf-16-le") + content).encode(codec))
    expected = {"tokens": ["好"], "tags": ["1"]} if name == "a.conll" else {"text": "好", "label": "1"}
    assert open_table(tmp_path / name).rows.to_list() == [expected]


def test_a_ragged_line_is_refused_with_its_number(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,label\n"two\nlines",1\nok,0\na,b,c,1\n')
    with pytest.raises(DataError, match=r"a\.csv, line 5: 4 cells where the header has 2 \(text, label\): 'a,b,c,1'\."):
        open_table(tmp_path / "a.csv")


def appended(path: Path, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        with path.open("ab") as stream:
            stream.write(b"more,1\n")
        yield batch


def test_a_file_that_changes_while_it_is_read_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text,label\na,1\n")
    whole = delimited.Delimited.batches
    monkeypatch.setattr(delimited.Delimited, "batches", lambda self: appended(self.path, whole(self)))
    message = (
        r"a\.csv changed while it was read\. Wait until whatever writes it is done, and run the same command again\."
    )
    with pytest.raises(DataError, match=message):
        open_table(file)
    monkeypatch.undo()
    assert list(open_table(file).rows["text"]) == ["a", "more"]


def test_a_file_that_is_cut_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text,label\na,1\n")
    whole = delimited.Delimited.batches

    def cut(self: delimited.Delimited) -> Iterator[pa.RecordBatch]:
        self.path.write_text("text,label\n")
        os.utime(self.path, ns=(1, 1))
        return whole(self)

    monkeypatch.setattr(delimited.Delimited, "batches", cut)
    with pytest.raises(DataError, match="changed while it was read"):
        open_table(file)


def test_a_pattern_names_files_in_order(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / f"{name}.csv").write_text(f"text,label\n{name},1\n")
    read = source.read(Data(files=str(tmp_path / "[ab].csv")))
    assert {split: list(rows["text"]) for split, rows in read.splits.items()} == {"all": ["a", "b"]}
    assert [part["path"] for part in read.files["all"]] == [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    read = source.read(Data(files={"train": str(tmp_path / "[ab].csv"), "test": str(tmp_path / "c.csv")}))
    assert {split: list(rows["text"]) for split, rows in read.splits.items()} == {"train": ["a", "b"], "test": ["c"]}


def test_a_relative_pattern_and_one_through_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one/a", "two/b"):
        Path(name).parent.mkdir()
        Path(f"{name}.csv").write_text(f"text,label\n{name},1\n")
    for pattern in ("*/*.csv", "**/*.csv", "./*/[ab].csv"):
        (rows,) = source.read(Data(files=pattern)).splits.values()
        assert list(rows["text"]) == ["one/a", "two/b"]


def test_a_pattern_of_files_named_after_splits_keeps_them_apart(tmp_path: Path) -> None:
    for name in ("train-00000-of-00002", "train-00001-of-00002", "dev", "test"):
        (tmp_path / f"{name}.csv").write_text(f"text,label\n{name},1\n")
    read = source.read(Data(files=str(tmp_path / "*.csv")))
    assert {split: len(rows) for split, rows in read.splits.items()} == {"train": 2, "validation": 1, "test": 1}


def test_a_file_with_the_signs_of_a_pattern_is_itself(tmp_path: Path) -> None:
    (tmp_path / "a[1].csv").write_text("text,label\nx,1\n")
    (tmp_path / "a1.csv").write_text("text,label\ny,1\n")
    (rows,) = source.read(Data(files=str(tmp_path / "a[1].csv"))).splits.values()
    assert list(rows["text"]) == ["x"]


def test_patterns_and_shards_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No file fits the pattern '.*\*\.csv' \(looked from .*\)\."):
        source.read(Data(files=str(tmp_path / "*.csv")))
    for number in (0, 2):
        (tmp_path / f"train-{number:05d}-of-00004.csv").write_text("text,label\nx,1\n")
    message = r"2 of 4 shards are missing from .*, such as train-00001-of-00004\.csv\."
    for files in (str(tmp_path / "train-*.csv"), str(tmp_path)):
        with pytest.raises(DataError, match=message):
            source.read(Data(files=files))


NUMBERS = itertools.count()
"""For file names: each example is a file of its own."""

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0\ufeff"), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8))
def test_every_cell_of_a_csv_comes_back(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    file = tmp_path / f"{next(NUMBERS)}.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([("text", "label"), *rows])
    assert [(row["text"], row["label"]) for row in open_table(file).rows] == rows


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    st.lists(
        st.fixed_dictionaries({"text": st.text(st.characters(exclude_categories=["Cs"]), max_size=12)}),
        min_size=2,
        max_size=8,
    )
)
def test_every_text_of_json_lines_comes_back(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    file = tmp_path / f"{next(NUMBERS)}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert open_table(file).rows.to_list() == rows
