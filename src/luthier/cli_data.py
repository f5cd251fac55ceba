"""The commands of `luthier data`, and the arguments that all commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

data = typer.Typer(
    help="Look at the rows, and send them to people and back.", no_args_is_help=True, rich_markup_mode=None
)
RecipePath = Annotated[Path, typer.Argument(help="A recipe, as luthier init writes one.")]
RunPath = Annotated[Path, typer.Argument(help="The folder of a run, as luthier train writes one: the recipe's output.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Keys laid over the recipe: method=lora train.epochs=5"),
]


@data.command()
def preview(
    recipe: RecipePath,
    overrides: Overrides = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="How many training rows to show.")] = 5,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="How many epochs of each.")] = 2,
    folder: Annotated[Path, typer.Option("--to", help="Where images and sounds are written.")] = Path("preview"),
) -> None:
    """Show training rows as augmentation changes them."""
    from luthier import data_commands

    data_commands.preview(recipe, overrides or [], rows, epochs, folder)


@data.command()
def review(
    run: RunPath,
    file: Annotated[Path, typer.Argument(help="Tasks to write, or with --from the folder for the corrected rows.")],
    to: Annotated[str, typer.Option("--to", help="label-studio or prodigy.")] = "",
    answers: Annotated[Path | None, typer.Option("--from", help="The export with people's answers.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most tasks.")] = 200,
) -> None:
    """Write suspect rows and the model's worst mistakes as tasks for people, or read their answers back."""
    from luthier import data_commands

    data_commands.review(run, to, answers, file, limit)


@data.command()
def diff(before: Path, after: Path) -> None:
    """Say which rows were added, removed, relabelled or moved from one run to another."""
    from luthier import data_commands

    data_commands.diff(before, after)


@data.command()
def export(
    source: Annotated[Path, typer.Argument(help="A recipe or a run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    dvc: Annotated[bool, typer.Option("--dvc", help="Write dvc.yaml too, so that dvc repro does it again.")] = False,
) -> None:
    """Write the cleaned splits as parquet and as a folder of Hugging Face datasets."""
    from luthier import data_commands

    data_commands.export(source, output, dvc)
