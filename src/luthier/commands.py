"""What the commands from `init` to `predict` do, in terms of the library; results are printed on stdout."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from luthier.errors import DataError, RecipeError, RunError
from luthier.show import answer, print_table

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
