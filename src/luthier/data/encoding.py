"""Which characters the bytes of a text file stand for: UTF-8 when that is valid, else detected and checked on the whole file."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from luthier.data.packed import open_bytes
from luthier.errors import DataError

CHUNK = 1 << 20
SAMPLE = 1 << 18
"""Bytes shown to the detector."""

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is how this one starts
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

CANDIDATES = (
    *("gb18030", "big5", "big5hkscs", "cp932", "shift_jis", "euc_jp", "cp949", "euc_kr"),
    *("cp1252", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255", "cp1256"),
)
"""What people's files are in when they are not UTF-8; of several that fit equally the first is taken."""

DAMAGED = 0.05
"""A file with fewer wrong bytes than this per valid non-ASCII character is damaged UTF-8, not another encoding."""

TELLING = 8
"""Non-ASCII bytes in a line above which it is UTF-8 by intent, not by chance, when it reads as such."""

MIXED = 0.1
"""Share of telling lines in UTF-8 beside lines that are not above which a file mixes encodings."""


@dataclass(frozen=True)
class Encoding:
    """A codec that decodes the whole file, and a sentence when it is not the expected one."""

    codec: str
    note: str | None = None


def detect(path: Path, given: str | None = None) -> Encoding:
    """Find the encoding of a file.

    Args:
        path: a text file.
        given: the encoding that the recipe names.

    Raises:
        DataError: `given` is unknown or does not fit, or nothing fits; the message names file, line and byte.
    """
    if given is not None:
        return _given(path, given)
    with open_bytes(path) as file:
        start = file.read(4096)
    marked = next((codec for mark, codec in MARKS if start.startswith(mark)), None)
    if marked:
        return _marked(path, marked)
    wide = _wide(start)
    if wide and first_error(path, wide) is None:
        return Encoding(wide, f"{path} is not UTF-8; it was read as {wide}.")
    error = first_error(path, "utf-8")
    return Encoding("utf-8") if error is None else _guessed(path, error)


def first_error(path: Path, codec: str) -> int | None:
    """Offset of the first byte that cannot be decoded, or None; reads the whole file in pieces."""
    decoder = codecs.getincrementaldecoder(codec)("strict")
    offset = 0
    for chunk in _chunks(path):
        waiting = len(decoder.getstate()[0])
        try:
            decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as wrong:
            return offset - waiting + wrong.start
        except UnicodeError:  # UTF-16 and UTF-32 without their mark
            return offset - waiting
        offset += len(chunk)
    return None


def _chunks(path: Path) -> Iterator[bytes]:
    """Pieces of a file, then an empty one."""
    with open_bytes(path) as file:
        while chunk := file.read(CHUNK):
            yield chunk
    yield b""


def _given(path: Path, given: str) -> Encoding:
    try:
        codec = codecs.lookup(given)
    except LookupError:
        raise DataError(
            f"data.encoding: there is no encoding {given!r}; try utf-8, gb18030, big5, utf-16, cp1252 or shift_jis."
        ) from None
    offset = first_error(path, codec.name)
    if offset is not None:
        raise DataError(
            f"{path} is not {given}, the encoding that data.encoding names: {_place(path, offset)} does not fit. "
            "Leave data.encoding out to have it detected, or name the right one."
        )
    return Encoding("utf-8-sig" if codec.name == "utf-8" else codec.name)


def _marked(path: Path, codec: str) -> Encoding:
    offset = first_error(path, codec)
    if offset is not None:
        raise DataError(
            f"{path} starts like {codec} and is damaged: {_place(path, offset)} cannot be read. Save it again as UTF-8."
        )
    return Encoding(codec, None if codec == "utf-8-sig" else f"{path} is not UTF-8; it was read as {codec}.")


def _wide(start: bytes) -> str | None:
    """UTF-16 without a mark, told by its line ends."""
    pairs = [start[i : i + 2] for i in range(0, len(start) - 1, 2)]
    little, big = pairs.count(b"\n\0"), pairs.count(b"\0\n")
    if little == big:
        return None
    return "utf-16-le" if little > big else "utf-16-be"


def _guessed(path: Path, offset: int) -> Encoding:
    sample = _sample(path, offset)
    if _is_damaged_utf8(sample):
        raise DataError(
            f"{path} is UTF-8 but for {_place(path, offset)}, which cannot be read. Repair that line, save the file again as UTF-8, "
            "or name its encoding in the recipe: data.encoding."
        )
    if _is_mixed(sample):
        raise DataError(
            f"{path} mixes encodings: most likely two files were joined. Lines before or after {_place(path, offset)} are UTF-8 and "
            "that one is not. Save each part as UTF-8 and join them again."
        )
    for codec in _likely(sample):
        if first_error(path, codec) is None:
            return Encoding(
                codec,
                f"{path} is not UTF-8; it was read as {codec}. If texts look wrong, name data.encoding in the recipe.",
            )
    raise DataError(
        f"{path} is not UTF-8 and its encoding could not be detected: {_place(path, offset)} is the first that does not fit. "
        "Save the file as UTF-8, or name its encoding in the recipe: data.encoding, such as gb18030, big5, utf-16 or cp1252."
    )


def _sample(path: Path, offset: int) -> bytes:
    """Whole lines around the first byte that is not UTF-8, those of ASCII left out: they tell nothing and dilute the rest."""
    start = max(0, offset - SAMPLE // 4)
    with open_bytes(path) as file:
        left = start
        while left > 0 and (skipped := file.read(min(left, CHUNK))):  # unpacked bytes cannot be sought in
            left -= len(skipped)
        piece = file.read(SAMPLE)
    lines = piece.split(b"\n")
    whole = lines[1 if start else 0 : -1 if len(piece) == SAMPLE else None] or lines
    return b"\n".join(line for line in whole if not line.isascii()) or piece


def _is_damaged_utf8(sample: bytes) -> bool:
    text = sample.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    right = sum(not character.isascii() for character in text) - wrong
    return 0 < wrong < DAMAGED * right


def _is_mixed(sample: bytes) -> bool:
    telling = [line for line in sample.split(b"\n") if sum(byte > 127 for byte in line) >= TELLING]
    valid = sum(_is_utf8(line) for line in telling)
    return valid < len(telling) and valid >= max(2, MIXED * len(telling))


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _likely(sample: bytes) -> list[str]:
    """Candidate encodings, the most plausible first; none when the bytes look like no text at all."""
    from charset_normalizer import from_bytes

    if b"\0" in sample:
        return []
    matches = from_bytes(sample, cp_isolation=list(CANDIDATES), enable_fallback=False)
    rank = {
        codec: (match.chaos, -match.coherence, CANDIDATES.index(codec))
        for match in matches
        for codec in CANDIDATES
        if codec in {match.encoding, *match.could_be_from_charset}
    }
    return sorted(rank, key=lambda codec: rank[codec])


def _place(path: Path, offset: int) -> str:
    line = 1
    with open_bytes(path) as file:
        left = offset
        while left > 0 and (chunk := file.read(min(left, CHUNK))):
            line += chunk.count(b"\n")
            left -= len(chunk)
        found = file.read(1)
    byte = f" (0x{found[0]:02x})" if found else ""
    return f"line {line}, byte {offset}{byte}"
