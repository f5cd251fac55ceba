"""What a recipe.yaml tells of methods and stages."""

from __future__ import annotations

from typing import Any

import pytest

from luthier.evaluate import plan

LORA = {"name": "lora", "rank": 4, "alpha": None}


@pytest.mark.parametrize(
    ("recipe", "names", "settings", "methods"),
    [
        ({"method": "full"}, "full", "full", ["full"]),
        ({"method": [LORA, "bias"]}, "lora + bias", "lora (rank 4) + bias", ["lora (rank 4)", "bias"]),
        ({"stages": "gradual"}, "gradual", "gradual", ["gradual"]),
        (
            {"stages": [{"method": "head"}, {"method": [LORA, {"name": "head"}]}]},
            "head, then lora + head",
            "head, then lora (rank 4) + head",
            ["head", "lora (rank 4)"],
        ),
    ],
)
def test_methods_stage_by_stage(recipe: dict[str, Any], names: str, settings: str, methods: list[str]) -> None:
    assert plan.told(recipe, plan.name) == names
    assert plan.told(recipe, plan.settings) == settings
    assert plan.methods(recipe) == methods
