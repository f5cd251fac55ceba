"""What rows are, whatever their file is called or when it was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from luthier.data.labels import arrow_type, is_text
from luthier.data.tables import scan


def of(splits: Mapping[str, datasets.Dataset]) -> str:
    """Fingerprint of several splits, in whatever order they come: 32 hexadecimal digits."""
    parts = {name: of_dataset(dataset) for name, dataset in splits.items()}
    return _short(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode())


def of_dataset(dataset: datasets.Dataset) -> str:
    """Fingerprint of the columns and cells of a split: the same rows in the same order give the same one from any format."""
    digest = hashlib.blake2b(digest_size=16)
    for column in sorted(dataset.column_names):
        digest.update(json.dumps([column, len(dataset)], ensure_ascii=False).encode())
        text = is_text(arrow_type(dataset, column))
        for table in scan(dataset, column):
            cells = table[column].combine_chunks()
            digest.update(_strings(cells) if text else json.dumps(cells.to_pylist(), default=str).encode())
    return digest.hexdigest()


def of_indices(indices: np.ndarray) -> str:
    """Fingerprint of row numbers."""
    return _short(np.ascontiguousarray(indices, dtype="<i8").tobytes())


def of_file(path: Path | str) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _short(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _strings(cells: pa.Array) -> bytes:
    """Lengths in bytes (-1 for null), then all characters: no two different columns look the same."""
    lengths = np.asarray(pc.fill_null(pc.binary_length(cells).cast(pa.int64()), -1), dtype="<i8")
    return lengths.tobytes() + "".join(pc.drop_null(cells).to_pylist()).encode()
