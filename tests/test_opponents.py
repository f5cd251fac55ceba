"""What a model should beat, from the rows of a run."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from luthier.evaluate.contenders import Ground, ground_of, open_runs
from luthier.opponents import CHANGED, UNTUNED, opponents
from luthier.pipeline import train
from luthier.recipe.reading import read
from luthier.recipe.schema import Recipe
from luthier.run import Run
from luthier.show import Console
from small_jobs import recipe_for

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def data(sentences, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "reviews.csv"
    pd.DataFrame(sentences(200, 5), columns=["review", "sentiment"]).to_csv(file, index=False)
    return file


@pytest.fixture(scope="module")
def run(tiny_bert: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(recipe_for(tiny_bert, data, tmp_path_factory.mktemp("runs") / "run", method="head"))


def ground(run: Run) -> Ground:
    return ground_of(open_runs([run.path]))


def resolved(run: Run) -> Recipe:
    return read(run.path / "recipe.yaml")


def test_a_base_that_knows_the_labels_answers_as_it_stands(run: Run) -> None:
    """The base is a run, so its figures untuned are those that the run has reported."""
    recipe = resolved(run).model_copy(
        update={"model": str(run.path), "method": read({"data": {"files": "x"}, "method": "lora"}).method}
    )
    found = {one.name: one for one in opponents([recipe], ground(run), QUIET)}
    assert list(found) == ["majority class", "tf-idf + linear model", UNTUNED]
    assert found[UNTUNED].measured.figures[0] == pytest.approx(run.evaluate().metrics, abs=1e-5)
    assert found[UNTUNED].measured.chosen_by[0] == pytest.approx(
        run.evaluate("validation").metrics["f1_macro"], abs=1e-5
    )
    assert (found[UNTUNED].cost.parameters, found[UNTUNED].cost.seconds) == (0, 0)
    assert found[UNTUNED].cost.milliseconds > 0
    assert not any(one.trained for one in found.values())
    assert found["tf-idf + linear model"].measured.figures[0]["accuracy"] > 0.9  # the label is a word
    assert found["majority class"].measured.figures[0] == pytest.approx(run.evaluate().baseline.figures)


def test_a_head_that_is_drawn_anew_is_not_scored(run: Run) -> None:
    (untuned,) = [one for one in opponents([resolved(run)], ground(run), QUIET) if one.name == UNTUNED]
    assert untuned.measured is None
    assert untuned.failed == "it has no head for these labels: 2 of its parameters are drawn anew, and answer by chance"


def test_each_base_is_scored_and_one_that_is_gone_says_so(run: Run) -> None:
    own, gone = resolved(run), resolved(run).model_copy(update={"model": "/nowhere/model"})
    found = {one.name: one for one in opponents([own, gone, own], ground(run), QUIET)}
    assert list(found) == [
        "majority class",
        "tf-idf + linear model",
        f"{UNTUNED} {Path(own.model).name}",
        f"{UNTUNED} model",
    ]
    assert "/nowhere/model" in found[f"{UNTUNED} model"].failed


def test_rows_that_have_changed_since_are_not_scored(run: Run, data: Path) -> None:
    before = data.read_text()
    try:
        data.write_text(before.replace("film", "movie"))
        found = {one.name: one for one in opponents([resolved(run)], ground(run), QUIET)}
        assert found["tf-idf + linear model"].failed == CHANGED
        data.unlink()
        found = {one.name: one for one in opponents([resolved(run)], ground(run), QUIET)}
        assert list(found) == ["majority class", UNTUNED]
        assert str(data) in found[UNTUNED].failed
    finally:
        data.write_text(before)
