"""Where the outputs of frozen parts are kept: in memory, or in files of the cache folder that later runs find again.

The files of one split are a folder named after the hash of all that decides on their content. The least recently used are
deleted first, as soon as all of them are larger than `LIMIT`.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

import psutil
import torch
from torch import Tensor

from luthier import hardware
from luthier.cache import cache_folder
from luthier.errors import TrainError
from luthier.folder import MANIFEST

LIMIT = 20 * 2**30
"""Bytes of all files together."""
SHARE_OF_DISK = 0.5
"""Of what is free on the disk, the most that one split may take."""
SHARE_OF_MEMORY = 0.4
"""Of the memory that is available, the most that one split may take."""
SHARED = 256 * 2**20
"""Bytes up to which what is kept in memory is written to a file, too, for later runs."""

CHUNK = 2**24
"""Bytes of zeros written at a time, where the system cannot reserve a file's blocks."""

Choice = Literal["auto", "off", "memory", "disk"]


def place(choice: Choice, size: int) -> str:
    """Where something of this many bytes is kept: `memory` or `disk`.

    Args:
        choice: of the recipe; `auto` is memory where there is room.
        size: in bytes.

    Raises:
        TrainError: nowhere.
    """
    room = {"memory": int(SHARE_OF_MEMORY * hardware.available_memory()), "disk": _room_on_disk()}
    tried = ("memory", "disk") if choice == "auto" else (choice,)
    fitting = [name for name in tried if size <= room[name]]
    if fitting:
        return fitting[0]
    given = " and ".join(f"{said(room[name])} of {name}" for name in tried)
    raise TrainError(f"they take {said(size)}, and it may use {given}")


def find(key: str, sizes: Sequence[tuple[int, torch.dtype]]) -> list[Tensor] | None:
    """What an earlier run has kept, mapped from its files; None where there is nothing, or not of these sizes.

    Args:
        key: hash of all that decides on the content.
        sizes: numbers and type of each tensor.
    """
    folder = _root() / key
    files = [folder / f"{number}.bin" for number in range(len(sizes))]
    if not (folder / MANIFEST).is_file() or not all(map(_is_whole, files, sizes)):
        return None
    try:
        os.utime(folder / MANIFEST)
        return [_mapped(file, *size) for file, size in zip(files, sizes, strict=True)]
    except (OSError, RuntimeError):  # another process has just deleted it to make room
        return None


def make(
    key: str | None, sizes: Sequence[tuple[int, torch.dtype]], where: str, fill: Callable[[Sequence[Tensor]], None]
) -> list[Tensor]:
    """Tensors of some sizes, filled by `fill`, kept in memory or in files.

    Args:
        key: hash of all that decides on the content; None leaves nothing for later runs, and is for `memory`.
        sizes: numbers and type of each tensor.
        where: `memory` or `disk`.
        fill: writes into the tensors.

    Raises:
        TrainError: the files cannot be written; no half-written one is left.
    """
    if where == "disk" and key:
        return _write(key, sizes, fill)
    tensors = [torch.empty(numbers, dtype=dtype) for numbers, dtype in sizes]
    fill(tensors)
    if key and sum(map(bytes_of, sizes)) <= min(SHARED, _room_on_disk()):
        with suppress(TrainError):  # only later runs would have gained
            _write(key, sizes, lambda files: [file.copy_(one) for file, one in zip(files, tensors, strict=True)])
    return tensors


def bytes_of(size: tuple[int, torch.dtype]) -> int:
    """Of a tensor with so many numbers of a type."""
    numbers, dtype = size
    return numbers * dtype.itemsize


def said(size: float) -> str:
    """A number of bytes for people."""
    if size >= hardware.GIB:
        return f"{size / hardware.GIB:,.1f} GB"
    return f"{size / 2**20:,.1f} MB" if size >= 0.1 * 2**20 else f"{size / 2**10:,.1f} kB"


def _write(
    key: str, sizes: Sequence[tuple[int, torch.dtype]], fill: Callable[[Sequence[Tensor]], object]
) -> list[Tensor]:
    """Write files beside their place and rename the folder, so that it is there whole or not at all."""
    folder, draft = _root() / key, _root() / f"{key}.{os.getpid()}.tmp"
    try:
        _make_room(sum(map(bytes_of, sizes)))
        draft.mkdir()
        mapped = [_reserved(draft / f"{number}.bin", *size) for number, size in enumerate(sizes)]
        fill(mapped)
        _sync(draft)  # or a power cut would leave whole files of zeros
        (draft / MANIFEST).write_text("{}", encoding="utf-8")
        _put(draft, folder)
    except OSError as wrong:
        raise TrainError(f"{_root()} cannot be written: {wrong.strerror}") from wrong
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return mapped


def _sync(folder: Path) -> None:
    """Wait until the files lie on the disk."""
    for file in folder.iterdir():
        with file.open("rb+") as stream:
            os.fsync(stream.fileno())


def _put(draft: Path, folder: Path) -> None:
    """Rename a folder to where no whole one stands; another process may just have put the same there."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        draft.rename(folder)
    except OSError as wrong:
        if wrong.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise


def _make_room(size: int) -> None:
    """Delete what was used longest ago until `size` more bytes are within the limit, and what killed processes have left."""
    for draft in _root().glob("*.tmp"):
        if not psutil.pid_exists(int(draft.stem.rpartition(".")[2])):
            shutil.rmtree(draft, ignore_errors=True)
    total = size
    for folder in sorted(_root().iterdir(), key=_used, reverse=True):
        total += sum(one.stat().st_size for one in folder.iterdir())
        if total > LIMIT and folder.suffix != ".tmp":
            shutil.rmtree(folder, ignore_errors=True)


def _used(folder: Path) -> float:
    """When files were last used; of those being written, now."""
    manifest = folder / MANIFEST
    return manifest.stat().st_mtime if manifest.is_file() else math.inf


def _room_on_disk() -> int:
    """Bytes that may be written."""
    return min(LIMIT, int(SHARE_OF_DISK * shutil.disk_usage(_root()).free))


def _reserved(file: Path, numbers: int, dtype: torch.dtype) -> Tensor:
    """A new file whose blocks are all there: writing to a mapped file on a full disk would end the process."""
    with file.open("wb") as stream:
        _reserve(stream, numbers * dtype.itemsize)
    return _mapped(file, numbers, dtype)


def _reserve(stream: IO[bytes], size: int) -> None:
    if sys.platform == "linux" and size:
        os.posix_fallocate(stream.fileno(), 0, size)
        return
    for start in range(0, size, CHUNK):
        stream.write(bytes(min(CHUNK, size - start)))


def _mapped(file: Path, numbers: int, dtype: torch.dtype) -> Tensor:
    return (
        torch.from_file(str(file), shared=True, size=numbers, dtype=dtype) if numbers else torch.empty(0, dtype=dtype)
    )


def _is_whole(file: Path, size: tuple[int, torch.dtype]) -> bool:
    return file.is_file() and file.stat().st_size == bytes_of(size)


def _root() -> Path:
    folder = cache_folder() / "frozen"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
