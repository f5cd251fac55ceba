"""Compressed files, opened by their ending; damage anywhere in them is told in a sentence."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from luthier.errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER = 1 << 18

FAULTS = (
    *(EOFError, OSError, NotImplementedError, UnicodeDecodeError),
    *(zlib.error, lzma.LZMAError, zipfile.BadZipFile),
)
"""What the libraries raise for damaged files."""


def open_bytes(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked when its name ends in one of `OPENERS`.

    Raises:
        DataError: it is not of the kind that its ending says, or holds several files; reading raises it for damage further on.
    """
    kind = path.suffix.lower()
    if kind not in OPENERS:
        return path.open("rb")
    return cast("IO[bytes]", io.BufferedReader(_Unpacked(path, kind), BUFFER))


def inside(path: Path) -> str:
    """The name, in lower case, of what is unpacked from a file: its own without .gz and the like, or that of a zip's member."""
    kind = path.suffix.lower()
    if kind == ".zip" and path.is_file():
        with _archive(path) as archive:
            names = _members(archive)
        return names[0].lower() if names else path.stem.lower()
    return path.stem.lower() if kind in OPENERS else path.name.lower()


class _Unpacked(io.RawIOBase):
    """The unpacked bytes of a file, with the library's errors as ours."""

    def __init__(self, path: Path, kind: str) -> None:
        self._path = path
        self._inner = _tried(path, lambda: OPENERS[kind](path))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        piece = _tried(self._path, lambda: self._inner.read(len(view)))
        view[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
        super().close()


def _tried(path: Path, act: Callable[[], Any]) -> Any:
    try:
        return act()
    except FAULTS as wrong:
        if isinstance(wrong, OSError) and wrong.errno not in {None, errno.EINVAL}:
            raise  # the disk's trouble, not the file's, unless a damaged zip says to look before its beginning
        raise DataError(f"{path} is not a {NAMES[path.suffix.lower()]} file, or a damaged one: {wrong}.") from wrong


def _zstandard(path: Path) -> Any:
    import pyarrow as pa

    return pa.input_stream(str(path), compression="zstd")


def _zip(path: Path) -> Any:
    with _archive(path) as archive:
        names = _members(archive)
        if len(names) != 1:
            held = f"{len(names)} files ({', '.join(names[:5])})" if names else "no file"
            raise DataError(
                f"{path} holds {held}; expected an archive of one data file. Unpack it and name the files you want."
            )
        if archive.getinfo(names[0]).flag_bits & 1:
            raise DataError(f"{path} is locked with a password. Unpack it and name the file in it.")
        return archive.open(names[0])


def _archive(path: Path) -> zipfile.ZipFile:
    return cast("zipfile.ZipFile", _tried(path, lambda: zipfile.ZipFile(path)))


def _members(archive: zipfile.ZipFile) -> list[str]:
    """The files of an archive without those that a Mac or a Unix system adds for itself."""
    names = [name for name in archive.namelist() if not name.endswith("/")]
    return [name for name in names if not name.startswith("__MACOSX/") and not Path(name).name.startswith(".")]


OPENERS: Mapping[str, Callable[[Path], Any]] = {
    ".gz": gzip.GzipFile,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": _zstandard,
    ".zip": _zip,
}
NAMES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "Zstandard", ".zip": "zip"}
