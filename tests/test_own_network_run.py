"""Runs of networks that a recipe describes: images, sound and text, from a recipe file to predictions and a resumed run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from transformers import pipeline

import luthier
import own_networks
import perceiving
from luthier.errors import DataError, LuthierError, ModelError, RecipeError, RunError
from luthier.recipe.reading import read
from small_jobs import write_recipe


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("rows")
    return {"image": perceiving.images(place / "colours", 20), "audio": perceiving.sounds(place / "tones", 30)}


MODELS: Mapping[str, Any] = {
    "image": {"factory": "images:cnn", "settings": {"width": 8}, "image_size": [16, 20]},
    "audio": {"factory": "sounds:Waves", "sampling_rate": 8000},
    "text": {"factory": "texts:Bag", "settings": {"vocabulary": 60}},
}
TEXTS = {"image": own_networks.IMAGES, "audio": own_networks.SOUNDS, "text": own_networks.TEXTS}


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A folder with recipes and networks in files beside them."""
    for medium, model in MODELS.items():
        own_networks.beside(tmp_path / "recipes", model["factory"].partition(":")[0], TEXTS[medium])
    return tmp_path / "recipes"


def written(beside: Path, model: Any, files: Path, output: Path, method: Any = "scratch", **train: Any) -> Path:
    """A recipe in a file."""
    settings = {"epochs": 8, "batch_size": 8, "lr": 1e-2, "precision": "fp32", **train}
    recipe = {"model": model, "data": {"files": str(files)}, "method": method, "train": settings, "output": str(output)}
    return write_recipe(recipe, beside / "recipe.yaml")


def check_predictions(run: Any) -> None:
    """A run predicts what it has stored of its test rows."""
    stored = pq.read_table(run.path / "predictions.parquet").to_pydict()
    test = [row for row, split in enumerate(stored["split"]) if split == "test"]
    answers = run.predict([stored[run.data["columns"]["text"]][row] for row in test])
    assert [one.label for one in answers] == [stored["predicted"][row] for row in test]
    right = [stored["label"][row] == stored["predicted"][row] for row in test]
    assert run.evaluate("test").metrics["accuracy"] == np.mean(right)


def test_images_from_scratch(beside: Path, rows: dict[str, Path], tmp_path: Path) -> None:
    run = luthier.train(written(beside, MODELS["image"], rows["image"], tmp_path / "run"))
    assert run.evaluate("test").metrics["accuracy"] > 0.8
    check_predictions(run)
    classify = pipeline("image-classification", str(run.path / "model"))
    path = str(rows["image"] / "red" / "3.png")
    ours = run.predict([path])[0].probabilities
    assert {one["label"]: one["score"] for one in classify(path)} == pytest.approx(ours, abs=1e-5)


def test_what_a_run_says_of_it(beside: Path, rows: dict[str, Path], tmp_path: Path) -> None:
    file = written(beside, MODELS["image"], rows["image"], tmp_path / "run", epochs=1)
    run = luthier.train(file)
    assert read(run.path / "recipe.yaml").model == read(file).model
    assert read(file).model.folder == str(beside)  # type: ignore[union-attr]
    facts = json.loads((run.path / "report.json").read_text())["run"]
    assert (facts["model"], facts["library"], facts["module"]) == ("images:cnn", "transformers", "luthier")
    card, report = (run.path / "README.md").read_text(), (run.path / "report.html").read_text()
    assert "Base model images:cnn, method scratch" in card
    assert "import luthier  # makes this kind known\nfrom transformers import pipeline\n" in card
    assert "<dd>images:cnn</dd>" in report
    assert (run.path / "model" / "images.py").read_text() == own_networks.IMAGES


def test_a_trained_one_is_a_base_like_any_other(beside: Path, rows: dict[str, Path], tmp_path: Path) -> None:
    first = luthier.train(written(beside, MODELS["image"], rows["image"], tmp_path / "first", epochs=2))
    files, output = rows["image"], tmp_path / "second"
    second = luthier.train(written(beside, str(first.path), files, output, "head", epochs=3))
    frozen = [line for line in (second.path / "log.jsonl").read_text().splitlines() if '"frozen"' in line]
    assert "Outputs of body are kept" in frozen[0]
    check_predictions(second)


@pytest.mark.parametrize("method", ["full", "head", {"name": "top", "blocks": 1}, "norm", "bias"], ids=str)
def test_methods(beside: Path, rows: dict[str, Path], method: Any, tmp_path: Path) -> None:
    cached = luthier.train(written(beside, MODELS["image"], rows["image"], tmp_path / "run", method, epochs=2))
    check_predictions(cached)
    file = written(beside, MODELS["image"], rows["image"], tmp_path / "other", method, epochs=2, cache="off")
    plain = luthier.train(file)
    assert cached.evaluate("test").metrics == pytest.approx(plain.evaluate("test").metrics, abs=1e-4)


def test_sound(beside: Path, rows: dict[str, Path], tmp_path: Path) -> None:
    run = luthier.train(written(beside, MODELS["audio"], rows["audio"], tmp_path / "run"))
    assert run.evaluate("test").metrics["accuracy"] > 0.8
    check_predictions(run)
    with pytest.raises(ModelError, match="must be one that reads images"):
        luthier.train(written(beside, MODELS["audio"], rows["image"], tmp_path / "other"))


@pytest.mark.parametrize(("factory", "method"), [("texts:Bag", "scratch"), ("texts:Deep", "scratch")])
def test_text(beside: Path, tiny_bert: Path, reviews: Path, tmp_path: Path, factory: str, method: str) -> None:
    model = MODELS["text"] | {"factory": factory, "tokenizer": str(tiny_bert)}
    run = luthier.train(written(beside, model, reviews, tmp_path / "run", method))
    assert run.evaluate("test").metrics["accuracy"] > 0.6
    check_predictions(run)


@pytest.mark.parametrize("method", ["lora", "full", {"name": "top", "blocks": 1}], ids=str)
def test_methods_of_texts(beside: Path, tiny_bert: Path, reviews: Path, tmp_path: Path, method: Any) -> None:
    """Those that need blocks and linear layers; a network of one's own has both where it says so with a list of modules."""
    model = MODELS["text"] | {"factory": "texts:Deep", "tokenizer": str(tiny_bert)}
    run = luthier.train(written(beside, model, reviews, tmp_path / "run", method, epochs=1))
    log = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    assert all(np.isfinite(line["loss"]) for line in log if line["event"] == "step")
    check_predictions(run)


WORDLESS = "learned tokens need a model that reads tokens, and this one has no word embedding"
UNFIT: Mapping[str, tuple[Any, str]] = {
    "prompt": ("prompt", WORDLESS),
    "ptuning": ("ptuning", WORDLESS),
    "prefix": ("prefix", "method prefix needs attention modules in an nn.ModuleList, which this"),
    "cloze": (
        {"name": "cloze", "pattern": "{text} {mask}"},
        "method cloze needs an encoder or a decoder that predicts words",
    ),
    "lora": ("lora", "method lora needs linear layers in an nn.ModuleList, which this"),
}


@pytest.mark.parametrize("method", UNFIT)
def test_methods_that_need_what_a_network_of_texts_lacks(
    beside: Path, tiny_bert: Path, reviews: Path, tmp_path: Path, method: str
) -> None:
    settings, said = UNFIT[method]
    model = MODELS["text"] | {"tokenizer": str(tiny_bert)}
    with pytest.raises(LuthierError, match=said):
        luthier.train(written(beside, model, reviews, tmp_path / "run", settings))
    assert not (tmp_path / "run" / "model").exists()


def test_it_goes_on_only_with_the_same_network(beside: Path, rows: dict[str, Path], tmp_path: Path) -> None:
    output = tmp_path / "run"
    whole = luthier.train(written(beside, MODELS["image"], rows["image"], tmp_path / "whole", epochs=2))
    file = written(beside, MODELS["image"], rows["image"], output, epochs=2, save_every=3)
    interrupted(file, output, step=4)
    (beside / "images.py").write_text(own_networks.IMAGES.replace("functional.relu", "functional.gelu"))
    with pytest.raises(RunError, match="The weights of the base model have changed"):
        luthier.train(file)
    (beside / "images.py").write_text(own_networks.IMAGES)
    with pytest.raises(RunError, match=r"model.settings.width: 8 there, 4 in this recipe"):
        luthier.train(file, "model.settings.width=4")
    again = luthier.train(file)
    one, other = ((run.path / "model" / "model.safetensors").read_bytes() for run in (whole, again))
    assert one == other


def interrupted(file: Path, output: Path, step: int) -> None:
    """Train as the pipeline does, and stop as by Ctrl+C after a step."""
    from luthier import pipeline as line
    from luthier.training.job import Callback

    class Press(Callback):
        def after_step(self, job: Any, state: Any, done: Any) -> None:
            if state.step == step:
                raise KeyboardInterrupt

    stock = line.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line, "fit", lambda job, state, around: stock(job, state, [*around, Press()]))
        with pytest.raises(KeyboardInterrupt):
            luthier.train(file)
    assert (output / "checkpoints").is_dir()
    assert not (output / "model").exists()


MISTAKES: Mapping[str, tuple[Any, str]] = {
    "no medium": (
        {"factory": "images:cnn"},
        "model: expected one of image_size, sampling_rate, tokenizer, by what the network reads; got none.",
    ),
    "two media": (
        {"factory": "images:cnn", "image_size": 8, "sampling_rate": 8000},
        "model: expected one of image_size, sampling_rate, tokenizer, by what the network reads; got image_size and sampling_rate.",
    ),
    "a typing mistake": (
        {"factory": "images:cnn", "image_size": 8, "setings": {}},
        "model.setings: there is no such key; did you mean 'settings'?",
    ),
    "no kind": (
        {"factry": "images:cnn"},
        "model: these keys (factry) describe no kind of network. What each kind needs: captioner: image and writer; "
        "factory: factory",
    ),
    "neither": (3, "model: expected a name, a folder or a mapping; got 3."),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes(case: str) -> None:
    model, sentence = MISTAKES[case]
    with pytest.raises(RecipeError) as refused:
        read({"model": model, "data": {"files": "rows.csv"}})
    assert sentence in str(refused.value)
    assert issubclass(DataError, LuthierError)
