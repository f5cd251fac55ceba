"""csv and tsv, against Python's csv writer and pandas."""

import csv
import gzip
from pathlib import Path

import pytest

from luthier.data.formats import Table, open_table
from luthier.errors import DataError

AWKWARD = [
    ("plain", "1"),
    ("with, comma", "0"),
    ('with "quotes"', "1"),
    ("two\nlines", "0"),
    ("two\r\nlines", "1"),
    ("NA", "null"),
    ("nan", "None"),
    ("", "0"),
    ("  space  ", ""),
    ("中文，标点", "007"),
    ("tab\there", "1.0"),
]


def save(file: Path, rows: list[tuple[str, str]], encoding: str = "utf-8", **how: str) -> Path:
    with file.open("w", encoding=encoding, newline="") as sink:
        csv.writer(sink, **how).writerows([("text", "label"), *rows])  # type: ignore[arg-type]
    return file


def rows_of(table: Table) -> list[tuple[str | None, ...]]:
    return [tuple(row.values()) for row in table.rows.to_list()]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize(
    ("name", "separator"), [("a.csv", ","), ("a.tsv", "\t"), ("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", ",")]
)
def test_every_cell_comes_back_as_written(
    tmp_path: Path, newline: str, encoding: str, name: str, separator: str
) -> None:
    file = save(tmp_path / name, AWKWARD, encoding, lineterminator=newline, delimiter=separator)
    table = open_table(file)
    assert table.rows.column_names == ["text", "label"]
    assert rows_of(table) == AWKWARD


def test_cells_equal_those_of_pandas_on_real_reviews(assets: Path) -> None:
    import pandas as pd

    for file in sorted((assets / "data").glob("*.csv")):
        table = pd.read_csv(file, dtype=str, keep_default_na=False, na_filter=False)
        assert open_table(file).rows.to_list() == table.to_dict("records"), file


def test_a_wrong_separator_is_said(tmp_path: Path) -> None:
    file = save(tmp_path / "a.csv", AWKWARD[:2], delimiter=";")
    assert open_table(file).notes == (
        f"{file} ends in .csv but its cells are separated by semicolons; it was read so.",
    )
    file = save(tmp_path / "b.csv", AWKWARD[:2], delimiter="\t")
    assert open_table(file).notes == (f"{file} ends in .csv but its cells are separated by tabs; it was read so.",)


def test_quotes_that_quote_nothing_in_a_tab_separated_file_swallow_no_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    file.write_text('text\tlabel\n"a quote that never closes\t1\nsecond\t0\n')
    table = open_table(file)
    assert rows_of(table) == [('"a quote that never closes', "1"), ("second", "0")]
    assert table.notes == (f"{file}: double quotes are read as plain characters, because not all of them close.",)


def test_a_gzipped_file_is_read_as_it_is(tmp_path: Path) -> None:
    plain = save(tmp_path / "a.csv", AWKWARD)
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert rows_of(open_table(packed)) == AWKWARD


def test_a_short_row_lacks_its_last_cells_and_blank_lines_are_no_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text,label\ngood,1\n\nshort\n\n")
    assert rows_of(open_table(file)) == [("good", "1"), ("short", None)]


def test_a_row_that_is_too_wide_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('text,label\n"two\nlines",1\ngood, but dear,0\n')
    with pytest.raises(DataError) as error:
        open_table(file)
    assert str(error.value) == (
        f"{file}, line 4: 3 cells where the header has 2 (text, label): 'good, but dear,0'. A text that holds the separator ',' must "
        "stand in double quotes."
    )


@pytest.mark.parametrize("rest", ["", "more,0\n" * 100])
def test_a_quote_that_never_closes_is_refused_with_its_line(tmp_path: Path, rest: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text('text,label\ngood,1\n"open,1\n' + rest)
    with pytest.raises(
        DataError, match=r"a\.csv, line 3: a double quote opens a cell here and is never closed\. Close it, or write"
    ):
        open_table(file)


def test_a_cell_too_long_to_be_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.data.delimited.LONGEST_CELL", 50)
    file = tmp_path / "a.csv"
    file.write_text('text,label\n"open,1\n' + "more,0\n" * 100)
    with pytest.raises(
        DataError,
        match=r"line 2: a double quote opens a cell here and is never closed\..*field larger than field limit",
    ):
        open_table(file)


def test_columns_without_or_with_the_same_name_get_one_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(",text,text, label \n0,a,b,1\n")
    table = open_table(file)
    assert table.rows.column_names == ["column_1", "text", "text_2", "label"]
    assert table.notes == (f"{file}: columns without a name, or with one that is taken, are called column_1, text_2.",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "{file} is empty."),
        ("text,label\n", "{file} has a header and no rows below it."),
        ("text,label", "{file} has a header and"),
    ],
)
def test_a_file_without_rows_is_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text(content)
    with pytest.raises(DataError) as error:
        open_table(file)
    assert str(error.value).startswith(message.format(file=file))


def test_a_file_of_blank_lines_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("\n \n")
    with pytest.raises(DataError, match=r"a\.csv is empty; expected a line of column names and rows below it\."):
        open_table(file)
