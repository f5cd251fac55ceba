"""Every recipe in recipes/ loads, and says only what the schema knows; the quick ones run."""

from __future__ import annotations

from pathlib import Path

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


@pytest.mark.parametrize("path", [path for path in RECIPES if path.stem != "multi-label"], ids=lambda path: path.stem)
def test_runs_on_other_rows(path: Path, tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    recipe = read(path).model_dump(mode="json")
    recipe["model"] = str(tiny_bert)
    recipe["data"] |= {"files": str(reviews), "rows": None}
    recipe["train"] |= {"epochs": 1, "track": [], "warmup": 0}
    recipe["method"] = [one | ({"train": [r"layer\.1\."]} if "train" in one else {}) for one in recipe["method"]]
    recipe["method"] = [one | ({"blocks": 1} if "blocks" in one else {}) for one in recipe["method"]]
    run = train(recipe, output=str(tmp_path / "run"))
    assert run.evaluate().rows == 12


def test_every_key_of_train_is_used_by_a_recipe() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in RECIPES)
    for section in ("train", "data"):
        fields = Recipe.model_fields[section].annotation.model_fields
        assert not [key for key in fields if f"{key}:" not in text and key not in OPTIONAL]
