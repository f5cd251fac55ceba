"""Encoded rows: tokenised once, kept on disk as Arrow, keyed by the encoding and the data."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa

from luthier.cache import cache_folder
from luthier.data import cells
from luthier.errors import DataError
from luthier.modalities import Encoded, Modality


@dataclass(frozen=True)
class Rows:
    """The rows of one split, ready for the model.

    `numbers` are the rows' numbers in the source split, `targets` their encoded labels (first axis: rows).
    """

    table: datasets.Dataset
    lengths: np.ndarray
    full_lengths: np.ndarray
    numbers: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, indices: np.ndarray) -> dict[str, list[np.ndarray]]:
        """Model inputs of some rows: for each input a list of 1-d arrays."""
        picked: pa.Table = self._arrow[indices.tolist()]
        return {name: _arrays(picked.column(name)) for name in picked.column_names if name not in _LENGTHS}

    @cached_property
    def _arrow(self) -> datasets.Dataset:
        return self.table.with_format("arrow")

    def keep(self, mask: np.ndarray) -> Rows:
        """Only the rows where `mask` is true."""
        indices = np.flatnonzero(mask)
        parts = (self.lengths, self.full_lengths, self.numbers, self.targets)
        return Rows(self.table.select(indices), *(part[indices] for part in parts))

    def too_long(self, modality: Modality) -> dict[str, Any]:
        """Rows that are longer than the limit, the first by their numbers from 1, and how much they lose, in the modality's unit."""
        lost = modality.sizes(self.full_lengths) - modality.sizes(self.lengths)
        return {
            "rows": int((lost > 0).sum()),
            "lost": lost.sum().item(),
            "examples": np.sort(self.numbers[lost > 0] + 1)[:SHOWN].tolist(),
        }


SHOWN = 5
_LENGTHS = ("length", "full_length")


def encode(
    table: datasets.Dataset,
    columns: Sequence[str],
    targets: np.ndarray,
    numbers: np.ndarray,
    modality: Modality,
    fingerprint: str,
) -> Rows:
    """Encode a split's columns of inputs, or read them from the cache.

    Args:
        table: the split's rows, already cleaned.
        columns: what to encode; of several a row is a tuple of cells.
        targets: encoded labels, one per row.
        numbers: each row's number in the source.
        modality: does the encoding.
        fingerprint: of the rows' content.
    """
    key = hashlib.sha256(f"{fingerprint}|{'|'.join(columns)}|{modality.fingerprint}".encode()).hexdigest()[:32]
    folder = cache_folder() / "encoded"
    folder.mkdir(parents=True, exist_ok=True)
    encoded = _map(
        table.select_columns(list(columns)),
        lambda batch: modality.encode(cells.values(batch, columns)),
        folder / f"{key}.arrow",
        key,
        modality.together,
    )
    return _rows(encoded, numbers, targets)


def encode_anew(rows: Rows, encoder: Callable[[np.ndarray], Encoded], file: Path, together: int) -> Rows:
    """The same rows with other inputs.

    Args:
        rows: which ones.
        encoder: gives some rows, by their places in `rows`, as they are to be.
        file: where they are kept; not there yet.
        together: rows that are encoded at a time.
    """
    places = datasets.Dataset.from_dict({"place": np.arange(len(rows))})
    table = _map(places, lambda batch: encoder(np.asarray(batch["place"])), file, file.stem, together)
    return _rows(table, rows.numbers, rows.targets)


def _rows(table: datasets.Dataset, numbers: np.ndarray, targets: np.ndarray) -> Rows:
    lengths, full = (_numbers(table, name) for name in _LENGTHS)
    return Rows(table, lengths, full, numbers, targets)


def limit_rows(rows: Rows, split: str, action: str, modality: Modality) -> Rows:
    """Do with rows over the limit what the recipe says.

    Raises:
        DataError: `too_long: error` and there are such rows.
    """
    too_long = rows.too_long(modality)
    if not too_long["rows"] or action == "cut":
        return rows
    if action == "error":
        longest = modality.sizes(rows.full_lengths).max()
        raise DataError(
            f"{too_long['rows']} of {len(rows)} {split} rows {'is' if too_long['rows'] == 1 else 'are'} longer than max_length "
            f"{modality.limit:g} (the longest has {longest:g} {modality.unit}), such as row "
            f"{', '.join(map(str, too_long['examples']))}, and the recipe says too_long: error. Raise data.max_length, or write "
            "too_long: cut or drop."
        )
    return rows.keep(rows.full_lengths <= rows.lengths)


def _map(
    table: datasets.Dataset,
    encoder: Callable[[Mapping[str, Sequence[Any]]], Encoded],
    cache: Path,
    key: str,
    together: int,
) -> datasets.Dataset:
    def work(batch: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        encoded = encoder(batch)
        return {**encoded.columns, "length": encoded.lengths, "full_length": encoded.full_lengths}

    if cache.exists() and not _complete(cache, len(table)):
        cache.unlink()
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    return table.map(
        work,
        batched=True,
        batch_size=together,
        remove_columns=table.column_names,
        cache_file_name=str(cache),
        new_fingerprint=key,
        desc="Encoding" if not cache.exists() else None,
    )


def _complete(cache: Path, rows: int) -> bool:
    """Whether a cache file can be read and holds all rows. What is written here appears whole; a copied cache may not be."""
    try:
        return len(datasets.Dataset.from_file(str(cache))) == rows
    except (pa.ArrowInvalid, OSError):
        return False


def _numbers(table: datasets.Dataset, column: str) -> np.ndarray:
    values: np.ndarray = table.with_format("arrow")[column].to_numpy() if len(table) else np.zeros(0, dtype=np.int64)
    return np.asarray(values, dtype=np.int64)


def _arrays(column: pa.ChunkedArray) -> list[np.ndarray]:
    whole = column.combine_chunks()
    values, ends = whole.flatten().to_numpy(), np.cumsum(whole.value_lengths().to_numpy())
    return np.split(values, ends[:-1])
