"""Every recipe in recipes/ and of the benchmarks loads, and says only what the schema knows; the quick ones run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import describing
import passages_sample
import perceiving
import tiny_models
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


RUN_ELSEWHERE = {
    "align": "test_captioned_run.py",
    "image-and-text": "test_captioned_run.py",
    "pairs": "test_match_run.py",
    "match": "test_match_run.py",
    "images-augmented": "augment/test_media_feed.py",
    "recordings-augmented": "augment/test_media_feed.py",
}
"""Recipes that another file runs, with rows and networks of its own."""


@pytest.mark.parametrize("name", RUN_ELSEWHERE)
def test_the_other_file_runs_it(name: str) -> None:
    text = (Path(__file__).parent / RUN_ELSEWHERE[name]).read_text(encoding="utf-8")
    assert f'"{name}"' in text
    assert '{name}.yaml"' in text


Smaller = Callable[[dict[str, Any], Path], None]
"""Changes a recipe so that it runs on rows and a network that it writes into a folder."""


def _rows(place: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    (place / name).write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return str(place / name)


def _sentences(rows: int) -> list[str]:
    words = tiny_models.WORDS[4:10]
    return [f"the {words[row % 6]} {words[row // 6 % 6]} is {tiny_models.WORDS[row % 4]}" for row in range(rows)]


def _several_labels(recipe: dict[str, Any], place: Path) -> None:
    labels = ("noisy", "expensive", "noisy|expensive", "")
    rows = [{"text": text, "topics": labels[row % 4]} for row, text in enumerate(_sentences(40))]
    recipe["data"]["files"] = _rows(place, "complaints.jsonl", rows)
    recipe["model"] = str(tiny_models.make("bert", place / "model"))


def _gaps(recipe: dict[str, Any], place: Path) -> None:
    rows = [{"text": text, "label": ("positive", "negative")[row % 4 // 2]} for row, text in enumerate(_sentences(40))]
    recipe["data"]["files"] = _rows(place, "reviews.jsonl", rows)
    recipe["model"] = str(tiny_models.make_speaking("bert", place / "model"))
    recipe["method"][0]["verbalizer"] = {"negative": ["bad", "awful"], "positive": ["good", "great"]}  # known words


def _written(family: str) -> Smaller:
    """Prompts and answers for a network of a family, in columns of the recipe's names."""

    def change(recipe: dict[str, Any], place: Path) -> None:
        columns = recipe["data"]["columns"]
        names = [columns[key] or other for key, other in (("text", "instruction"), ("label", "output"))]
        pair = [columns["pair"] or "input"] if family in tiny_models.CAUSAL else []
        rows = [dict.fromkeys(pair, "") | dict(zip(names, (text, text[4:]), strict=True)) for text in _sentences(36)]
        make = tiny_models.make_speaking if family in tiny_models.CAUSAL else tiny_models.make_answering
        recipe["model"] = str(make(family, place / "model"))
        recipe["task"] |= {"max_new_tokens": 4, "source_language": None, "target_language": None}
        if isinstance(recipe["data"]["files"], dict):
            parts = {"train": rows[:24], "validation": rows[24:30], "test": rows[30:]}
            recipe["data"]["files"] = {name: _rows(place, f"{name}.jsonl", part) for name, part in parts.items()}
        else:
            recipe["data"] |= {"files": _rows(place, "rows.jsonl", rows)}
            recipe["data"]["split"] |= {"sizes": {"validation": 6, "test": 6}}

    return change


def _said(recipe: dict[str, Any], place: Path) -> None:
    recipe["data"]["files"] = str(perceiving.spoken(place / "recordings", 20))
    recipe["model"] = str(perceiving.recogniser(place / "model"))
    recipe["task"] |= {"language": None, "max_new_tokens": 4}


def _described(recipe: dict[str, Any], place: Path) -> None:
    recipe["data"]["files"] = str(describing.captions(place / "photos", 36))
    recipe["model"] = describing.networks(place)
    recipe["task"] |= {"max_new_tokens": 4}


SMALLER: Mapping[str, Smaller] = {
    "captions": _described,
    "multi-label": _several_labels,
    "cloze": _gaps,
    "instruction": _written("llama"),
    "instruction-zh": _written("llama"),
    "translate": _written("bart"),
    "summarise": _written("t5"),
    "transcribe": _said,
}


@pytest.mark.parametrize("name", SMALLER)
def test_runs_smaller(name: str, tmp_path: Path) -> None:
    recipe = read(RECIPES[0].with_name(f"{name}.yaml")).model_dump(mode="json")
    SMALLER[name](recipe, tmp_path)
    recipe["train"] |= {"epochs": 1, "batch_size": 8}
    run = train(recipe, output=str(tmp_path / "run"))
    assert run.evaluate().rows == run.data["splits"]["test"]["rows"] > 0
    losses = [one["loss"] for one in run.folder.records() if one["event"] == "step"]
    assert losses
    assert all(map(math.isfinite, losses))


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
    "path",
    [path for path in RECIPES if path.stem not in {*RUN_ELSEWHERE, *SMALLER, *OTHER_ROWS}],
    ids=lambda path: path.stem,
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
