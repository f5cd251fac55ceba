"""Epochs and rates where the recipe names none, in the stages that are trained and on the page that tells of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from luthier.methods import METHODS, Context
from luthier.models.open import Base, open_model
from luthier.recipe.schema import Recipe
from luthier.training.stages import Stage, apply_methods

PAGE = Path(__file__).parents[2] / "docs" / "which-method.md"
LORA = {"name": "lora", "rank": 2}


def stages(model: Path, **keys: Any) -> tuple[Stage, ...]:
    opened = open_model(Base("base", str(model)), {"num_labels": 2}, 0)
    recipe = Recipe.model_validate({"data": {"files": "x.csv"}, **keys})
    return apply_methods(opened.model, opened.new, recipe, Context()).stages


@pytest.mark.parametrize(
    ("method", "epochs"),
    [("head", 30), ("full", 3), ("top", 3), (LORA, 3), (["head", LORA], 3), ([LORA, "head"], 3)],
    ids=str,
)
def test_epochs_are_the_methods_own_and_of_several_the_fewest(method: Any, epochs: int, tiny_bert: Path) -> None:
    assert [stage.epochs for stage in stages(tiny_bert, method=method)] == [epochs]
    assert [stage.epochs for stage in stages(tiny_bert, method=method, train={"epochs": 7})] == [7]


def test_each_stage_has_the_epochs_of_its_own_methods(tiny_bert: Path) -> None:
    plan = [{"method": "head"}, {"method": "full"}, {"method": "head", "epochs": 2}]
    assert [stage.epochs for stage in stages(tiny_bert, stages=plan)] == [30, 3, 2]


def test_gradual_unfreezing_is_three_stages_of_one_epoch(tiny_bert: Path) -> None:
    found = stages(tiny_bert, stages="gradual")
    assert [(stage.methods[0].name, stage.epochs) for stage in found] == [("head", 1), ("top", 1), ("full", 1)]


@pytest.mark.parametrize(("method", "rate"), [("top", 3e-4), ("head", 1e-2), ("full", 5e-5), (LORA, 4e-4)], ids=str)
def test_all_that_trains_has_the_methods_rate(method: Any, rate: float, tiny_bert: Path) -> None:
    (stage,) = stages(tiny_bert, method=method)
    assert set(stage.rates.values()) == {rate}


def test_of_two_methods_each_keeps_its_rate_and_the_head_that_of_the_first(tiny_bert: Path) -> None:
    (stage,) = stages(tiny_bert, method=["head", "top"])
    assert {(name.startswith("classifier."), rate) for name, rate in stage.rates.items()} == {
        (True, 1e-2),
        (False, 3e-4),
    }
    (wrapped,) = stages(tiny_bert, method=["head", LORA])  # the head is among what PEFT puts in
    assert set(wrapped.rates.values()) == {4e-4}


def told(page: str) -> dict[str, float]:
    """The rate that each method's own section states."""
    sections = re.findall(r"^### (\S+)\n(.*?)(?=^##)", page, re.MULTILINE | re.DOTALL)
    rates = {name: re.search(r"\bRate (\d[\d.]*(?:e-?\d+)?)", text) for name, text in sections}
    return {name: float(rate[1].rstrip(".")) for name, rate in rates.items() if rate}


def test_the_page_tells_the_rates_that_methods_have() -> None:
    stated = told(PAGE.read_text(encoding="utf-8"))
    assert len(stated) >= 12
    assert stated.keys() <= set(METHODS)
    assert stated == {name: METHODS[name].rate.value for name in stated}
