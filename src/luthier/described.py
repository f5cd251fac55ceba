"""What is known of the scored rows beside what the model reads: their other columns, their length and language."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from luthier.data import languages, media
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
        folder.replace(COLUMNS, lambda file: pq.write_table(whole, file))


def _described(data: Prepared, split: str, modality: Modality) -> pa.Table:
    import pyarrow as pa

    rows, table = data.rows[split], data.tables[split].rows
    named = data.facts["columns"]["label"]
    read = {*data.found.encoded, *(named if isinstance(named, list) else [named])}
    return pa.table(
        {
            ROW: pa.array(rows.numbers + 1),
            SPLIT: pa.array([split] * len(rows)),
            **{name: values for name, values in _groups(table) if name not in read},
            f"length ({data.facts['unit']})": pa.array(modality.sizes(rows.full_lengths)),
            **_languages(data, table),
        }
    )


def _groups(table: datasets.Dataset) -> Iterator[tuple[str, Any]]:
    """Columns by whose values rows can be grouped: numbers, times, truth values, and texts where few are different."""
    import datasets
    import pyarrow as pa
    import pyarrow.compute as pc

    from luthier.data.looked import as_read

    shown = as_read(table)
    for name, feature in shown.features.items():
        if isinstance(feature, datasets.ClassLabel):
            yield name, pa.array([None if one is None or one < 0 else feature.int2str(one) for one in shown[name]])
            continue
        kind = getattr(feature, "pa_type", None)
        if kind is None:
            continue
        values = shown.select_columns([name]).with_format("arrow")[:].column(name)
        texts = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if numbers or pa.types.is_temporal(kind) or pa.types.is_boolean(kind):
            yield name, values
        elif texts and pc.count_distinct(values).as_py() <= FEW:
            yield name, values.cast(pa.string())


def _languages(data: Prepared, table: datasets.Dataset) -> dict[str, Any]:
    """The language of each row, where the training rows have several."""
    import pyarrow as pa

    if data.found.medium in media.MEDIA or len(languages.shares(data.facts.get("languages") or {})) < 2:
        return {}
    return {"language (detected)": pa.array(languages.of(table[data.found.said]))}
