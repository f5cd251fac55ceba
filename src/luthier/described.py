"""What is known of the scored rows beside what the model reads: their other columns, their length and language."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from luthier.data import languages, media
from luthier.data.dates import moments
from luthier.errors import DataError
from luthier.evaluate.records import COLUMNS, ROW, SPLIT
from luthier.folder import RunFolder

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

    from luthier.modalities import Modality
    from luthier.prepare import Prepared

FEW = 50
"""Different texts up to which a column is kept; more are not groups of rows."""


def keep(folder: RunFolder, data: Prepared, modality: Modality) -> None:
    """Write columns.parquet: the held-out rows in the order of predictions.parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = [_described(data, name, modality) for name in ("validation", "test") if name in data.rows]
    if parts:
        whole = pa.concat_tables(parts, promote_options="permissive")
        grouped = {name: _groups(name, whole[name]) for name in whole.column_names}
        kept = pa.table({name: values for name, values in grouped.items() if values is not None})
        folder.replace(COLUMNS, lambda file: pq.write_table(kept, file))


def _described(data: Prepared, split: str, modality: Modality) -> pa.Table:
    import pyarrow as pa

    rows, table = data.rows[split], data.tables[split].rows
    named = data.facts["columns"]["label"]
    read = {*data.found.encoded, *(named if isinstance(named, list) else [named])}
    return pa.table(
        {
            ROW: pa.array(rows.numbers + 1),
            SPLIT: pa.array([split] * len(rows)),
            **{name: values for name, values in _columns(table) if name not in read},
            f"length ({data.facts['unit']})": pa.array(modality.sizes(rows.full_lengths)),
            **_languages(data, table),
        }
    )


def _columns(table: datasets.Dataset) -> Iterator[tuple[str, Any]]:
    """Columns of numbers, times, truth values and texts."""
    import datasets
    import pyarrow as pa

    from luthier.data.looked import as_read

    shown = as_read(table)
    for name, feature in shown.features.items():
        kind = getattr(feature, "pa_type", None)
        if isinstance(feature, datasets.ClassLabel):
            yield name, pa.array([None if one is None or one < 0 else feature.int2str(one) for one in shown[name]])
        elif kind is not None and any(holds(kind) for holds in _kinds()):
            yield name, shown.select_columns([name]).with_format("arrow")[:].column(name)


def _kinds() -> tuple[Callable[[pa.DataType], bool], ...]:
    from pyarrow import types

    texts = types.is_string, types.is_large_string
    return *texts, types.is_integer, types.is_floating, types.is_temporal, types.is_boolean


def _groups(name: str, values: pa.ChunkedArray) -> Any:
    """A column by whose values rows can be grouped; None of a column of many different texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_date(values.type):
        return values.cast(pa.timestamp("s"))
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return values
    ordered = _in_order(name, values)
    return values.cast(pa.string()) if ordered is None and pc.count_distinct(values).as_py() <= FEW else ordered


def _in_order(name: str, values: pa.ChunkedArray) -> Any:
    """Texts that are all numbers or all dates as what they say, for a table of text has no others; None of other texts."""
    import pandas as pd
    import pyarrow as pa

    cells = pd.Series(values.to_pylist(), dtype=object)
    known = cells[cells.notna() & (cells.str.strip() != "")]
    try:
        found = moments(known.tolist(), name, known.index.to_numpy())
    except DataError:
        return None
    found = found.astype(float) if found.dtype == object else found  # whole numbers of twenty digits
    return pa.Array.from_pandas(pd.Series(found, index=known.index).reindex(cells.index)) if len(known) else None


def _languages(data: Prepared, table: datasets.Dataset) -> dict[str, Any]:
    """The language of each row, where the training rows have several."""
    import pyarrow as pa

    if data.found.medium in media.MEDIA or len(languages.shares(data.facts.get("languages") or {})) < 2:
        return {}
    return {"language (detected)": pa.array(languages.of(table[data.found.said]))}
