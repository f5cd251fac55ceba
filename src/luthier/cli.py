"""The commands: thin, no logic, and nothing heavy imported until a command runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from luthier.cli_data import Overrides, RecipePath, RunPath, data

app = typer.Typer(
    help="Fine-tune pretrained models on your labelled data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data, name="data")


@app.command()
def init(
    data: Annotated[
        str,
        typer.Argument(
            help="A csv, tsv, json, jsonl, parquet or token file, a folder of them, or one of images or recordings."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the recipe.")] = Path("recipe.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite it if it is there.")] = False,
) -> None:
    """Look at the data and write a recipe, each choice explained in a comment."""
    from luthier.commands import write_recipe

    write_recipe(data, output, force)


@app.command()
def check(
    recipe: Annotated[Path, typer.Argument(help="A recipe; with --against a run.")],
    overrides: Overrides = None,
    against: Annotated[
        str, typer.Option("--against", help="A file with later rows: are they like those that the run was trained on?")
    ] = "",
    methods: Annotated[str, typer.Option("--methods", help="Say what each would take: full,lora,top.")] = "",
    machine: Annotated[
        str, typer.Option("--machine", help="Another machine: 'gpu 24GB' or 'cpu 8GB'. Default: this one.")
    ] = "",
    cost: Annotated[
        bool | None, typer.Option("--cost/--no-cost", help="Measure a few steps. Default: where that is quick.")
    ] = None,
    models: Annotated[
        str, typer.Option("--models", help="Say which base model suits the training rows: FOLDER,demo/minilm-en.")
    ] = "",
) -> None:
    """Validate a recipe, look at its data and model, and say what training would do and take; writes nothing."""
    from luthier.check_commands import check_against, check_recipe
    from luthier.cost_commands import Costs

    if models:
        from luthier.transfer_commands import check_models

        others = {"--against": against, "--methods": methods, "--machine": machine, "--cost": cost}
        check_models(recipe, overrides or [], models, [name for name, given in others.items() if given])
    elif against:
        check_against(recipe, against)
    else:
        check_recipe(recipe, overrides or [], Costs.asked(methods, machine, cost))


@app.command()
def train(
    recipe: RecipePath,
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
    force: Annotated[
        bool, typer.Option("--force", help="Train even if it will not fit into memory or on the disk.")
    ] = False,
) -> None:
    """Fine-tune, evaluate, save and report; run it again to go on after an interruption."""
    from luthier.commands import train_recipe

    train_recipe(recipe, overrides or [], resume, restart, force)


@app.command()
def evaluate(
    run: RunPath,
    on: Annotated[
        str,
        typer.Option("--on", help="train, validation, test, or a file of labelled rows. Default: the held-out rows."),
    ] = "",
    by: Annotated[
        str,
        typer.Option("--by", help="A column of the data, length or language: score the held-out rows group by group."),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a run, with 95 % intervals."""
    if by:
        from luthier.judge_commands import evaluate_by

        evaluate_by(run, by, on, as_json)
    else:
        from luthier.commands import evaluate_run

        evaluate_run(run, on, as_json)


@app.command()
def compare(
    things: Annotated[
        list[str],
        typer.Argument(metavar="RUN... | RECIPE [KEY=VALUE]...", help="Finished runs, or with --methods a recipe."),
    ],
    methods: Annotated[str, typer.Option("--methods", help="Train the recipe with each: head,top,lora.")] = "",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings of each method.")] = 1,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for compare.html and compare.json.")
    ] = None,
    opponents: Annotated[
        bool,
        typer.Option(help="Score what a model should beat: one answer for all rows, counted words, the untuned base."),
    ] = True,
    restart: Annotated[bool, typer.Option("--restart", help="Train all methods anew.")] = False,
) -> None:
    """Compare runs, or the methods that a recipe can be trained with, on the same rows; exit code 1 where a training failed."""
    from luthier.compare_commands import compare_methods, compare_runs

    if not methods:
        compare_runs([Path(one) for one in things], output, not opponents)
    elif not compare_methods(Path(things[0]), things[1:], methods, seeds, output, not opponents, restart):
        raise typer.Exit(1)


@app.command()
def predict(
    run: RunPath,
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts to predict, or files with images or recordings.")
    ] = None,
    file: Annotated[
        str, typer.Option("--file", help="Predict every row of a file, or every image or recording of a folder.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write them: .csv, .jsonl or .parquet.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite that file if it is there.")] = False,
) -> None:
    """Predict texts, images or recordings, or the rows of a file."""
    from luthier.commands import predict_with

    predict_with(run, texts or [], file, output, force)


@app.command()
def calibrate(
    run: RunPath,
    precision: Annotated[
        float | None, typer.Option("--precision", help="Answer a class from where this share of such answers is right.")
    ] = None,
    cost: Annotated[str, typer.Option("--cost", help="Answer a class from where it costs least: fp=1,fn=5.")] = "",
    label: Annotated[
        str, typer.Option("--class", help="The class. Default: the second of two, each of several labels.")
    ] = "",
) -> None:
    """Make confidence right, and choose from which probability a class is answered; fitted on the validation rows."""
    from luthier.judge_commands import calibrate_run

    calibrate_run(run, precision, cost, label)


@app.command()
def tune(
    recipe: Path,
    overrides: Overrides = None,
    trials: Annotated[
        int | None, typer.Option("--trials", min=1, help="How many trials in all. Default: search.trials, else 20.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="Begin no trial that would end later than this.")
    ] = None,
    storage: Annotated[
        str, typer.Option("--storage", help="Address of a database that machines share. Default: a file in the folder.")
    ] = "",
    restart: Annotated[bool, typer.Option("--restart", help="Delete the search and begin anew.")] = False,
) -> None:
    """Search the best settings by validation; run it again to go on, or beside itself to share the work."""
    from luthier.search_commands import tune_recipe

    tune_recipe(recipe, overrides or [], trials, minutes, storage, restart)


@app.command()
def auto(
    recipe: Path,
    overrides: Overrides = None,
    minutes: Annotated[float, typer.Option("--minutes", help="How long the search may take, over all calls.")] = 10.0,
    models: Annotated[
        str,
        typer.Option("--models", help="Base models beside the recipe's: A,B. Default: suggested ones that lie here."),
    ] = "",
    methods: Annotated[str, typer.Option("--methods", help="Methods to try. Default: head,top,lora,full.")] = "",
    restart: Annotated[bool, typer.Option("--restart", help="Delete the search and begin anew.")] = False,
) -> None:
    """Find the best base model, method and rate in some minutes, without choices; run it again to go on."""
    from luthier.auto_commands import auto_recipe

    auto_recipe(recipe, overrides or [], minutes, models, methods, restart)


@app.command()
def report(run: RunPath) -> None:
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
