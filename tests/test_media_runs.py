"""Runs over images and recordings, from a folder to predictions, against plain transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from transformers import AutoConfig, AutoModelForAudioClassification, pipeline

import luthier
import perceiving
from luthier.data.media import MEDIA
from luthier.errors import DataError, ModelError, RecipeError
from small_jobs import recipe_for

NETWORKS = {"resnet": "image", "vit": "image", "whisper": "audio", "wav2vec2": "audio"}
NEAR = dict.fromkeys(NETWORKS, 1e-5) | {"wav2vec2": 1e-3}
"""wav2vec 2.0 normalises each channel over all samples of a row, padding included, and a pipeline pads to other lengths."""
KEPT = dict.fromkeys(NETWORKS, "Outputs of ") | {
    # its frames are not in proportion to the samples
    "wav2vec2": "No outputs of frozen parts are kept: a row's output has a size that varies with more than its own length."
}
METHODS: list[Any] = ["head", "full", {"name": "lora", "rank": 2}]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("media")
    return {"image": perceiving.images(place / "colours", 20), "audio": perceiving.sounds(place / "tones", 30)}


@pytest.mark.parametrize("method", METHODS, ids=["head", "full", "lora"])
@pytest.mark.parametrize("name", NETWORKS)
def test_from_a_folder_to_predictions(name: str, method: Any, folders: dict[str, Path], tmp_path: Path) -> None:
    medium = NETWORKS[name]
    recipe = recipe_for(perceiving.network(name, tmp_path / "model"), folders[medium], tmp_path / "run", method=method)
    if name == "resnet" and isinstance(method, dict):
        with pytest.raises(RecipeError, match="lora"):
            luthier.train(recipe)
        return
    run = luthier.train(recipe)
    stored = pq.read_table(run.path / "predictions.parquet").to_pydict()
    test = [row for row, split in enumerate(stored["split"]) if split == "test"]
    column = run.data["columns"]["text"]
    paths = [stored[column][row] for row in test]
    answers = run.predict(paths)
    assert [one.label for one in answers] == [stored["predicted"][row] for row in test]
    task = {"image": "image-classification", "audio": "audio-classification"}[medium]
    heard = paths if medium == "image" else [MEDIA["audio"].open(path).at(16_000).samples for path in paths]
    for path, ours, theirs in zip(paths, answers, pipeline(task, str(run.path / "model"))(heard), strict=True):
        assert {one["label"]: one["score"] for one in theirs} == pytest.approx(ours.probabilities, abs=NEAR[name]), path
    assert run.evaluate("test").metrics["accuracy"] == np.mean(
        [stored["label"][row] == stored["predicted"][row] for row in test]
    )


@pytest.mark.parametrize("method", ["head", {"name": "top", "blocks": 1}], ids=["head", "top"])
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_of_the_frozen_part_are_kept_and_change_nothing(
    name: str, method: Any, folders: dict[str, Path], tmp_path: Path
) -> None:
    same_losses(
        perceiving.network(name, tmp_path / "model"), folders[NETWORKS[name]], tmp_path, KEPT[name], method=method
    )


def same_losses(model: Path, data: Path, place: Path, said: str, **keys: Any) -> None:
    """Train with outputs of frozen parts in memory, of which the log says what is given, and without: the losses are the same."""
    logs = {
        cache: luthier.train(recipe_for(model, data, place / cache, {"cache": cache}, **keys)).folder.records()
        for cache in ("memory", "off")
    }
    told = {cache: next(one["text"] for one in log if one["event"] == "frozen") for cache, log in logs.items()}
    assert told["memory"].startswith(said)
    assert told["off"] == "No outputs of frozen parts are kept: train.cache is off."
    losses = {cache: [one["loss"] for one in log if one["event"] == "step"] for cache, log in logs.items()}
    assert losses["memory"] == pytest.approx(losses["off"], abs=1e-5)


@pytest.mark.parametrize(
    "changing", [{"layerdrop": 0.5}, {"apply_spec_augment": True, "mask_time_prob": 0.5, "mask_time_length": 2}]
)
def test_what_a_base_itself_changes_in_training_is_left_out_below_what_trains(
    changing: dict[str, Any], tmp_path: Path
) -> None:
    """Blocks that are left out, and masked frames. Recordings of one length, as wav2vec 2.0 reads the padding of others."""
    model = perceiving.network("wav2vec2", tmp_path / "model")
    config = AutoConfig.from_pretrained(model, num_hidden_layers=4, **changing)
    AutoModelForAudioClassification.from_config(config).save_pretrained(model)
    data = perceiving.sounds(tmp_path / "tones", 20, seconds=(0.3, 0.3))
    same_losses(model, data, tmp_path, "Outputs of wav2vec2.encoder.layers.2", method={"name": "top", "blocks": 1})


def test_a_seed_decides_what_a_network_draws_by_numpy(folders: dict[str, Path], tmp_path: Path) -> None:
    """Transformers masks frames by NumPy's own generator."""
    model = perceiving.network("wav2vec2", tmp_path / "model")
    masked = {"apply_spec_augment": True, "mask_time_prob": 0.5, "mask_time_length": 2}
    config = AutoConfig.from_pretrained(model, **masked)
    AutoModelForAudioClassification.from_config(config).save_pretrained(model)
    losses = []
    for number in range(2):
        np.random.seed(number)
        run = luthier.train(recipe_for(model, folders["audio"], tmp_path / str(number), {"epochs": 1}, method="full"))
        losses.append([one["loss"] for one in run.folder.records() if one["event"] == "step"])
    assert losses[0] == losses[1]


def test_whisper_hears_as_long_as_the_longest_recording(folders: dict[str, Path], tmp_path: Path) -> None:
    recipe = recipe_for(
        perceiving.network("whisper", tmp_path / "model"), folders["audio"], tmp_path / "run", method="head"
    )
    run = luthier.train(recipe)
    assert (run.data["max_length"], run.data["unit"]) == (1, "seconds")
    saved = json.loads((run.path / "model" / "config.json").read_text())
    assert saved["max_source_positions"] == 50


def test_speakers_stay_on_one_side(folders: dict[str, Path], tmp_path: Path) -> None:
    recipe = recipe_for(
        perceiving.network("wav2vec2", tmp_path / "model"), folders["audio"], tmp_path / "run", method="head"
    )
    recipe["data"]["split"] = {"by": "group", "column": "speaker", "parts": [3, 1, 1]}
    run = luthier.train(recipe)
    assert all(check["rows"] == 0 for check in run.data["leakage"]["checks"] if check["kind"] == "group")


def test_files_that_cannot_be_read_are_named(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = perceiving.images(tmp_path / "some", 12)
    (folder / "red" / "3.png").write_bytes((folder / "red" / "3.png").read_bytes()[:60])
    (folder / "blue" / "notes.png").write_text("no picture")
    recipe = recipe_for(perceiving.network("resnet", tmp_path / "model"), folder, tmp_path / "run", method="head")
    run = luthier.train(recipe)
    assert run.data["bad_rows"]["rows"] == 2
    assert {Path(one["reason"]).name for one in run.data["bad_rows"]["examples"]}
    with pytest.raises(DataError, match=r"notes\.png: "):
        run.predict([str(folder / "blue" / "notes.png")])


def test_a_copy_of_an_image_is_a_duplicate_and_a_leak(tmp_path: Path) -> None:
    train, test = perceiving.images(tmp_path / "train", 12), perceiving.images(tmp_path / "test", 6, seed=1)
    (test / "red" / "copy.png").write_bytes((train / "red" / "0.png").read_bytes())
    recipe = recipe_for(perceiving.network("resnet", tmp_path / "model"), train, tmp_path / "run", method="head")
    recipe["data"] = {"files": {"train": str(train), "test": str(test)}, "leakage": "error"}
    with pytest.raises(
        DataError, match=r"(?s)The splits leak.*1 of 19 test rows has the same picture as a (train|validation) row"
    ):
        luthier.train(recipe)


def test_tokens_beside_a_text_need_one(folders: dict[str, Path], tmp_path: Path) -> None:
    recipe = recipe_for(
        perceiving.network("vit", tmp_path / "model"), folders["image"], tmp_path / "run", method="prompt"
    )
    with pytest.raises(RecipeError, match=r"method prompt puts tokens beside a text, and these rows are images\."):
        luthier.train(recipe)


def test_a_model_of_another_kind_is_refused(folders: dict[str, Path], tmp_path: Path, tiny_bert: Path) -> None:
    with pytest.raises(
        ModelError, match=r"has no head for this task in transformers; it must be one that reads images\."
    ):
        luthier.train(recipe_for(tiny_bert, folders["image"], tmp_path / "run"))


@pytest.mark.parametrize("name", NETWORKS)
def test_suspect_labels_and_shift_are_looked_for_by_what_the_network_makes_of_rows(
    name: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    medium = NETWORKS[name]
    recipe = recipe_for(perceiving.network(name, tmp_path / "model"), folders[medium], tmp_path / "run", {"epochs": 1})
    recipe["data"]["labels"] = "report"
    run = luthier.train(recipe | {"method": "head"})
    assert run.data["labels"]["action"] == "report"
    assert "shift" in run.data
