"""Every recipe in recipes/ loads, and says only what the schema knows; the quick ones run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from luthier.pipeline import train
from luthier.recipe.reading import read
from luthier.recipe.schema import Recipe

RECIPES = sorted((Path(__file__).parent.parent / "recipes").glob("*.yaml"))
OPTIONAL = {
    "track",
    "trust_remote_code",
    "revision",
    "encoding",
    "annotators",
    "device",
    "keep_best",
    "weight_decay",
    "clip",
    "max_tokens",
    "resolved",
}
"""Keys that no recipe needs to show."""


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_loads(path: Path) -> None:
    recipe = read(path)
    assert recipe.output.startswith("runs/")
    assert path.read_text(encoding="utf-8").startswith("# "), "the first line says what the recipe is for"


NOT_RUN = {"multi-label", "cloze"}
"""These need other rows, or a checkpoint that predicts words."""


def fitting(method: dict[str, Any]) -> dict[str, Any]:
    """A method's settings for a model of two blocks."""
    smaller = {"train": [r"layer\.1\."], "blocks": 1, "freeze": []}
    return method | {key: value for key, value in smaller.items() if method.get(key)}


@pytest.mark.parametrize("path", [path for path in RECIPES if path.stem not in NOT_RUN], ids=lambda path: path.stem)
def test_runs_on_other_rows(path: Path, tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    recipe = read(path).model_dump(mode="json")
    recipe["model"] = str(tiny_bert)
    recipe["data"] |= {"files": str(reviews), "rows": None}
    recipe["train"] |= {"epochs": 2 if recipe["stages"] == "gradual" else 1, "track": [], "warmup": 0}
    if not recipe["stages"]:
        recipe["method"] = [fitting(one) for one in recipe["method"]]
    if isinstance(recipe["stages"], list):
        stages = [stage | {"epochs": 1} for stage in recipe["stages"]]
        recipe["stages"] = [stage | {"method": [fitting(one) for one in stage["method"]]} for stage in stages]
    run = train(recipe, output=str(tmp_path / "run"))
    asked = 12 if recipe["data"]["split"]["by"] == "random" else run.data["splits"]["test"]["rows"]
    assert run.evaluate().rows == asked > 0


def test_every_key_of_train_is_used_by_a_recipe() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in RECIPES)
    for section in ("train", "data"):
        fields = Recipe.model_fields[section].annotation.model_fields
        assert not [key for key in fields if f"{key}:" not in text and key not in OPTIONAL]
