"""What is refused, and that docs/methods.md says of every cell what the conformance suite has found."""

from __future__ import annotations

from typing import Any

import pytest
from cells import PAGE, YES, Shelf, cells, outcome, page, published, recipe_of, settings
from torch import nn

import tiny_models
from luthier.errors import RecipeError
from luthier.methods import METHODS, Context
from luthier.training.stages import NEEDED, apply_methods


def refused() -> list[Any]:
    said = published()
    return [
        pytest.param(model, method, said[model, method], id=f"{model}: {method}")
        for model, method in cells()
        if said.get((model, method), YES) != YES
    ]


@pytest.mark.parametrize(("model", "method", "sentence"), refused())
def test_what_cannot_be_is_refused_and_says_why(
    model: str, method: str, sentence: str, shelf: Shelf, request: pytest.FixtureRequest
) -> None:
    if model in tiny_models.REAL:
        request.getfixturevalue("assets")
    assert outcome(shelf, model, method) == sentence
    assert method in sentence


def test_the_page_has_every_cell() -> None:
    said = published()
    assert list(said) == cells(), "run `make docs`"
    assert PAGE.read_text(encoding="utf-8") == page(said)


@pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name].needs])
def test_a_need_that_is_not_met_is_refused(method: str) -> None:
    recipe = recipe_of(settings(method))
    missing = " and ".join(NEEDED[name] for name in sorted(METHODS[method].needs))
    with pytest.raises(RecipeError) as unmet:
        apply_methods(nn.Sequential(nn.Flatten(), nn.ReLU()), (), recipe, Context())
    assert str(unmet.value) == (
        f"method {method} needs {missing}, which this model does not have. Use full, head or pattern: any network takes these."
    )
