"""What the commands of `luthier data` do; results are printed on stdout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from luthier.counted import many
from luthier.errors import DataError, RecipeError
from luthier.show import Console, print_table


def preview(path: Path, overrides: list[str], rows: int, epochs: int, folder: Path) -> None:
    """`luthier data preview`: training rows as the model will see them."""
    from luthier.augment import make_ready, refuse_others
    from luthier.augment.preview import copied, show
    from luthier.data import cells
    from luthier.prepare import prepare
    from luthier.recipe.reading import read

    recipe = read(path, overrides)
    chosen = recipe.data.augment
    if not chosen:
        raise RecipeError(
            "data.augment names nothing, so rows stay as they are. Write, for example, data.augment=[delete,swap]."
        )
    data = prepare(recipe)
    table = data.tables["train"]
    media = cells.media_of(data.found.medium)
    refuse_others(chosen, media)
    make_ready(chosen, {column: table.rows[column] for column in data.found.inputs}, media, Console().bar)
    values = cells.values(table.rows.select(range(min(rows, len(table.rows)))), data.found.inputs)
    first = zip(table.numbers[:rows].tolist(), table.labels, values, strict=False)
    shown = [copied(chosen, media, row, recipe.seed, epochs) for row in first]
    print(show(media, shown, folder))


def write_review(run: Path, to: str, file: Path, limit: int) -> None:
    """`luthier data review --to`: rows for people to look at."""
    from luthier.folder import RunFolder
    from luthier.review import write_tasks

    facts: dict[str, Any] = RunFolder(run).read_json("data.json").get("labels") or {}
    written = write_tasks(run, to, file, limit, facts.get("suspects", ()))
    print(
        f"Wrote {written.mistakes} mistakes and {written.suspects} suspect rows to {', '.join(map(str, written.files))}."
    )
    print(written.next_step)


def read_review(run: Path, export: Path, folder: Path) -> None:
    """`luthier data review --from`: the corrected rows."""
    from luthier.review import read_corrections

    done = read_corrections(export, run, folder)
    for note in done.notes:
        print(note)
    print(
        f"{many(done.reviewed, 'answer')}, {many(len(done.changes), 'label')} changed, {many(done.unanswered, 'row')} without an answer."
    )
    print(f"Next: data.files in the recipe: {done.files}")


def diff(before: Path, after: Path) -> None:
    """`luthier data diff`."""
    from luthier.versions import difference

    found = difference(before, after)
    if found.same:
        print("Both runs have the same rows, labels and splits.")
        return
    kinds = ("added", "removed", "relabelled", "moved")
    print_table("Rows that differ", ["change", "rows"], [[kind, f"{getattr(found, kind):,}"] for kind in kinds])
    for kind, examples in found.examples.items():
        for example in examples:
            sides = ", ".join(f"{side}: {at['split']} row {at['row']} ({at['label']})" for side, at in example.items())
            print(f"{kind}: {sides}")


def export(source: Path, folder: Path, dvc: bool) -> None:
    """`luthier data export`."""
    from luthier.versions import export as write

    sizes = write(source, folder, dvc)
    print(
        f"Wrote {', '.join(many(rows, f'{name} row') for name, rows in sizes.items())} to {folder} (parquet, and {folder}/datasets)."
    )
    if dvc:
        print("Wrote dvc.yaml. Next: dvc repro")


def review(run: Path, to: str, answers: Path | None, file: Path, limit: int) -> None:
    """`luthier data review`, in either direction."""
    if bool(to) == bool(answers):
        raise DataError("Give --to with the tool that people use, or --from with what came back from it.")
    if answers:
        read_review(run, answers, file)
    else:
        write_review(run, to, file, limit)
