"""Rows of an image and a text: each half is changed by the augmentations of its own medium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from augmentations import cilin
from media_jobs import tensors
from test_feed import interrupted, losses

import captioned
import luthier
from luthier.augment import augment
from luthier.augment.flip import Flip
from luthier.augment.preview import GAP, SIDE
from luthier.augment.swap import Swap
from luthier.data import cells
from luthier.errors import RecipeError
from small_jobs import job_of, write_recipe

FLIP = {"name": "flip", "share": 1.0}
SWAP = {"name": "swap", "share": 1.0, "rate": 1.0}
CROP = {"name": "crop", "scale": [0.3, 0.6]}
MEDIA = cells.media_of("image+text")


@pytest.fixture
def fused(tmp_path: Path) -> dict[str, Any]:
    """Two towers, one picture for several texts."""
    return recipe(captioned.towers("concat", tmp_path / "towers"), tmp_path, label="colour", text="caption")


def recipe(model: Any, folder: Path, **columns: str) -> dict[str, Any]:
    return {
        "model": model,
        "data": {
            "files": str(captioned.captions(folder / "rows", 36)),
            "columns": {"image": "photo", **columns},
            "duplicates": "ignore",
        },
        "train": {"epochs": 2, "batch_size": 8, "lr": 1e-3, "precision": "fp32", "device": "cpu"},
        "output": str(folder / "run"),
    }


def asking(recipe: dict[str, Any], augment: Any, **keys: Any) -> dict[str, Any]:
    return recipe | {"data": recipe["data"] | {"augment": augment}} | keys


@pytest.mark.parametrize(
    ("chain", "changed", "same"), [([FLIP], "pixel_values", "input_ids"), ([SWAP], "input_ids", "pixel_values")]
)
def test_only_the_half_of_its_medium_is_changed(fused: dict[str, Any], chain: Any, changed: str, same: str) -> None:
    job, ready = job_of(asking(fused, chain))
    rows = np.arange(6)
    job.feed.begin(rows, 0)
    plain = tensors(ready.modality.collate(ready.data.rows["train"].take(rows)))
    read = tensors(job.feed.inputs(rows))
    assert np.array_equal(read[same], plain[same])
    assert not np.array_equal(read[changed], plain[changed])


def test_a_step_reads_what_changing_each_half_gives(fused: dict[str, Any]) -> None:
    job, ready = job_of(asking(fused, [CROP, SWAP]))
    table, rows = ready.data.tables["train"], np.array([5, 0, 9])
    seen = []
    for epoch in range(2):
        changed = []
        for row in rows.tolist():
            photo, text = (table.rows[row][column] for column in ready.data.found.inputs)
            image = PIL.Image.open(photo).convert("RGB")
            draw = (0, epoch, int(table.numbers[row]))
            changed.append(augment(ready.recipe.data.augment, (image, text), *draw, media=MEDIA))
        job.feed.begin(rows, epoch)
        seen.append(tensors(job.feed.inputs(rows)))
        expected = tensors(ready.modality.collate(ready.modality.encode(changed).columns))
        for name, value in expected.items():
            assert np.array_equal(seen[-1][name], value), name
    for name in ("pixel_values", "input_ids"):
        assert not np.array_equal(seen[0][name], seen[1][name])


def test_a_copy_of_a_row_is_that_of_its_halves() -> None:
    image, text = PIL.Image.effect_noise((12, 9), 80).convert("RGB"), "one two three four five"
    changed, written = augment([Flip(share=1), Swap(share=1, rate=1)], (image, text), 3, 1, 2, media=MEDIA)
    assert np.array_equal(np.asarray(changed), np.asarray(image)[:, ::-1])
    assert written != text
    assert sorted(written.split()) == sorted(text.split())
    assert augment([Swap(share=1, rate=1)], (image, text), 3, 1, 2, media=MEDIA)[0] is image
    assert augment([Flip(share=1)], (image, text), 3, 1, 2, media=MEDIA)[1] == text


@pytest.mark.parametrize("task", ["classify", "regress"])
def test_a_stopped_run_goes_on_with_the_same_copies(fused: dict[str, Any], task: str, tmp_path: Path) -> None:
    asked = asking(fused, [CROP, SWAP], task=task)
    asked["data"]["columns"] |= {"label": {"classify": "colour", "regress": "number"}[task]}
    whole = luthier.train(asked | {"output": str(tmp_path / "whole")})
    with pytest.raises(KeyboardInterrupt), interrupted():
        luthier.train(asked | {"output": str(tmp_path / "parts")})
    parts = luthier.train(asked | {"output": str(tmp_path / "parts")})
    assert losses(parts) == losses(whole)


def test_texts_of_pairs_that_belong_together_get_synonyms_and_rows_alike_stay_alike(tmp_path: Path) -> None:
    made = recipe(str(captioned.network("clip", tmp_path / "clip")), tmp_path, text="caption")
    file = Path(made["data"]["files"])
    lines = file.read_text().splitlines()
    photo = lines[1].partition(",")[0]
    file.write_text("\n".join([lines[0], *(f"{photo},{one.partition(',')[2]}" for one in lines[1:])]))
    words = cilin(tmp_path)
    words.write_text("Ed01A01= good great\nEd01A02= awful terrible\nEd01A03= bad poor\n", encoding="utf-8")
    synonyms = {"name": "synonyms", "file": str(words), "share": 1.0, "rate": 1.0}
    job, ready = job_of(asking(made, [synonyms, CROP], task="align"))
    rows = np.arange(5)
    plain = tensors(ready.modality.collate(ready.data.rows["train"].take(rows)))
    job.feed.begin(rows, 0)
    read = tensors(job.feed.inputs(rows))
    assert not np.array_equal(read["input_ids"], plain["input_ids"])
    assert len({one.tobytes() for one in read["pixel_values"]}) == 5  # crops of one picture,
    assert len(set(read["target_image"].tolist())) == 1  # which is known to be one
    assert np.array_equal(read["target_text"], plain["target_text"])


def test_mixing_is_refused_as_texts_cannot_be_blended(fused: dict[str, Any]) -> None:
    for mixing, media in [("mixup", "audio and image"), ("cutmix", "image")]:
        with pytest.raises(
            RecipeError, match=rf"^train\.mixing: {mixing} mixes {media} and these rows are image\+text\. Leave train"
        ):
            job_of(fused | {"train": fused["train"] | {"mixing": mixing}})


def test_augmentations_of_sound_are_refused(fused: dict[str, Any]) -> None:
    said = r"^data\.augment: noise changes audio and these rows are image and text\. For image and text there are: delete, .*, crop,"
    with pytest.raises(RecipeError, match=said):
        job_of(asking(fused, ["crop", "noise"]))


def test_the_preview_shows_both_halves(fused: dict[str, Any], luthier: Any, tmp_path: Path) -> None:
    file = write_recipe(asking(fused, [CROP, SWAP]), tmp_path / "recipe.yaml")
    said = luthier("data", "preview", file, "--rows", "2", "--epochs", "3", "--to", tmp_path / "shown")
    assert said.code == 0, said.err
    assert PIL.Image.open(tmp_path / "shown" / "preview.png").size == (4 * SIDE, 2 * (SIDE + GAP))
    wrote, *lines = said.out.splitlines()
    assert wrote.startswith(f"Wrote {tmp_path / 'shown' / 'preview.png'}: 2 rows")
    assert [line.strip().partition(" ")[0] for line in lines] == ["row", "epoch", "epoch", "epoch"] * 2
    first, copies = lines[0].partition(": ")[2], [line.partition(": ")[2] for line in lines[1:4]]
    assert all(sorted(copy.split()) == sorted(first.split()) for copy in copies)
    assert any(copy != first for copy in copies)
