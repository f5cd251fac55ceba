"""Rows that came after training: whether a run's model still sees what it has learned from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets

from luthier.data import cells, looked, media, shift, source
from luthier.data.columns import column_of
from luthier.data.found import Found
from luthier.data.normal import normal
from luthier.embed import embed
from luthier.models.open import find
from luthier.prepare import labelled_rows, prepare
from luthier.recipe.data import Data
from luthier.run import Run
from luthier.shifted import frequencies

Advance = Callable[[int], None]


def against(run: Run, file: str, advance: Advance = lambda rows: None) -> shift.Shift:
    """Compare the rows of a file with a run's training rows, by the vectors of its base model and by labels where it has them.

    Args:
        run: whose files must still be there.
        file: with the columns of the run; the label's may be missing.
        advance: told how many rows are done.

    Raises:
        DataError: the file or its text column is not there, or the run's files are gone.
    """
    recipe, columns = run.recipe, run.data["columns"]
    data = prepare(recipe)
    table = data.tables["train"]
    kept = table.pick(table.firsts)
    base = find(recipe.model, recipe.revision, recipe.trust_remote_code)
    texts, labels = _rows(file, columns, recipe.data)
    others = _distinct(texts, data.found)
    training, later = (
        embed(base, rows, data.found, data.limit, recipe.train.device, advance, data.target)
        for rows in (kept.rows, others)
    )
    known = frequencies(recipe, table.labels, labels)
    return shift.compare(Path(file).name, training, later, known, recipe.seed)


def _distinct(values: Sequence[Any], found: Found) -> datasets.Dataset:
    """Rows of which no two say the same."""
    distinct = {normal(cells.joined(value)): value for value in values}
    rows = datasets.Dataset.from_dict(cells.split(distinct.values(), found.inputs))
    if found.medium in media.MEDIA:
        return looked.look({"later": rows}, replace(found, content="")).splits["later"]
    return rows.add_column(found.content, list(distinct)) if found.content else rows


def _rows(file: str, columns: dict[str, Any], options: Data) -> tuple[list[Any], Sequence[Any] | None]:
    """Inputs, and labels where the file has them."""
    wanted = columns["label"] if isinstance(columns["label"], list) else [columns["label"]]
    rows = next(iter(source.read(Data(files=file, encoding=options.encoding)).splits.values()))
    if set(wanted) <= set(rows.column_names) and any(value for name in wanted for value in column_of(rows, name, file)):
        return labelled_rows(file, columns, options)
    read = cells.read_by(columns)
    values = cells.values({name: column_of(rows, name, file) for name in read}, read)
    return [value for value in values if cells.joined(value).strip()], None
