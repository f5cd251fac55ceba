"""The commands: thin, no logic, and nothing heavy imported until a command runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Fine-tune pretrained models on your labelled data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Keys laid over the recipe: method=lora train.epochs=5"),
]


@app.command()
def init(
    data: Annotated[str, typer.Argument(help="A csv, tsv, json, jsonl or parquet file, or a folder of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the recipe.")] = Path("recipe.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite it if it is there.")] = False,
) -> None:
    """Look at the data and write a recipe, each choice explained in a comment."""
    from luthier.commands import write_recipe

    write_recipe(data, output, force)


@app.command()
def check(recipe: Path, overrides: Overrides = None) -> None:
    """Validate a recipe, look at its data and model, and say what training would do; writes nothing."""
    from luthier.commands import check_recipe

    check_recipe(recipe, overrides or [])


@app.command()
def train(
    recipe: Path,
    overrides: Overrides = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with a run; an error if there is none. Without it the same happens if there is one."
        ),
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Delete the run that the folder holds and begin anew.")
    ] = False,
) -> None:
    """Fine-tune, evaluate, save and report; run it again to go on after an interruption."""
    from luthier.commands import train_recipe

    train_recipe(recipe, overrides or [], resume, restart)


@app.command()
def evaluate(
    run: Path,
    on: Annotated[
        str,
        typer.Option("--on", help="train, validation, test, or a file of labelled rows. Default: the held-out rows."),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a run, with 95 % intervals."""
    from luthier.commands import evaluate_run

    evaluate_run(run, on, as_json)


@app.command()
def predict(
    run: Path,
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to predict.")] = None,
    file: Annotated[str, typer.Option("--file", help="Predict every row of this file.")] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write them: .csv, .jsonl or .parquet.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite that file if it is there.")] = False,
) -> None:
    """Predict texts, or the rows of a file."""
    from luthier.commands import predict_with

    predict_with(run, texts or [], file, output, force)


@app.command()
def report(run: Path) -> None:
    """Write the report of a run anew and print where it is."""
    from luthier.run import Run

    typer.echo(Run(run).report())


@app.command()
def demo(
    name: Annotated[str, typer.Argument(help="demo/reviews-en or demo/reviews-zh.")] = "demo/reviews-en",
    overrides: Overrides = None,
) -> None:
    """Fine-tune a small real model on real reviews, from the download to the report."""
    from luthier.commands import run_demo

    run_demo(name, overrides or [])


@app.command()
def recipe(
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema, for editors.")] = False,
) -> None:
    """Explain the keys of a recipe."""
    from luthier.commands import recipe_schema
    from luthier.recipe.reference import reference

    typer.echo(json.dumps(recipe_schema(), indent=1) if schema else reference())


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from luthier import __version__

        typer.echo(__version__)
        raise typer.Exit
