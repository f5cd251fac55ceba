"""Tables kept as Arrow files in the cache and memory mapped, so that rows need not fit into memory."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from luthier.cache import cache_folder
from luthier.errors import DiskFullError

LAYOUT = 1
"""Part of every key; raise it when a reader changes what it makes of the same file."""

BATCH = 10_000
"""Rows written or scanned at once."""


def key_of(path: Path, *settings: Any) -> str:
    """Key of what is made from a file: its place, size, time of change and how it is read."""
    facts = path.stat()
    parts = [LAYOUT, str(path.resolve()), facts.st_size, facts.st_mtime_ns, *settings]
    return hashlib.blake2b(
        json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass"), digest_size=16
    ).hexdigest()


def cached(key: str, title: str, batches: Callable[[], Iterable[pa.RecordBatch]]) -> datasets.Dataset:
    """The table kept under `key`, made from `batches()` when it is not there yet.

    Args:
        key: names the Arrow file.
        title: said beside the progress bar.
        batches: record batches of one schema, at least one.
    """
    target = cache_folder() / "tables" / f"{key}.arrow"
    if not target.exists():
        _write(target, _shown(title, batches()))
    return datasets.Dataset.from_file(str(target))


def scan(dataset: datasets.Dataset, *columns: str) -> Iterator[pa.Table]:
    """Some columns of a dataset as Arrow tables of `BATCH` rows."""
    yield from dataset.select_columns(list(columns)).with_format("arrow").iter(batch_size=BATCH)


def _write(target: Path, batches: Iterable[pa.RecordBatch]) -> None:
    """Write beside the target, then rename: another process never sees half a table."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, suffix=".tmp")
    os.close(handle)
    part = Path(name)
    try:
        with pa.OSFile(name, "wb") as sink:
            rest = iter(batches)
            first = next(rest)
            with pa.ipc.new_stream(sink, first.schema) as writer:
                writer.write_batch(first)
                for batch in rest:
                    writer.write_batch(batch)
        part.replace(target)
    except OSError as failed:
        if failed.errno != errno.ENOSPC:
            raise
        raise DiskFullError(
            f"The disk is full: {target.parent} has no room for the rows. Free some space there, or set LUTHIER_CACHE to a folder "
            "on another disk."
        ) from failed
    finally:
        part.unlink(missing_ok=True)


def _shown(title: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    columns = (TextColumn("{task.description}"), TextColumn("{task.completed:,} rows"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(title)
        for batch in batches:
            yield batch
            bar.advance(task, batch.num_rows)
