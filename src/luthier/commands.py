"""What the commands do, in terms of the library; results are printed on stdout."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.errors import DataError, RecipeError, RunError
from luthier.show import Console, answer, print_table

if TYPE_CHECKING:
    from luthier.build import Ready
    from luthier.cost_commands import Costs
    from luthier.data.batches import Batches

SHOWN_CLASSES = 12
DEMO_TEXTS = {
    "demo/reviews-en": [
        "A wonderful film, I was smiling all the way home.",
        "The battery died after two days.",
        "Not bad at all, but far too long.",
    ],
    "demo/reviews-zh": ["房间很干净，服务也好，下次还来。", "质量太差了，用了两天就坏。", "书的内容还行，就是送货慢。"],
}
"""Texts that each demo predicts at its end."""

GIVEN = {
    "pair": ("texts", '"some text" "another text"'),
    "question": ("question and text", '"some question" "a text that answers it"'),
    "image": ("image", "photo.jpg"),
    "audio": ("recording", "recording.wav"),
    "image+text": ("image and text", 'photo.jpg "some text"'),
}
"""What a person gives a model of such rows to predict, and one as written on the command line; all others read texts."""
TEXT = ("text", '"some text"')

DEMO_RECIPES: dict[str, dict[str, Any]] = {
    "demo/reviews-en": {"data": {"files": "demo/reviews-en"}, "train": {"epochs": 1, "evaluate_every": 90}},
    "demo/reviews-zh": {
        "data": {"files": "demo/reviews-zh", "max_length": 128, "rows": 6000},
        "train": {"epochs": 1, "evaluate_every": 38},
    },
}
"""Settings with which each demo ends within minutes on two cores, and evaluates often enough for curves."""


def write_recipe(data: str, output: Path, force: bool) -> None:
    """`luthier init`."""
    from luthier.suggest import suggest

    if output.exists() and not force:
        raise RecipeError(f"{output} is there already; give another name with --output, or --force to overwrite it.")
    text = suggest(data)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    except OSError as wrong:
        raise RecipeError(f"{output} cannot be written: {wrong.strerror}. Give another name with --output.") from None
    print(f"Wrote {output}. Next: luthier check {output}, then luthier train {output}")


def check_recipe(path: Path, overrides: Sequence[str], costs: Costs) -> None:
    """`luthier check`."""
    from accelerate import Accelerator

    from luthier import hardware, shifted, tracking
    from luthier.build import batches_of, get_ready, sizes_of
    from luthier.prepare import prepare
    from luthier.recipe.reading import read

    recipe = read(path, overrides)
    tracking.check(recipe)
    hardware.precision(recipe.train.precision, hardware.device(recipe.train.device))
    console = Console()
    data = prepare(recipe, console)
    ready = get_ready(recipe, data, Accelerator(cpu=True), console)
    shifted.look(data, recipe, ready.base, sum(sizes_of(ready.model).values()), console)
    facts = data.facts
    print(f"Columns: {facts['columns']['why']}")
    print(f"Split: {facts['split']}; rows are read up to {facts['max_length']:g} {facts['unit']}")
    _print_splits(facts)
    _print_health(facts)
    _print_stages(ready, batches_of(recipe, data.rows["train"]))
    costs.tell(ready, console)
    print(f"The recipe is good. Next: luthier train {path}")


def check_against(run: Path, file: str) -> None:
    """`luthier check RUN --against FILE`."""
    from luthier.later import against
    from luthier.run import Run

    with Console().status("Looking at the rows"):
        found = against(Run(run), file)
    print(found.sentence)
    if found.found:
        print(
            f"Scores on the run's own test rows may not hold for these: luthier evaluate {run} --on {file}, or train anew with them."
        )


def _print_health(facts: Mapping[str, Any]) -> None:
    """What the data are like, and the line that acts on it."""
    from luthier.data.health import examine

    print("Health of the data:")
    for one in examine(facts):
        advice = f" {one.advice}" if one.advice else ""
        print(f"- {one.topic}: {one.sentence}{advice}" + (f"  [{one.line}]" if one.line else ""))


def _print_stages(ready: Ready, batches: Batches) -> None:
    """What trains, for how long and at which rate, a line a stage."""
    from luthier.build import sizes_of

    sizes = sizes_of(ready.model)
    print(f"Model: {ready.base.name}; {sum(sizes.values()):,} weights")
    for number, stage in enumerate(ready.applied.stages, start=1):
        names = " + ".join(method.name for method in stage.methods)
        trained = sum(sizes[name] for name in stage.rates)
        place = f"Stage {number}: " if len(ready.applied.stages) > 1 else "Training: "
        print(
            f"{place}{names} trains {trained:,} weights in {stage.epochs * batches.per_epoch} steps of {batches.size} rows at "
            f"{_rates(stage.rates.values())}"
        )


def _rates(rates: Collection[float]) -> str:
    low, high = min(rates), max(rates)
    return f"a rate of {high:g}" if low == high else f"rates of {low:g} to {high:g}"


def train_recipe(path: Path, overrides: Sequence[str], resume: bool, restart: bool, force: bool = False) -> None:
    """`luthier train`."""
    from luthier.recipe.reading import read

    if resume and restart:
        raise RecipeError("--resume goes on with a run and --restart deletes it: give one of them.")
    output = Path(read(path, overrides).output)
    if resume and not (output / "recipe.yaml").is_file():
        raise RunError(f"There is nothing to resume in {output}. Leave --resume away to start.")
    from luthier.pipeline import (  # seconds of imports, which a mistake in the recipe need not wait for
        first_process,
        train,
    )

    run = train(path, *overrides, restart=restart, force=force)
    if first_process():
        summarise(run)


def summarise(run: Any) -> None:
    """Print the table of a finished run and where everything is."""
    from luthier.evaluate.loading import loading

    if run.data["held_out"]:
        _print_scores(run, run.data["held_out"])
    print(f"Report: {run.path}/report.html")
    print(f"Model:  {run.path}/model ({loading(run.path / 'model').sentence})")
    print(f"Next:   luthier predict {run.path} {_example(run)}")


def _example(run: Any) -> str:
    """A row to predict, as it is written on the command line."""
    return GIVEN.get(run.data["columns"]["medium"], TEXT)[1]


def evaluate_run(path: Path, on: str, as_json: bool) -> None:
    """`luthier evaluate`."""
    from luthier.run import Run

    run = Run(path)
    if as_json:
        print(json.dumps(asdict(run.evaluate(on)), indent=1))
    else:
        _print_scores(run, on or run.data["held_out"])


def predict_with(path: Path, texts: Sequence[str], file: str, output: Path | None, force: bool = False) -> None:
    """`luthier predict`."""
    from luthier.run import Run

    if output and not file:
        raise DataError(_about_output(file, output))
    if bool(texts) == bool(file):
        raise DataError(
            'Give rows or a file: luthier predict RUN "a text" (or photo.jpg), or luthier predict RUN --file new.csv --output out.csv'
        )
    run = Run(path)
    if file:
        target = output or Path(file).with_suffix(".predicted.csv")
        if target.exists() and not force:
            raise DataError(_about_output(file, target))
        print(f"Wrote {run.predict_file(file, target):,} rows to {target}")
    else:
        _print_predictions(run, texts)


def _about_output(file: str, output: Path) -> str:
    if not file:
        return "--output says where to write the rows of --file; predictions of single rows are printed."
    return f"{output} is there already; give another name with --output, or --force to overwrite it."


def run_demo(name: str, overrides: Sequence[str]) -> None:
    """`luthier demo`: from the download to predictions."""
    from luthier.pipeline import train
    from luthier.recipe.reading import dump

    if name not in DEMO_TEXTS:
        raise DataError(f"There is no demo {name!r}; there are {' and '.join(DEMO_TEXTS)}.")
    started = time.perf_counter()
    recipe = {"model": "demo/minilm-en", **DEMO_RECIPES[name], "output": f"runs/{name.replace('/', '-')}"}
    print(f"The recipe:\n\n{dump(recipe)}")
    run = train(recipe, *overrides)
    summarise(run)
    _print_predictions(run, DEMO_TEXTS[name])
    print(f"The whole demo took {time.perf_counter() - started:.0f} seconds.")


def recipe_schema() -> dict[str, Any]:
    """`luthier recipe --schema`."""
    from luthier.recipe.schema import Recipe

    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Recipe.model_json_schema()


def _print_scores(run: Any, on: str) -> None:
    result, figures = run.evaluate(on), run.target.judge.figures
    headings, rows = ["figure", "value", "95 % interval"], []
    for name, value in result.metrics.items():
        rows.append([figures[name].title, f"{value:.4f}", _interval(result.intervals.get(name))])
        if result.baseline:
            rows[-1].append(_number(result.baseline.figures.get(name)))
    if result.baseline:
        headings.append(result.baseline.name)
    print_table(f"{run.path}: {result.rows:,} rows of {on}", headings, rows)
    if on == "validation" and run.data["held_out"] == "validation":
        print(
            "These rows also chose the best epoch, so the scores lean to the good side; "
            "three parts in data.split.parts, or data.files.test, give rows that did not."
        )


def _interval(ends: tuple[float, float] | None) -> str:
    return f"{ends[0]:.4f} to {ends[1]:.4f}" if ends else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _print_predictions(run: Any, texts: Sequence[str]) -> None:
    given = run.model.modality.rows(texts)
    answers = run.predict(given)
    sure = [[] if one.confidence is None else [f"{one.confidence:.3f}"] for one in answers]
    shown = [row if isinstance(row, str) else " | ".join(row) for row in given]
    rows = [[row, answer(one.label), *cell] for row, one, cell in zip(shown, answers, sure, strict=True)]
    what = GIVEN.get(run.data["columns"]["medium"], TEXT)[0]
    calibrated = f" ({run.target.calibration})" if run.target.calibration else ""
    print_table(f"Predictions{calibrated}", [what, "predicted", *(["confidence"] if any(sure) else [])], rows)


def _print_splits(facts: Mapping[str, Any]) -> None:
    splits = facts["splits"]
    rows = [
        [name, f"{part['rows']:,}", part["length"]["median"], part["length"]["max"], _cut(part, facts["unit"])]
        for name, part in splits.items()
    ]
    print_table("Rows", ["split", "rows", f"median {facts['unit']}", "most", "too long"], rows)
    labels = list(splits["train"]["labels"])
    counts = [[label, *(f"{part['labels'][label]:,}" for part in splits.values())] for label in labels[:SHOWN_CLASSES]]
    if counts:
        print_table("Labels", ["label", *splits], counts)
    if len(labels) > SHOWN_CLASSES:
        print(f"and {len(labels) - SHOWN_CLASSES} labels more")
    if facts["bad_rows"]["rows"]:
        print(f"Left out, because they cannot be used: {_bad(facts['bad_rows'])}")


def _bad(report: Mapping[str, Any]) -> str:
    """How many rows, and which: all of them where they are few."""
    shown = [f"row {one['row']} ({one['reason']})" for one in report["examples"][:5]]
    return f"{report['rows']:,} of the rows: {', '.join(shown)}{', ...' if report['rows'] > len(shown) else ''}"


def _cut(part: Mapping[str, Any], unit: str) -> str:
    too_long = part["too_long"]
    rows = "1 row" if too_long["rows"] == 1 else f"{too_long['rows']} rows"
    return f"{rows}, {too_long['lost']} {unit} ({too_long['action']})" if too_long["rows"] else "none"
