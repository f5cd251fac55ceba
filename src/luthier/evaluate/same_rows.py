"""The rows on which models are compared: put in one order, whatever order each run has them in, and refused where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from luthier.errors import RunError
from luthier.evaluate.bootstrap import Array
from luthier.evaluate.judge import PerRow, take
from luthier.evaluate.records import Records

MANIFEST = "rows.parquet"
"""Every row of a run: split, number, hash of what it says, and label (`luthier.versions.manifest`)."""


@dataclass(frozen=True)
class Ordered:
    """Rows of a split in an order that depends on what they say and on nothing else."""

    keys: tuple[tuple[str, str], ...]
    """Hash and label of each; copies stand together, in the order of their numbers."""
    places: Array
    """Where each stands in the order of the run, (rows,)."""

    def sort(self, values: PerRow) -> PerRow:
        """Values a row, from the order of the run to this one."""
        return take(values, self.places)


@dataclass(frozen=True)
class Scored:
    """What a run says of the rows of a split, in that order."""

    rows: Ordered
    table: pd.DataFrame
    """Of predictions.parquet."""
    targets: Any
    scores: Any


def order(manifest: pd.DataFrame, split: str, numbers: Sequence[int]) -> Ordered:
    """The order of some rows.

    Args:
        manifest: with the columns `split`, `row`, `text` (a hash) and `label`.
        split: of the rows.
        numbers: of the rows as they come, from 1.
    """
    known = manifest[manifest["split"] == split].set_index("row").loc[list(numbers)]
    texts, labels = known["text"].to_numpy(dtype=str), known["label"].to_numpy(dtype=str)
    places = np.lexsort((np.asarray(numbers), labels, texts))
    return Ordered(tuple(zip(texts[places].tolist(), labels[places].tolist(), strict=True)), places)


def scored(records: Records, split: str) -> Scored | None:
    """What a run says of a split; None where it has no such rows.

    Raises:
        RunError: the run has not scored any rows, or has not kept which rows it has.
    """
    folder = records.folder
    for name in (MANIFEST, "predictions.parquet"):
        if not (folder / name).is_file():
            raise RunError(
                f"{folder} has no {name}, so its rows cannot be compared one by one: it has no held-out rows, or an older luthier made it. "
                "Train it anew with rows to test on."
            )
    table = pd.read_parquet(folder / "predictions.parquet")
    table = table[table["split"] == split]
    if table.empty:
        return None
    rows = order(pd.read_parquet(folder / MANIFEST), split, table["row"].tolist())
    table = table.iloc[rows.places].reset_index(drop=True)
    columns = {str(name): table[name].tolist() for name in table}
    return Scored(rows, table, records.target.encode(columns["label"]), records.target.restored(columns))


def refuse_others(first: Records, second: Records) -> None:
    """Make sure that two runs predict the same.

    Raises:
        RunError: they do not; with both and what differs.
    """
    kinds = [str(records.data["target"].get("kind")) for records in (first, second)]
    names = [_names(records) for records in (first, second)]
    figures = [list(records.target.judge.figures) for records in (first, second)]
    pair = f"{first.folder} and {second.folder}"
    if type(first.target.judge) is not type(second.target.judge) or kinds[0] != kinds[1]:
        raise RunError(
            f"{pair} predict different things ({first.target.about.kind}; {second.target.about.kind}), and no figure holds for both. "
            "Compare runs of one task."
        )
    if names[0] != names[1] or figures[0] != figures[1]:
        told = " and ".join(", ".join(one[:6]) or "none" for one in names)
        raise RunError(
            f"{pair} have different labels ({told}), so their figures are not about the same question. Train both with the same labels; "
            f"`luthier data diff {first.folder} {second.folder}` shows the rows."
        )


def refuse_other_rows(first: Records, second: Records, one: Ordered, other: Ordered) -> None:
    """Make sure that two runs were scored on the same rows.

    Raises:
        RunError: they were not; with how many differ.
    """
    if one.keys == other.keys:
        return
    shared = len(set(one.keys) & set(other.keys))
    raise RunError(
        f"{first.folder} and {second.folder} were scored on different {first.held_out} rows ({len(one.keys)} and {len(other.keys)}, "
        f"of which {shared} are the same), so a difference of their figures says nothing about the models. "
        f"`luthier data diff {first.folder} {second.folder}` shows which; give both the same data.files.test, or the same "
        "data.split and seed."
    )


def _names(records: Records) -> list[str]:
    return [str(name) for name in records.target.model_config.get("id2label", {}).values()]
