"""Compressed files: the same rows as unpacked, and every damage told."""

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from luthier.data.formats import ending, open_table
from luthier.errors import DataError

CONTENT = "text,label\n" + "".join(f"some text of row {n} 你好,{n % 2}\n" for n in range(5000))


def zstandard(data: bytes) -> bytes:
    return pa.compress(data, codec="zstd", asbytes=True)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard,
}


def zipped(file: Path, **members: str) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return file


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("codec", ["utf-8", "gb18030"])
def test_packed_rows_are_the_rows(tmp_path: Path, kind: str, codec: str) -> None:
    (tmp_path / "a.csv").write_text(CONTENT, encoding=codec)
    packed = tmp_path / f"b.csv.{kind}"
    packed.write_bytes(PACKERS[kind](CONTENT.encode(codec)))
    assert open_table(packed).rows.to_list() == open_table(tmp_path / "a.csv").rows.to_list()


@pytest.mark.parametrize("name", ["a.zip", "a.csv.zip"])
def test_a_zip_is_what_is_in_it(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("folder/", "")
        archive.writestr("folder/data.csv", CONTENT)
        archive.writestr("__MACOSX/folder/._data.csv", "junk")
    assert ending(file) == ".csv"
    assert len(open_table(file).rows) == 5000


def test_json_lines_in_a_zip(tmp_path: Path) -> None:
    assert open_table(zipped(tmp_path / "a.zip", a__jsonl='{"text": "a"}\n')).rows.to_list() == [{"text": "a"}]


@pytest.mark.parametrize("kind", PACKERS)
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, kind: str) -> None:
    packed = tmp_path / f"a.csv.{kind}"
    packed.write_bytes(PACKERS[kind](CONTENT.encode())[:-200])
    with pytest.raises(DataError, match=rf"a\.csv\.{kind} is not a \w+ file, or a damaged one: "):
        open_table(packed)


@pytest.mark.parametrize("kind", [*PACKERS, "zip"])
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, kind: str) -> None:
    packed = tmp_path / f"a.csv.{kind}"
    packed.write_text(CONTENT)
    with pytest.raises(DataError, match=rf"a\.csv\.{kind} is not a \w+ file, or a damaged one: "):
        open_table(packed)


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst", "zip"])
def test_damage_in_the_middle_is_refused(tmp_path: Path, kind: str) -> None:
    packed = tmp_path / f"a.csv.{kind}"
    if kind == "zip":
        zipped(packed, a__csv=CONTENT)
    else:
        packed.write_bytes(PACKERS[kind](CONTENT.encode()))
    damaged = bytearray(packed.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 40] = bytes(byte ^ 0xFF for byte in damaged[middle : middle + 40])
    packed.write_bytes(damaged)
    with pytest.raises(
        DataError,
        match=r"is not a .* file, or a damaged one|cannot be read|could not be detected|cells where the header",
    ):
        open_table(packed)


def test_archives_that_are_no_one_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"two\.zip holds 2 files \(a\.csv, b\.csv\); expected an archive of one data file\. Unpack it and name the files",
    ):
        open_table(zipped(tmp_path / "two.zip", a__csv="x", b__csv="x"))
    with pytest.raises(DataError, match=r"none\.csv\.zip holds no file; expected an archive of one data file"):
        open_table(zipped(tmp_path / "none.csv.zip"))
    locked = zipped(tmp_path / "locked.zip", a__csv="x")
    flagged = bytearray(locked.read_bytes())
    flagged[flagged.index(b"PK\x01\x02") + 8] |= 1
    locked.write_bytes(flagged)
    with pytest.raises(DataError, match=r"locked\.zip is locked with a password\. Unpack it and name the file in it\."):
        open_table(locked)


def test_packed_parquet_is_refused_with_what_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.parquet.gz").write_bytes(b"x")
    with pytest.raises(DataError, match=r"and the text formats compressed as \.gz, \.bz2, \.xz, \.zst, \.zip\."):
        open_table(tmp_path / "a.parquet.gz")
