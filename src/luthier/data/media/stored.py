"""How a file stands in a cell: as a path, or as a mapping of its `bytes` and its `path`."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from luthier.errors import DataError

if TYPE_CHECKING:
    import datasets

OF_THE_FILE = frozenset((errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP))
"""Errors that will be the same the next time."""


def is_missing(value: Any) -> bool:
    """Whether a cell is null, blank, or a mapping with neither bytes nor a path."""
    if isinstance(value, Mapping):
        return value.get("bytes") is None and is_missing(value.get("path"))
    return value is None or (isinstance(value, str) and not value.strip())


def path_of(value: Any) -> str | None:
    """The path of a cell, whether or not there are bytes beside it."""
    path = value.get("path") if isinstance(value, Mapping) else value
    return os.fspath(path) if isinstance(path, str | os.PathLike) else None


def shown(value: Any) -> str:
    """A value in a sentence: its path, else of what kind it is."""
    path = path_of(value)
    if path:
        return path
    return "(bytes)" if isinstance(value, Mapping) else f"({type(value).__name__})"


def stream(value: Any) -> BinaryIO:
    """The bytes of a stored file, to be closed.

    Raises:
        DataError: there is no such file, it is empty or cannot be opened, or the value is none of a file.
    """
    if isinstance(value, Mapping) and value.get("bytes") is not None:
        return _filled(BytesIO(value["bytes"]), len(value["bytes"]))
    path = path_of(value)
    if path is None:
        raise DataError(f"is neither a path nor a mapping of bytes and path, but {type(value).__name__}")
    try:
        return _opened(Path(path))
    except OSError as wrong:
        if wrong.errno not in OF_THE_FILE:
            raise  # the disk's or the system's trouble
        raise DataError(f"cannot be opened: {wrong.strerror}") from wrong


def _opened(path: Path) -> BinaryIO:
    if not path.is_file():
        raise DataError("is a folder" if path.is_dir() else "there is no such file")
    return _filled(path.open("rb"), path.stat().st_size)


def _filled(file: BinaryIO, size: int) -> BinaryIO:
    if size:
        return file
    file.close()
    raise DataError("is empty: it has 0 bytes")


def undecoded(rows: datasets.Dataset) -> datasets.Dataset:
    """The rows with images and sounds as they are stored: `datasets` would decode them whenever a row is touched."""
    import datasets

    for kind in (datasets.Image, datasets.Audio):
        for column, feature in rows.features.items():
            if isinstance(feature, kind) and feature.decode:
                rows = rows.cast_column(column, kind(decode=False))
    return rows
