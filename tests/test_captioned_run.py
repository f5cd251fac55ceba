"""Images with texts from files to predictions: classes that only both together tell, and each found by the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from transformers import pipeline

import captioned
import luthier
import perceiving
from luthier.errors import DataError, ModelError, RecipeError
from luthier.evaluate.loading import loading
from luthier.recipe.reading import read
from luthier.suggest import suggest

TRAIN = {"batch_size": 16, "precision": "fp32", "device": "cpu", "lr": 3e-3}
QUICK = {"train": TRAIN | {"epochs": 1}, "method": "head"}


def questions(folder: Path, rows: int = 240) -> Path:
    """Pictures in red or blue, each with a text that says good or not good: `yes` where one of both turns the other round."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    written = []
    for number in range(rows):
        colour, negated = ("red", "blue")[number % 2], bool(number // 2 % 2)
        noisy = random.normal(perceiving.COLOURS[colour], 40, (captioned.SIDE, captioned.SIDE, 3))
        PIL.Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(folder / f"{number}.png")
        noun, adjective = random.choice(["film", "room", "phone"]), random.choice(["good", "great"])
        text = f"the {noun} is {'not ' if negated else ''}{adjective}"
        written.append(
            {"photo": f"{number}.png", "question": text, "answer": "yes" if (colour == "red") != negated else "no"}
        )
    pd.DataFrame(written).to_csv(folder / "rows.csv", index=False)
    return folder / "rows.csv"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    place = tmp_path_factory.mktemp("captioned")
    return {
        "file": str(questions(place / "rows")),
        "place": place,
        "towers": captioned.towers("gated", place / "towers"),
    }


def train(shelf: dict[str, Any], name: str, columns: dict[str, str], model: Any, **more: Any) -> luthier.Run:
    data = {"files": shelf["file"], "columns": {**columns, "label": "answer"}, "split": {"parts": [6, 2, 2]}}
    settings = {"method": "head", "train": TRAIN | {"epochs": 30}} | more
    return luthier.train({"model": model, "data": data, "output": str(shelf["place"] / name), **settings})


BOTH = {"image": "photo", "text": "question"}


@pytest.fixture(scope="module")
def fused(shelf: dict[str, Any]) -> luthier.Run:
    return train(shelf, "fused", BOTH, shelf["towers"])


def test_both_together_solve_what_neither_alone_can(shelf: dict[str, Any], fused: luthier.Run) -> None:
    chance = 0.5
    assert fused.evaluate().metrics["accuracy"] > 0.95
    concat = train(shelf, "concat", BOTH, {**shelf["towers"], "fusion": "concat"})
    assert concat.evaluate().metrics["accuracy"] > 0.95
    seen = train(shelf, "image", {"image": "photo"}, shelf["towers"]["image"])
    read = train(shelf, "text", {"text": "question"}, shelf["towers"]["text"])
    assert seen.evaluate().metrics["accuracy"] < chance + 0.2
    assert read.evaluate().metrics["accuracy"] < chance + 0.2


def test_frozen_towers_are_computed_once(fused: luthier.Run, shelf: dict[str, Any]) -> None:
    log = [json.loads(one) for one in (fused.path / "log.jsonl").read_text().splitlines()]
    assert next(one["text"] for one in log if one["event"] == "frozen").startswith("Outputs of towers are kept for")
    anew = train(shelf, "uncached", BOTH, shelf["towers"], train=TRAIN | {"epochs": 30, "cache": "off"})
    for name, value in fused.evaluate().metrics.items():
        assert anew.evaluate().metrics[name] == pytest.approx(value, abs=1e-3), name


def test_predictions_take_both(fused: luthier.Run, shelf: dict[str, Any], tmp_path: Path) -> None:
    rows = pd.read_csv(shelf["file"])
    place = Path(shelf["file"]).parent
    pairs = [(str(place / photo), text) for photo, text in zip(rows["photo"][:8], rows["question"][:8], strict=True)]
    as_pairs = fused.predict(pairs)
    as_mappings = fused.predict([{"image": image, "text": text} for image, text in pairs])
    assert as_pairs == as_mappings
    assert fused.predict(pairs[0]) == fused.predict({"image": pairs[0][0], "text": pairs[0][1]})
    assert as_pairs[0].label == fused.predict((PIL.Image.open(pairs[0][0]), pairs[0][1]))[0].label
    assert fused.predict_file(shelf["file"], tmp_path / "out.csv") == len(rows)
    written = pd.read_csv(tmp_path / "out.csv")
    assert list(written["predicted"][:8]) == [one.label for one in as_pairs]
    assert (written["predicted"] == rows["answer"]).mean() > 0.95


def test_the_report_shows_picture_and_text(fused: luthier.Run, shelf: dict[str, Any]) -> None:
    poor = train(shelf, "poor", BOTH, shelf["towers"], **QUICK)
    facts = json.loads((poor.path / "report.json").read_text())
    worst = facts["mistakes"]["shown"][0]["inputs"]
    assert worst["photo"]["picture"].startswith("data:image/jpeg;base64,")
    assert worst["question"]["picture"] == ""
    assert worst["question"]["text"].startswith("the ")
    card = (fused.path / "README.md").read_text()
    assert "an image and a text together (columns `photo` and `question` of its data)" in card
    assert '{"image": "a-picture.jpg", "text": "A text to read."}' in card
    assert loading(fused.path / "model").library == "luthier"


def test_each_is_found_by_the_other(tmp_path: Path) -> None:
    file = captioned.captions(tmp_path / "data", 60)
    recipe = {
        "task": "align",
        "model": str(captioned.network("clip", tmp_path / "clip")),
        "data": {"files": str(file), "split": {"parts": [6, 2, 2]}},
        "train": TRAIN | {"epochs": 8},
        "output": str(tmp_path / "run"),
    }
    run = luthier.train(recipe)
    assert (run.data["columns"]["text"], run.data["columns"]["also"]) == ("photo", ["caption"])
    found = run.evaluate()
    assert found.baseline is not None
    assert found.metrics["mrr"] > 2 * found.baseline.figures["mrr"]
    assert {"image_to_text_recall_5", "text_to_image_recall_10"} <= found.metrics.keys()
    assert run.evaluate(str(file)).rows == 60
    image, texts = str(tmp_path / "data" / "0.png"), ["good film", "awful service", "not bad room"]
    facts = json.loads((run.path / "report.json").read_text())
    assert set(facts["mistakes"]["shown"][0]["inputs"]) == {"photo", "caption"}
    (answer,) = run.predict({"image": image, "text": texts})
    assert run.predict([image, *texts]) == [answer]
    plain = pipeline("zero-shot-image-classification", model=str(run.path / "model"))
    expected = {one["label"]: one["score"] for one in plain(image, candidate_labels=texts, hypothesis_template="{}")}
    assert answer.label == max(expected, key=lambda text: expected[text])
    assert answer.confidence == pytest.approx(max(expected.values()), abs=1e-5)
    assert answer.probabilities == pytest.approx(expected, abs=1e-5)
    (one,) = run.predict({"image": image, "text": texts[0]})
    assert -1 <= one.label <= 1


def test_two_towers_are_aligned_and_known_to_a_plain_pipeline(tmp_path: Path) -> None:
    file = captioned.captions(tmp_path / "data", 60)
    towers = captioned.towers("concat", tmp_path / "towers")
    recipe = {
        "task": "align",
        "model": {name: towers[name] for name in ("image", "text")},
        "data": {"files": str(file), "split": {"parts": [6, 2, 2]}},
        "method": "head",
        "train": TRAIN | {"epochs": 8},
        "output": str(tmp_path / "run"),
    }
    run = luthier.train(recipe)
    found = run.evaluate()
    assert found.baseline is not None
    assert found.metrics["mrr"] > 1.5 * found.baseline.figures["mrr"]
    image, texts = str(tmp_path / "data" / "2.png"), ["good film", "awful service"]
    plain = pipeline("zero-shot-image-classification", model=str(run.path / "model"))
    expected = {one["label"]: one["score"] for one in plain(image, candidate_labels=texts, hypothesis_template="{}")}
    assert run.predict({"image": image, "text": texts})[0].probabilities == pytest.approx(expected, abs=1e-5)


def test_init_finds_both_columns(shelf: dict[str, Any], tmp_path: Path) -> None:
    recipe = read_recipe(suggest(shelf["file"]), tmp_path / "classify.yaml")
    assert (recipe.task.name, recipe.data.columns.input) == ("classify", ("image+text", ("photo", "question")))
    assert (recipe.data.columns.label, [one.name for one in recipe.method]) == ("answer", ["head"])
    assert (recipe.model.image, recipe.model.text) == ("google/vit-base-patch16-224", "demo/minilm-en")  # type: ignore[union-attr]
    pairs = pd.read_csv(captioned.captions(tmp_path / "pairs", 30))[["photo", "caption"]]
    pairs.to_csv(tmp_path / "pairs" / "only.csv", index=False)
    text = suggest(str(tmp_path / "pairs" / "only.csv"))
    assert "# 30 rows of an image and its text." in text
    assert "label:" not in text
    recipe = read_recipe(text, tmp_path / "align.yaml")
    assert (recipe.task.name, recipe.model) == ("align", "openai/clip-vit-base-patch32")
    run = luthier.train(
        recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 1})}),
        model=str(captioned.network("clip", tmp_path / "clip")),
        output=str(tmp_path / "run"),
    )
    assert run.data["columns"]["kind"] == "none"


def read_recipe(text: str, file: Path) -> luthier.Recipe:
    file.write_text(text, encoding="utf-8")
    return read(file)


@pytest.mark.parametrize(("name", "network"), [("align", "clip"), ("image-and-text", "gated")])
def test_recipes_run_on_rows_of_their_kind(name: str, network: str, tmp_path: Path) -> None:
    recipe = read(Path(__file__).parents[1] / "recipes" / f"{name}.yaml").model_dump(mode="json")
    towers = network in captioned.FUSIONS
    recipe["model"] = captioned.towers(network, tmp_path) if towers else str(captioned.network(network, tmp_path))
    recipe["data"]["files"] = str(captioned.captions(tmp_path / "rows", 40))
    recipe["data"]["columns"] |= {"label": "colour"} if towers else {}
    recipe["train"] |= {"epochs": 1, "warmup": 0}
    run = luthier.train(recipe, output=str(tmp_path / "run"))
    assert run.evaluate().rows == run.data["splits"]["test"]["rows"] > 0


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"model": "image"}, ModelError, "vit does not read both. Name two networks, model: {image: ..., text: ...}"),
        (
            {"task": "align", "model": "image"},
            ModelError,
            "such as CLIP or SigLIP, and vit is none. Take one, or two networks",
        ),
        (
            {"method": "prompt"},
            RecipeError,
            "method prompt puts tokens beside a text, and these rows are images and texts.",
        ),
        ({"task": "match"}, DataError, "Task match compares two texts, and these rows are image+text."),
    ],
)
def test_what_does_not_fit_is_refused(
    shelf: dict[str, Any], tmp_path: Path, change: dict[str, Any], kind: Any, said: str
) -> None:
    model = shelf["towers"]["image"] if change.get("model") else shelf["towers"]
    columns = {**BOTH, "label": "answer"} if "task" not in change else BOTH
    if change.get("task") == "match":
        file = tmp_path / "scored.csv"
        pd.read_csv(shelf["file"]).assign(answer=1).to_csv(file, index=False)
        columns = {**BOTH, "label": "answer"}
    recipe = (
        {"data": {"files": shelf["file"], "columns": columns}, "output": str(tmp_path / "run")}
        | change
        | {"model": model}
    )
    if change.get("task") == "match":
        recipe["data"] = {"files": str(file), "columns": columns, "bad_rows": "drop"}
    with pytest.raises(kind) as refused:
        luthier.train(recipe)
    assert said in str(refused.value)
