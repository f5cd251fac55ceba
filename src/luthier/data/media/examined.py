"""All images or sounds of a column decoded once: which cannot be used and why, what they measure, and which are the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import pyarrow as pa

from luthier.data.duplicates import Advance, silent
from luthier.data.media import Look, Medium
from luthier.data.media.stored import is_missing, path_of
from luthier.data.tables import cached
from luthier.errors import DataError

CHUNK = 256
"""Rows decoded between two steps of the progress."""

LAYOUT = 1
"""Part of every key; raise it when a medium sees something else in the same file."""

THREADS = min(8, os.cpu_count() or 1)
"""Pillow and libsndfile decode without Python's lock."""


@dataclass(frozen=True, eq=False)
class Examined:
    """What decoding a column showed, row by row."""

    content: np.ndarray
    """(rows,) str objects: `Look.content`, empty for rows that cannot be used."""
    alike: np.ndarray | None
    """(rows,) uint64: perceptual hashes, 0 for rows without one; None for a medium that has none."""
    reasons: Mapping[int, str]
    """Why a row cannot be used, as a clause, by its number."""
    remarks: Mapping[int, str]
    """What is worth knowing of rows that can be used."""
    facts: Mapping[str, np.ndarray]
    """(rows,) float64 for each of the medium's measures, NaN for rows that cannot be used."""


def examine(dataset: datasets.Dataset, column: str, medium: Medium, advance: Advance = silent) -> Examined:
    """Decode every row, or read from the cache what decoding showed.

    The cache knows files by path, size, time of change and permissions, and bytes by their hash.

    Args:
        dataset: rows; passed through in batches.
        column: of the medium.
        medium: decodes the values.
        advance: told of progress, each row once.

    Raises:
        ExtraError: the package that decodes is not installed.
        DiskFullError: the cache folder has no room.
    """
    told = 0

    def tell(rows: int) -> None:
        nonlocal told
        told += rows
        advance(rows)

    key = _key(dataset, column, medium)
    kept = cached(key, f"decoding {column}", lambda: _batches(dataset, column, medium, tell))
    advance(len(dataset) - told)
    return _examined(kept.with_format("arrow")[:], medium)


def _chunks(dataset: datasets.Dataset, column: str) -> Iterator[list[Any]]:
    """The stored values; datasets' own decoding is not asked for."""
    for table in dataset.select_columns([column]).with_format("arrow").iter(batch_size=CHUNK):
        yield table[column].to_pylist()


def _key(dataset: datasets.Dataset, column: str, medium: Medium) -> str:
    digest = hashlib.blake2b(f"{LAYOUT} {medium.name} {len(dataset)} ".encode(), digest_size=16)
    for values in _chunks(dataset, column):
        for value in values:
            digest.update(_mark(value))
    return f"{medium.name}-{digest.hexdigest()}"


def _mark(value: Any) -> bytes:
    """What changes when the stored file does."""
    if isinstance(value, Mapping) and value.get("bytes") is not None:
        return hashlib.blake2b(value["bytes"], digest_size=16).digest()
    path = path_of(value)
    try:
        facts = os.stat(path or "")  # noqa: PTH116  a Path for each of a million rows takes seconds
    except (OSError, ValueError):
        return repr((path, None)).encode()
    return repr((path, facts.st_size, facts.st_mtime_ns, facts.st_mode)).encode()  # who may read it is in the mode


def _batches(
    dataset: datasets.Dataset, column: str, medium: Medium, advance: Callable[[int], object]
) -> Iterator[pa.RecordBatch]:
    schema = _schema(medium)
    yield pa.RecordBatch.from_pylist([], schema)
    with ThreadPoolExecutor(THREADS) as pool:
        for values in _chunks(dataset, column):
            rows = list(pool.map(lambda value: _row(value, medium), values))
            yield pa.RecordBatch.from_pylist(rows, schema)
            advance(len(values))


def _schema(medium: Medium) -> pa.Schema:
    text = {name: pa.string() for name in ("content", "reason", "remark")}
    return pa.schema({**text, "alike": pa.uint64(), **{name: pa.float64() for name in medium.measures}})


def _row(value: Any, medium: Medium) -> dict[str, Any]:
    if is_missing(value):
        return {"content": "", "reason": f"no {medium.name}"}
    try:
        look: Look = medium.look(value)
    except DataError as wrong:
        return {"content": "", "reason": str(wrong)}
    return {"content": look.content, "remark": look.remark, "alike": look.alike, **look.facts}


def _examined(table: pa.Table, medium: Medium) -> Examined:
    hashes = table["alike"]
    has_none = len(hashes) == hashes.null_count
    return Examined(
        table["content"].to_numpy(),
        None if has_none else hashes.fill_null(0).to_numpy(),
        _sentences(table["reason"]),
        _sentences(table["remark"]),
        {name: table[name].to_numpy() for name in medium.measures},
    )


def _sentences(column: pa.ChunkedArray) -> dict[int, str]:
    return {row: text for row, text in enumerate(column.to_pylist()) if text}
