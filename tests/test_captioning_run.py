"""Captions of images from files to predictions: two networks joined, one that has both parts, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import PIL.Image
import pytest
from safetensors.torch import load_file
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

import captioned
import describing
import luthier
import perceiving
import tiny_models
from luthier.errors import DataError, ModelError, RecipeError
from luthier.evaluate.loading import loading
from luthier.suggest import suggest

TASK = {"name": "generate", "max_new_tokens": 6}
TRAIN = {"batch_size": 16, "precision": "fp32", "device": "cpu", "lr": 1e-2, "epochs": 18}
SHORT = {**TRAIN, "epochs": 4}
COLUMNS = {"image": "photo", "label": "caption"}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    place = tmp_path_factory.mktemp("captions")
    networks = describing.networks(place)
    return {"place": place, "file": str(describing.captions(place / "photos", 180)), "model": networks}


def train(shelf: dict[str, Any], name: str, columns: dict[str, str] = COLUMNS, **more: Any) -> luthier.Run:
    data = {"files": shelf["file"], "columns": columns, "split": {"parts": [6, 2, 2]}, "similarity": None}
    recipe = {"task": TASK, "model": shelf["model"], "data": data, "method": "head", "train": TRAIN}
    return luthier.train({**recipe, **more, "output": str(shelf["place"] / name)})


@pytest.fixture(scope="module")
def learned(shelf: dict[str, Any]) -> luthier.Run:
    return train(shelf, "learned", save="increment")


def events(run: luthier.Run, event: str) -> list[dict[str, Any]]:
    log = [json.loads(one) for one in (run.path / "log.jsonl").read_text().splitlines()]
    return [one for one in log if one["event"] == event]


def test_captions_are_learned_that_the_text_alone_cannot_give(shelf: dict[str, Any], learned: luthier.Run) -> None:
    found = learned.evaluate().metrics
    assert found["exact_match"] > 0.9
    assert {"perplexity", "token_accuracy", "chrf"} <= found.keys()
    blind = train(shelf, "blind", {**COLUMNS, "image": "blind"}).evaluate().metrics
    kinds = len(describing.COLOURS) * len(describing.SHAPES)
    assert blind["exact_match"] < 3 / kinds
    assert found["perplexity"] < blind["perplexity"] - 0.2


def test_the_image_tower_is_computed_once(shelf: dict[str, Any], learned: luthier.Run) -> None:
    (frozen,) = events(learned, "frozen")
    assert frozen["text"].startswith("Outputs of towers.image are kept for 144 rows")
    short = {**TRAIN, "epochs": 2}
    with_it, without = (
        train(shelf, name, train={**short, "cache": cache}).evaluate().metrics
        for name, cache in (("kept", "memory"), ("anew", "off"))
    )
    for name, value in with_it.items():
        assert without[name] == pytest.approx(value, abs=1e-3), name


def test_an_increment_holds_the_new_modules_alone_and_writes_the_same(learned: luthier.Run) -> None:
    state = load_file(learned.path / "model" / "increment.safetensors")
    assert state
    assert all(name.startswith("looks.") for name in state)
    check_again(learned)


def check_again(run: luthier.Run) -> None:
    """A run that is opened anew writes what it wrote."""
    stored = pd.read_parquet(run.path / "predictions.parquet")
    again = luthier.open(run.path).predict(list(stored["photo"]))
    assert [one.label for one in again] == list(stored["predicted"])


def test_the_whole_is_written_by_plain_transformers_too(shelf: dict[str, Any]) -> None:
    run = train(shelf, "whole", method=[{"name": "lora", "targets": r"towers\.text", "rank": 4}], train=SHORT)
    check_again(run)
    assert "towers.image are kept for 144 rows" in events(run, "frozen")[0]["text"]
    folder = str(run.path / "model")
    assert loading(run.path / "model").sentence == "loads with plain transformers after `import luthier`"
    processor, tokenizer, model = (
        one.from_pretrained(folder) for one in (AutoImageProcessor, AutoTokenizer, AutoModelForImageTextToText)
    )
    stored = pd.read_parquet(run.path / "predictions.parquet")
    for photo, written in zip(stored["photo"][:4], stored["predicted"][:4], strict=True):
        image = processor(PIL.Image.open(photo).convert("RGB"), return_tensors="pt")
        made = model.eval().generate(**image, max_new_tokens=6, num_beams=1, do_sample=False)
        assert tokenizer.decode(made[0], skip_special_tokens=True).strip() == written
    card = (run.path / "README.md").read_text()
    assert "The model reads an image (column `photo` of its data) and answers with a caption." in card
    assert "import luthier  # makes this kind known\nfrom PIL import Image\n" in card


def test_it_is_trained_further_and_all_of_it(shelf: dict[str, Any], learned: luthier.Run) -> None:
    before = learned.evaluate().metrics["perplexity"]
    more = train(shelf, "more", model=str(learned.path), method="full", train={**TRAIN, "epochs": 1, "lr": 1e-4})
    assert more.evaluate().metrics["perplexity"] < before + 0.05
    (frozen,) = events(more, "frozen")
    assert frozen["text"].endswith("of the encoder trains.")


def test_a_network_with_both_parts_is_tuned(shelf: dict[str, Any]) -> None:
    model = str(describing.encoder_decoder(shelf["place"] / "seeing"))
    run = train(shelf, "seeing-run", model=model, method="full", train={**TRAIN, "lr": 3e-3, "epochs": 8})
    assert run.evaluate().metrics["perplexity"] < 3
    check_again(run)
    assert (
        "from transformers import AutoImageProcessor, AutoModelForImageTextToText"
        in (run.path / "README.md").read_text()
    )


def test_predictions_of_files_and_the_report(learned: luthier.Run, shelf: dict[str, Any], tmp_path: Path) -> None:
    rows = pd.read_csv(shelf["file"])
    assert learned.predict_file(shelf["file"], tmp_path / "out.csv") == len(rows)
    assert (pd.read_csv(tmp_path / "out.csv")["predicted"] == rows["caption"]).mean() > 0.9
    loose = tmp_path / "loose"
    loose.mkdir()
    for number in range(3):
        (loose / f"{number}.png").write_bytes((Path(shelf["file"]).parent / f"{number}.png").read_bytes())
    assert learned.predict_file(str(loose), tmp_path / "loose.csv") == 3
    (one,) = learned.predict(PIL.Image.open(loose / "0.png"))
    assert one.label == rows["caption"][0]
    poor = train(shelf, "poor", train={**TRAIN, "epochs": 1})
    worst = json.loads((poor.path / "report.json").read_text())["mistakes"]["shown"][0]
    assert worst["inputs"]["photo"]["picture"].startswith("data:image/jpeg;base64,")
    assert worst["label"][0].startswith("a ")


def test_columns_are_found_by_what_they_are(shelf: dict[str, Any], tmp_path: Path) -> None:
    rows = pd.read_csv(shelf["file"])[["photo", "caption"]]
    rows.to_csv(Path(shelf["file"]).parent / "plain.csv", index=False)
    data = {"files": str(Path(shelf["file"]).parent / "plain.csv"), "similarity": None}
    run = train(shelf, "found", data=data, train={**TRAIN, "epochs": 1})
    assert run.data["columns"]["why"] == "images are 'photo'; their captions are 'caption'."


def test_init_says_how_texts_of_images_are_written(tmp_path: Path) -> None:
    file = captioned.captions(tmp_path / "rows", 30)
    pd.read_csv(file)[["photo", "caption"]].to_csv(file, index=False)
    said = suggest(str(file))
    assert "task: align" in said
    assert "# task: generate" in said
    assert "writes the texts: name that column as label, and for model two networks" in said


def broken(shelf: dict[str, Any], **change: Any) -> str:
    """The rows with some cells changed, by their place; returns the file."""
    rows = pd.read_csv(shelf["file"])
    for column, (place, value) in change.items():
        rows.loc[place, column] = value
    file = Path(shelf["file"]).parent / "broken.csv"
    rows.to_csv(file, index=False)
    return str(file)


def test_rows_without_image_or_caption_are_left_out_and_listed(shelf: dict[str, Any]) -> None:
    data = {"files": broken(shelf, photo=(3, "gone.png"), caption=(5, "")), "columns": COLUMNS, "similarity": None}
    run = train(shelf, "broken", data=data, train={**TRAIN, "epochs": 1})
    assert run.data["bad_rows"]["rows"] == 2
    reasons = {one["row"]: one["reason"] for one in run.data["bad_rows"]["examples"]}
    assert reasons == {4: "there is no such file", 6: "no label"}
    with pytest.raises(
        DataError,
        match=r"^2 of 180 rows of the data cannot be used: row 4 \(there is no such file\), row 6 \(no label\)",
    ):
        train(shelf, "strict", data={**data, "bad_rows": "error"})


def test_an_image_that_is_not_there_cannot_be_predicted(learned: luthier.Run) -> None:
    with pytest.raises(DataError, match=r"^gone\.png: "):
        learned.predict("gone.png")


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"model": "image"}, ModelError, "by two networks, model: {image: ..., writer: ...}, or by one that has an"),
        ({"model": "writer"}, ModelError, "such as a VisionEncoderDecoderModel; llama is none."),
        ({"model": "swapped"}, ModelError, "its architecture, llama, has no head for this task in transformers;"),
        ({"columns": {"image": "photo", "text": "caption"}}, DataError, "columns: {image: photo, label: caption}"),
        ({"columns": {"image": "photo", "label": ["caption", "blind"]}}, DataError, "a caption stands in one column"),
        ({"columns": {"image": "photo", "label": "capt"}}, DataError, "There is no column 'capt' in the data; did you"),
        ({"columns": {"audio": "photo", "label": "caption"}}, DataError, "in recordings is for task transcribe."),
        ({"task": {"name": "generate", "template": "{prompt}"}}, RecipeError, "task.template is for prompts that are"),
        ({"method": "prompt"}, RecipeError, "method prompt puts tokens beside a text, and these rows are images."),
        ({"task": "classify"}, ModelError, "luthier-captioner, has no head for this task"),
    ],
)
def test_what_does_not_fit_is_refused(shelf: dict[str, Any], change: dict[str, Any], kind: Any, said: str) -> None:
    networks = shelf["model"]
    models = {
        "image": networks["image"],
        "writer": networks["writer"],
        "swapped": {"image": networks["writer"], "writer": networks["image"]},
    }
    more = {key: models.get(value, value) if key == "model" else value for key, value in change.items()}
    columns = more.pop("columns", COLUMNS)
    with pytest.raises(kind) as refused:
        train(shelf, "refused", columns, **more)
    assert said in str(refused.value)


@pytest.mark.parametrize("family", describing.BUILT_OTHERWISE)
def test_networks_that_are_built_otherwise_are_refused(shelf: dict[str, Any], tmp_path: Path, family: str) -> None:
    model = describing.built_otherwise(family, tmp_path / family)
    with pytest.raises(ModelError, match=rf"such as a VisionEncoderDecoderModel; {family} is none\.$"):
        train(shelf, family, model=str(model))


def test_a_question_beside_each_image_is_refused(shelf: dict[str, Any]) -> None:
    """Rows of an image and a question, with an answer in free words."""
    with pytest.raises(DataError) as refused:
        train(shelf, "asked", {"image": "photo", "text": "blind", "label": "caption"})
    assert str(refused.value) == (
        "Task generate reads an image or a text, and data.columns names both. Leave out image or text; or, where the same few answers "
        "stand in many rows, take task: classify."
    )


def test_a_network_that_does_not_say_how_texts_begin_is_refused(shelf: dict[str, Any], tmp_path: Path) -> None:
    folder = describing.encoder_decoder(tmp_path / "silent")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"decoder_start_token_id": None}))
    with pytest.raises(ModelError, match=r"Set decoder_start_token_id and pad_token_id there\."):
        train(shelf, "silent", model=str(folder))


def test_a_tokenizer_without_an_end_is_refused(shelf: dict[str, Any], tmp_path: Path) -> None:
    folder = tiny_models.make_speaking("llama", tmp_path / "endless")
    tiny_models.word_tokenizer(eos_token=None).save_pretrained(folder)
    networks = {"image": str(perceiving.network("vit", tmp_path / "image")), "writer": str(folder)}
    with pytest.raises(ModelError, match=r"has no end of sequence, which the model writes when an answer is complete"):
        train(shelf, "endless", model=networks)


def test_long_captions_are_cut_and_counted(shelf: dict[str, Any], tmp_path: Path) -> None:
    rows = pd.read_csv(shelf["file"])
    rows.loc[0, "caption"] = " ".join(["a red circle"] * 20)
    file = Path(shelf["file"]).parent / "long.csv"
    rows.to_csv(file, index=False)
    data = {"files": str(file), "columns": COLUMNS, "similarity": None}
    run = train(shelf, "long", data=data, train={**TRAIN, "epochs": 1})
    assert sum(part["too_long"]["rows"] for part in run.data["splits"].values()) == 1


def test_rows_alone_and_together_are_written_alike(shelf: dict[str, Any], learned: luthier.Run) -> None:
    rows = pd.read_csv(shelf["file"])
    places = [str(Path(shelf["file"]).parent / name) for name in rows["photo"][:9]]
    together = [one.label for one in learned.predict(places)]
    assert together == [learned.predict(one)[0].label for one in places]
