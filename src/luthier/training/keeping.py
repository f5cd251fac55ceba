"""Where the outputs of frozen parts are kept: in memory, or in files of the cache folder that later runs find again.

The files of one split are a folder named after the hash of all that decides on their content. The least recently used are
deleted first, as soon as all of them are larger than `LIMIT`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from luthier import hardware
from luthier.cache import cache_folder
from luthier.folder import MANIFEST

LIMIT = 20 * 2**30
"""Bytes of all files together."""
SHARE_OF_DISK = 0.5
"""Of what is free on the disk, the most that one split may take."""
SHARE_OF_MEMORY = 0.4
"""Of the memory that is available, the most that one split may take."""
SHARED = 256 * 2**20
"""Bytes up to which what is kept in memory is written to a file, too, for later runs."""

Choice = Literal["auto", "off", "memory", "disk"]


def place(choice: Choice, size: int) -> str:
    """Where something of this many bytes is kept: `memory` or `disk`, or a sentence on why nowhere.

    Args:
        choice: of the recipe; `auto` is memory where there is room.
        size: in bytes.
    """
    memory = int(SHARE_OF_MEMORY * hardware.available_memory())
    disk = min(LIMIT, int(SHARE_OF_DISK * shutil.disk_usage(_root()).free))
    room = {"memory": memory, "disk": disk}
    tried = ("memory", "disk") if choice == "auto" else (choice,)
    fitting = [name for name in tried if size <= room[name]]
    if fitting:
        return fitting[0]
    given = " and ".join(f"{said(room[name])} of {name}" for name in tried)
    return f"they take {said(size)}, and it may use {given}"


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
    os.utime(folder / MANIFEST)
    return [_mapped(file, *size) for file, size in zip(files, sizes, strict=True)]


def make(
    key: str, sizes: Sequence[tuple[int, torch.dtype]], where: str, fill: Callable[[Sequence[Tensor]], None]
) -> list[Tensor]:
    """Tensors of some sizes, filled by `fill`, kept in memory or in files.

    Args:
        key: hash of all that decides on the content.
        sizes: numbers and type of each tensor.
        where: `memory` or `disk`.
        fill: writes into the tensors.

    Raises:
        OSError: the disk is full; no half-written file is left.
    """
    total = sum(map(bytes_of, sizes))
    if where == "memory":
        tensors = [torch.empty(numbers, dtype=dtype) for numbers, dtype in sizes]
        fill(tensors)
        if total <= SHARED and total <= place_on_disk():
            _write(key, sizes, lambda files: [file.copy_(one) for file, one in zip(files, tensors, strict=True)])
        return tensors
    return _write(key, sizes, fill)


def place_on_disk() -> int:
    """Bytes that may be written."""
    return min(LIMIT, int(SHARE_OF_DISK * shutil.disk_usage(_root()).free))


def bytes_of(size: tuple[int, torch.dtype]) -> int:
    """Of a tensor with so many numbers of a type."""
    numbers, dtype = size
    return numbers * dtype.itemsize


def said(size: int) -> str:
    """A number of bytes for people."""
    return f"{size / 2**20:,.1f} MB"


def _write(
    key: str, sizes: Sequence[tuple[int, torch.dtype]], fill: Callable[[Sequence[Tensor]], object]
) -> list[Tensor]:
    """Write files beside their place and rename the folder, so that it is there whole or not at all."""
    folder, draft = _root() / key, _root() / f"{key}.{os.getpid()}.tmp"
    _make_room(sum(map(bytes_of, sizes)))
    try:
        draft.mkdir()
        mapped = [_reserved(draft / f"{number}.bin", *size) for number, size in enumerate(sizes)]
        fill(mapped)
        (draft / MANIFEST).write_text("{}", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return mapped


def _make_room(size: int) -> None:
    """Delete what was used longest ago until `size` more bytes are within the limit."""
    kept = sorted(_root().glob(f"*/{MANIFEST}"), key=lambda file: file.stat().st_mtime, reverse=True)
    total = size
    for file in kept:
        total += sum(one.stat().st_size for one in file.parent.iterdir())
        if total > LIMIT:
            shutil.rmtree(file.parent, ignore_errors=True)


def _reserved(file: Path, numbers: int, dtype: torch.dtype) -> Tensor:
    """A new file whose blocks are all there: writing to a mapped file on a full disk would end the process."""
    with file.open("wb") as stream:
        if numbers:
            os.posix_fallocate(stream.fileno(), 0, numbers * dtype.itemsize)
    return _mapped(file, numbers, dtype)


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
