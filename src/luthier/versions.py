"""Versions of the data: what a run was made of, row by row, and what changed from one run to another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.data.changes import as_csv
from luthier.data.normal import mark
from luthier.errors import DataError, RecipeError, RunError
from luthier.folder import RunFolder

if TYPE_CHECKING:
    import datasets
    import pandas as pd
    import pyarrow as pa

    from luthier.data.found import Found
    from luthier.data.table import Table
    from luthier.prepare import Prepared

ROWS = "rows.parquet"
SHOWN = 10


def keep(folder: RunFolder, data: Prepared) -> None:
    """Write what was done to rows, and which rows the run uses."""
    import pyarrow.parquet as pq

    folder.write("changes.csv", as_csv(data.changes))
    folder.replace(ROWS, lambda file: pq.write_table(manifest(data), file))


def manifest(data: Prepared) -> pa.Table:
    """Every row that a run uses: its split, its number in the source (from 1), the hash of its text and its label as JSON."""
    import pyarrow as pa

    splits, rows, texts, labels = [], [], [], []
    for name, table in data.tables.items():
        splits += [name] * len(table.labels)
        rows += (table.numbers + 1).tolist()
        texts += [mark(text).hex() for text in table.rows[data.found.compared]]
        labels += [json.dumps(label, ensure_ascii=False) for label in table.labels]
    return pa.table({"split": splits, "row": rows, "text": texts, "label": labels})


@dataclass(frozen=True)
class Difference:
    """What is not the same in the data of two runs; rows are told apart by their texts, normalised."""

    added: int
    removed: int
    relabelled: int
    moved: int
    """Rows that are in another split."""
    examples: dict[str, list[dict[str, Any]]]
    """Up to ten rows of each kind, with their splits, numbers and labels."""

    @property
    def same(self) -> bool:
        """Whether there is no difference."""
        return not (self.added or self.removed or self.relabelled or self.moved)


def difference(before: str | Path, after: str | Path) -> Difference:
    """Compare the rows of two runs.

    Args:
        before: a run folder.
        after: another one.

    Raises:
        RunError: one of them is no run, or of a luthier that did not keep its rows.
    """
    both = _joined(_rows(before), _rows(after))
    left, right = both["row_before"].notna(), both["row_after"].notna()
    kinds = {
        "added": both[~left],
        "removed": both[~right],
        "relabelled": both[left & right & (both["label_before"] != both["label_after"])],
        "moved": both[left & right & (both["split_before"] != both["split_after"])],
    }
    return Difference(
        **{kind: len(rows) for kind, rows in kinds.items()},
        examples={kind: [_told(row) for row in rows.head(SHOWN).to_dict("records")] for kind, rows in kinds.items()},
    )


def export(source: str | Path, folder: str | Path, dvc: bool = False) -> dict[str, int]:
    """Write cleaned splits as parquet files and as a folder that `datasets.load_from_disk` opens.

    Args:
        source: a recipe, or a run, whose files must still be as they were.
        folder: made anew.
        dvc: write into the current folder dvc.yaml too, with which `dvc repro` does the same when recipe or files have changed.

    Returns:
        Rows of each split.

    Raises:
        DataError: the folder or dvc.yaml is there already, or the data have changed since the run.
        RecipeError: for `dvc`, the source is no recipe file.
    """
    import datasets

    from luthier.judged import prepare_judged
    from luthier.recipe.reading import read

    place, given = Path(folder), Path(source)
    if place.exists():
        raise DataError(f"{place} is there already; give another folder.")
    data = prepare_judged(read(given / "recipe.yaml" if given.is_dir() else given))
    if given.is_dir() and data.facts["fingerprint"] != RunFolder(given).read_json("data.json")["fingerprint"]:
        raise DataError(f"The files of {given} have changed since it was trained; restore them, or train anew.")
    if dvc:
        _write_stage(given, place, data.facts["files"])
    splits = datasets.DatasetDict({name: _labelled(table, data.found) for name, table in data.tables.items()})
    splits.save_to_disk(str(place / "datasets"))
    for name, rows in splits.items():
        rows.to_parquet(str(place / f"{name}.parquet"))
    return {name: len(rows) for name, rows in splits.items()}


def _rows(run: str | Path) -> pd.DataFrame:
    import pandas as pd

    file = Path(run) / ROWS
    if not file.is_file():
        raise RunError(
            f"{run} has no {ROWS}: it is no run, or one that was made before luthier kept the rows of its data."
        )
    return pd.read_parquet(file)


def _joined(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Rows with the same text side by side: copies in the order of their labels and splits, so that their order in the file is nothing."""
    before, after = (rows.sort_values(["text", "label", "split", "row"]) for rows in (before, after))
    for rows in (before, after):
        rows["copy"] = rows.groupby("text").cumcount()
    both = before.merge(after, on=["text", "copy"], how="outer", suffixes=("_before", "_after"))
    return both.sort_values(["row_before", "row_after"])


def _told(row: Mapping[Any, Any]) -> dict[str, Any]:
    sides = {}
    for side in ("before", "after"):
        if row[f"row_{side}"] == row[f"row_{side}"]:
            label = json.loads(row[f"label_{side}"])
            sides[side] = {"split": row[f"split_{side}"], "row": int(row[f"row_{side}"]), "label": label}
    return sides


def _labelled(table: Table, found: Found) -> datasets.Dataset:
    """The rows with the labels that a run uses, where they were changed."""
    from luthier.data import columns, looked
    from luthier.data.relabel import relabel

    pairs = zip(table.labels, columns.labels(table.rows, found), strict=True)
    changed = {place: label for place, (label, before) in enumerate(pairs) if label != before}
    names = {place: label if isinstance(label, list) else [str(label)] for place, label in changed.items()}
    return relabel(looked.as_read(table.rows), found, names)


def _write_stage(recipe: Path, folder: Path, files: Mapping[str, Any]) -> None:
    """A DVC pipeline of one stage in the current folder; DVC clears the stage's output before it runs it."""
    from luthier.recipe.reading import dump

    if recipe.is_dir():
        raise RecipeError(
            f"A DVC stage begins with a recipe, and {recipe} is a run; give the recipe that it was made with."
        )
    sources = sorted({str(file) for parts in files.values() for file in parts if Path(str(file)).exists()})
    command = f"luthier data export {recipe} --output {folder}"
    stage = {"cmd": command, "deps": [str(recipe), *sources], "outs": [str(folder)]}
    text = dump({"stages": {folder.name: stage}})
    target = Path("dvc.yaml")
    if target.exists():
        raise DataError(f"{target} is there already; add this stage to it by hand:\n{text}")
    target.write_text(text, encoding="utf-8")
