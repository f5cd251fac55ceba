"""Every recipe in recipes/ and of the benchmarks loads, and says only what the schema knows; the quick ones run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import passages_sample
import perceiving
from luthier.pipeline import train
from luthier.recipe.reading import read
from luthier.recipe.schema import Recipe

PROJECT = Path(__file__).parent.parent
RECIPES = sorted((PROJECT / "recipes").glob("*.yaml"))
MEASURED = sorted((PROJECT / "benchmarks" / "tasks").glob("*.yaml"))
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


@pytest.mark.parametrize("path", RECIPES + MEASURED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_loads(path: Path) -> None:
    recipe = read(path)
    assert recipe.output.startswith("runs/")
    assert path.read_text(encoding="utf-8").startswith("# "), "the first line says what the recipe is for"


NOT_RUN = {
    "multi-label",
    "cloze",
    "align",
    "image-and-text",
    "pairs",
    "match",
    "images-augmented",
    "recordings-augmented",
    "instruction",
    "instruction-zh",
    "translate",
    "summarise",
    "transcribe",
}
"""These need other rows, or a checkpoint that predicts words."""


OTHER_ROWS = {
    "images-head": ("vit", "image"),
    "images-scratch": ("resnet", "image"),
    "custom-cnn": ("", "image"),
    "audio-head": ("whisper", "audio"),
    "tag": ("bert", "tokens"),
    "regress": ("bert", "numbers"),
    "answer": ("bert", "questions"),
}
"""Which tiny network, none where the recipe makes its own, and which rows the recipes need that are not about classes of texts."""


def fitting(method: dict[str, Any]) -> dict[str, Any]:
    """A method's settings for a model of two blocks."""
    smaller = {"train": [r"layer\.1\."], "blocks": 1, "freeze": []}
    return method | {key: value for key, value in smaller.items() if method.get(key)}


@pytest.mark.parametrize(
    "path", [path for path in RECIPES if path.stem not in {*NOT_RUN, *OTHER_ROWS}], ids=lambda path: path.stem
)
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


@pytest.fixture(scope="module")
def other_rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("rows")
    (place / "names.bmes").write_text("the O\nfilm B-ENT\nroom E-ENT\n\nbad O\nphone S-ENT\n\n" * 40, encoding="utf-8")
    numbers = "".join(f"the {'good' if row % 3 else 'bad'} room {row},{row % 3 + row / 100}\n" for row in range(90))
    (place / "numbers.csv").write_text(f"text,sentiment\n{numbers}", encoding="utf-8")
    images, audio = perceiving.images(place / "photos", 15), perceiving.sounds(place / "recordings", 20)
    rows = {"image": images, "audio": audio, "tokens": place / "names.bmes", "numbers": place / "numbers.csv"}
    return rows | {"questions": passages_sample.write(place)}


@pytest.mark.parametrize("name", OTHER_ROWS)
def test_runs_on_rows_of_its_kind(name: str, other_rows: dict[str, Path], tiny_bert: Path, tmp_path: Path) -> None:
    network, rows = OTHER_ROWS[name]
    recipe = read(RECIPES[0].with_name(f"{name}.yaml")).model_dump(mode="json")
    if network:
        recipe["model"] = str(tiny_bert if network == "bert" else perceiving.network(network, tmp_path / "model"))
    recipe["data"]["files"] = str(other_rows[rows])
    recipe["train"] |= {"epochs": 1, "warmup": 0}
    run = train(recipe, output=str(tmp_path / "run"))
    assert run.evaluate().rows == run.data["splits"]["test"]["rows"] > 0


def test_every_key_of_train_is_used_by_a_recipe() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in RECIPES)
    for section in ("train", "data"):
        fields = Recipe.model_fields[section].annotation.model_fields
        assert not [key for key in fields if f"{key}:" not in text and key not in OPTIONAL]
