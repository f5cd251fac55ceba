"""The bytes are made by Python's own codecs; detection must find one that gives the same characters back."""

from pathlib import Path

import pytest

from luthier.data.encoding import detect, first_error
from luthier.errors import DataError

CHINESE = "text,label\n这个酒店很好，服务也不错,1\n服务太差了，房间又小又脏,0\n早餐一般，位置方便,1\n"
TRADITIONAL = "text,label\n這個酒店很好，服務態度非常親切,1\n房間太小，而且很髒,0\n"
FRENCH = "text,label\nLe café était très bon,pos\nÇa ne m’a pas plu à l’époque,neg\n"
JAPANESE = "text,label\nこのホテルはとても良かったです,1\n最悪のサービスでした,0\n"


def write(folder: Path, content: bytes) -> Path:
    file = folder / "reviews.csv"
    file.write_bytes(content)
    return file


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig"])
def test_utf8_needs_no_note(tmp_path: Path, codec: str) -> None:
    file = write(tmp_path, CHINESE.encode(codec))
    found = detect(file)
    assert file.read_bytes().decode(found.codec) == CHINESE
    assert found.note is None


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        (CHINESE, "gb18030"),
        (CHINESE, "gbk"),
        (CHINESE * 500, "gb18030"),
        (TRADITIONAL, "big5"),
        (FRENCH, "cp1252"),
        (JAPANESE, "shift_jis"),
        (CHINESE, "utf-16"),
        (FRENCH, "utf-16-le"),
        (CHINESE, "utf-16-be"),
        (CHINESE, "utf-32"),
    ],
)
def test_other_encodings_are_detected_and_said(tmp_path: Path, text: str, codec: str) -> None:
    file = write(tmp_path, text.encode(codec))
    found = detect(file)
    assert file.read_bytes().decode(found.codec) == text
    assert found.note is not None
    assert f"{file} is not UTF-8; it was read as {found.codec}." in found.note


def test_an_encoding_is_checked_on_the_whole_file_not_on_a_sample(tmp_path: Path) -> None:
    file = write(tmp_path, b"plain,ascii\n" * 400_000 + FRENCH.encode("cp1252"))
    found = detect(file)
    assert file.read_bytes().decode(found.codec).endswith(FRENCH)


@pytest.mark.parametrize("codec", ["utf-8", "gb18030", "big5", "shift_jis"])
def test_characters_cut_by_the_end_of_a_piece_are_no_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    text = JAPANESE if codec == "shift_jis" else TRADITIONAL
    file = write(tmp_path, text.encode(codec))
    for size in range(1, 8):
        monkeypatch.setattr("luthier.data.encoding.CHUNK", size)
        assert first_error(file, codec) is None


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
def test_the_first_wrong_byte_is_where_python_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("luthier.data.encoding.CHUNK", size)
    content = CHINESE.encode() + b"\xff\xfe" + CHINESE.encode()
    with pytest.raises(UnicodeDecodeError) as reference:
        content.decode()
    assert first_error(write(tmp_path, content), "utf-8") == reference.value.start


def test_one_damaged_byte_does_not_turn_a_utf8_file_into_another_encoding(tmp_path: Path) -> None:
    content = CHINESE.encode() + b"\xc3" + CHINESE.encode() * 3
    file = write(tmp_path, content)
    with pytest.raises(DataError) as error:
        detect(file)
    assert str(error.value) == (
        f"{file} is UTF-8 but for line 5, byte {len(CHINESE.encode())} (0xc3), which cannot be read. Repair that line, save the file "
        "again as UTF-8, or name its encoding in the recipe: data.encoding."
    )


def test_bytes_that_are_no_text_are_refused_with_place_and_key(tmp_path: Path) -> None:
    file = write(tmp_path, b"text,label\n" + bytes(range(128, 256)) * 40)
    with pytest.raises(DataError) as error:
        detect(file)
    assert str(error.value) == (
        f"{file} is not UTF-8 and its encoding could not be detected: line 2, byte 11 (0x80) is the first that does not fit. Save the "
        "file as UTF-8, or name its encoding in the recipe: data.encoding, such as gb18030, big5, utf-16 or cp1252."
    )


def test_a_given_encoding_is_used(tmp_path: Path) -> None:
    file = write(tmp_path, FRENCH.encode("cp1252"))
    assert detect(file, "latin-1").codec == "iso8859-1"


def test_a_given_encoding_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, FRENCH.encode("cp1252"))
    with pytest.raises(DataError) as error:
        detect(file, "utf-8")
    assert str(error.value) == (
        f"{file} is not utf-8, the encoding that data.encoding names: line 2, byte 17 (0xe9) does not fit. Leave data.encoding out to "
        "have it detected, or name the right one."
    )


def test_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.encoding: there is no encoding 'gb1803'; try utf-8, gb18030, big5"):
        detect(write(tmp_path, b"a"), "gb1803")


def test_a_file_that_starts_like_utf16_and_is_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"starts like utf-16 and is damaged: line 1, byte \d+ .*Save it again as UTF-8"
    ):
        detect(write(tmp_path, "ab".encode("utf-16")[:-1]))
