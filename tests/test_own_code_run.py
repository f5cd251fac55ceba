"""Models that bring their own code, from training to an opened run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import luthier
from luthier.errors import ModelError
from small_jobs import recipe_for

CODE = """
from transformers import BertConfig, BertForSequenceClassification, BertModel

class OwnConfig(BertConfig):
    model_type = "own_bert"

class OwnModel(BertModel):
    config_class = OwnConfig

class OwnForSequenceClassification(BertForSequenceClassification):
    config_class = OwnConfig
"""
CLASSES = {"AutoConfig": "OwnConfig", "AutoModel": "OwnModel", "AutoModelForSequenceClassification": None}


@pytest.fixture
def own(tiny_bert: Path, tmp_path: Path) -> Path:
    """The tiny BERT with classes of its own beside its weights."""
    folder = tmp_path / "own"
    folder.mkdir()
    for file in tiny_bert.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "own_code.py").write_text(CODE, encoding="utf-8")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    classes = {auto: f"own_code.{name or 'OwnForSequenceClassification'}" for auto, name in CLASSES.items()}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "own_bert", "auto_map": classes}))
    return folder


@pytest.mark.parametrize(
    "how",
    [{"method": "head"}, {"method": "adapter"}, {"method": "lora", "save": "increment"}],
    ids=lambda how: how["method"],
)
def test_a_run_is_opened_with_the_trust_of_its_recipe(
    how: dict[str, Any], own: Path, reviews: Path, tmp_path: Path
) -> None:
    recipe = recipe_for(own, reviews, tmp_path / "run", {"epochs": 1}) | how | {"trust_remote_code": True}
    trained = luthier.train(recipe)
    opened = luthier.open(trained.path)
    assert "own_code" in {type(one).__module__.rpartition(".")[2] for one in opened.model.network.modules()}
    rows = opened.evaluate(reviews).rows
    assert rows == len(reviews.read_text(encoding="utf-8").splitlines()) - 1


def test_without_trust_nothing_of_it_runs(own: Path, reviews: Path, tmp_path: Path) -> None:
    trained = luthier.train(recipe_for(own, reviews, tmp_path / "run", {"epochs": 1}) | {"trust_remote_code": True})
    recipe = trained.path / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("trust_remote_code: true", "trust_remote_code: false"))
    with pytest.raises(ModelError, match="it brings its own code"):
        luthier.open(trained.path).predict(["good film"])
