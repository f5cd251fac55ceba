"""Images and sounds that are changed in every epoch: what a step reads, threads or not, and what is refused."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from media_jobs import hearing, images, recipe, seeing, sounds, tensors

import luthier
from luthier.augment import AUGMENTATIONS, augment
from luthier.augment.feed import AugmentedFeed
from luthier.data.media import MEDIA
from luthier.errors import DataError, RecipeError
from luthier.recipe.reading import read
from small_jobs import job_of

RECIPES = Path(__file__).parent.parent.parent / "recipes"
CROPPED = ["crop", "flip", "colour"]
HEARD = ["noise", "gain", "shift"]


@pytest.fixture
def seen(tmp_path: Path) -> dict[str, Any]:
    return recipe(seeing(tmp_path), images(tmp_path / "data"), tmp_path / "run", CROPPED)


@pytest.fixture
def heard(tmp_path: Path) -> dict[str, Any]:
    return recipe(hearing(tmp_path), sounds(tmp_path / "sounds"), tmp_path / "run", HEARD)


@pytest.mark.parametrize("kind", ["seen", "heard"])
def test_a_step_reads_what_decoding_changing_and_encoding_gives(kind: str, request: pytest.FixtureRequest) -> None:
    job, ready = job_of(request.getfixturevalue(kind))
    table, found, rows = ready.data.tables["train"], ready.data.found, np.array([7, 2, 5])
    chain, copies = ready.recipe.data.augment, []
    for epoch in range(2):
        job.feed.begin(rows, epoch)
        opened = [MEDIA[found.medium].open(table.rows[int(row)][found.text]) for row in rows]
        changed = [
            augment(chain, value, 0, epoch, int(table.numbers[row])) for value, row in zip(opened, rows, strict=True)
        ]
        expected = tensors(ready.modality.collate(ready.modality.encode(changed).columns))
        copies.append(tensors(job.feed.inputs(rows)))
        for name, value in expected.items():
            assert np.array_equal(copies[-1][name], value)
    assert not all(np.array_equal(copies[0][name], copies[1][name]) for name in copies[0])
    plain = ready.modality.collate(ready.data.rows["train"].take(rows))
    assert not all(np.array_equal(copies[0][name], value) for name, value in tensors(plain).items())


def test_masks_come_after_encoding_and_only_in_training(tmp_path: Path) -> None:
    masks = {"name": "spectrogram", "bands": 1, "band": 0.5, "stretches": 0}
    job, ready = job_of(recipe(hearing(tmp_path), sounds(tmp_path / "data"), tmp_path / "run", [masks]))
    rows = np.arange(6)
    job.feed.begin(rows, 0)
    plain = tensors(ready.modality.collate(ready.data.rows["train"].take(rows)))["input_features"]
    changed = tensors(job.feed.inputs(rows))["input_features"]
    assert changed.shape == plain.shape == (6, 8, 100)  # Whisper's: (rows, bins, frames)
    for before, after in zip(plain, changed, strict=True):
        masked = (before != after).any(axis=1)
        assert masked.sum() <= 4
        assert np.allclose(after[masked], before.mean(), atol=1e-5)
        assert np.array_equal(after[~masked], before[~masked])
    assert not np.array_equal(plain, changed)
    held = job.held["validation"]
    assert np.array_equal(
        tensors(held.inputs(np.array([0])))["input_features"],
        tensors(ready.modality.collate(ready.data.rows["validation"].take(np.array([0]))))["input_features"],
    )


def test_a_model_of_samples_has_no_spectrogram(tmp_path: Path) -> None:
    asked = recipe(hearing(tmp_path, "wav2vec2"), sounds(tmp_path / "data"), tmp_path / "run", ["spectrogram"])
    with pytest.raises(
        RecipeError,
        match=r"data\.augment: spectrogram is for models that read spectrograms, and this one does not\. Take noise, gain or shift\.",
    ):
        job_of(asked)


def test_an_augmentation_of_another_medium_is_refused(seen: dict[str, Any]) -> None:
    seen["data"]["augment"] = ["swap"]
    with pytest.raises(RecipeError, match=r"data\.augment: swap changes text and these rows are image\."):
        job_of(seen)


def test_what_was_expected_is_done_by_threads_beside_and_comes_out_the_same(
    seen: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = job_of(seen)
    feed, used = job.feed, set()
    encode = AugmentedFeed._encode

    def watched(self: AugmentedFeed, rows: np.ndarray, epoch: int) -> Any:
        used.add(threading.current_thread())
        return encode(self, rows, epoch)

    monkeypatch.setattr(AugmentedFeed, "_encode", watched)
    batches = {}
    for expects in (False, True):
        for step in range(5):
            rows, epoch = job.batches.at(step), step // job.batches.per_epoch
            feed.begin(rows, epoch)
            if expects:
                feed.expect(job.batches.at(step + 1), (step + 1) // job.batches.per_epoch)
            batches[step, expects] = feed.inputs(rows)["pixel_values"]
    assert threading.main_thread() not in used
    assert all(torch.equal(batches[step, False], batches[step, True]) for step in range(5))


def test_what_was_expected_and_did_not_come_changes_nothing(seen: dict[str, Any]) -> None:
    job, _ = job_of(seen)
    rows = np.array([1, 4, 9])
    job.feed.begin(rows, 1)
    alone = job.feed.inputs(rows)["pixel_values"]
    for wrong in [(np.array([1, 4]), 1), (rows, 0)]:
        job.feed.expect(*wrong)
        job.feed.begin(rows, 1)
        assert torch.equal(job.feed.inputs(rows)["pixel_values"], alone)


def test_a_file_that_went_away_is_named(seen: dict[str, Any]) -> None:
    job, ready = job_of(seen)
    path = Path(ready.data.tables["train"].rows[3]["image"])
    path.unlink()
    job.feed.expect(np.array([3]), 0)
    with pytest.raises(DataError, match=rf"{path}: there is no such file\."):
        job.feed.begin(np.array([3]), 0)


def test_training_in_threads_equals_training_without(seen: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def losses(output: str) -> list[float]:
        run = luthier.train(seen | {"output": output})
        return [one["loss"] for one in run.folder.records() if one["event"] == "step"]

    beside = losses(f"{seen['output']}-beside")
    monkeypatch.setattr(AugmentedFeed, "expect", lambda self, indices, epoch: None)
    assert losses(f"{seen['output']}-alone") == beside


def test_the_share_of_rows_that_change(seen: dict[str, Any]) -> None:
    seen["data"]["augment"] = [{"name": "flip", "share": 1.0}]
    job, ready = job_of(seen)
    rows = np.arange(len(job.feed))
    job.feed.begin(rows, 0)
    plain = ready.modality.collate(ready.data.rows["train"].take(rows))["pixel_values"]
    # resizing is not quite symmetric to the last bit of rounding
    assert float((job.feed.inputs(rows)["pixel_values"] - plain.flip(-1)).abs().max()) < 0.02


def test_every_augmentation_of_images_and_sounds_trains(seen: dict[str, Any], heard: dict[str, Any]) -> None:
    for asked, medium in ((seen, "image"), (heard, "audio")):
        names = [name for name in AUGMENTATIONS if AUGMENTATIONS[name].medium == medium]
        asked["data"]["augment"] = [{"name": name, "share": 1.0} for name in names]
        run = luthier.train(asked, output=f"{asked['output']}-{medium}")
        steps = [one["loss"] for one in run.folder.records() if one["event"] == "step"]
        assert len(steps) == 6
        assert np.isfinite(steps).all()


@pytest.mark.parametrize("name", ["images-augmented", "recordings-augmented"])
def test_the_recipes_run_on_other_rows(name: str, request: pytest.FixtureRequest) -> None:
    written = read(RECIPES / f"{name}.yaml").model_dump(mode="json")
    fitting = request.getfixturevalue({"images-augmented": "seen", "recordings-augmented": "heard"}[name])
    written |= {"model": fitting["model"], "method": {"name": "top", "blocks": 1}, "output": fitting["output"]}
    written["data"] |= {"files": fitting["data"]["files"], "duplicates": "ignore"}
    written["train"] |= {"epochs": 1, "precision": "fp32"}
    assert luthier.train(written).evaluate().rows == 3
