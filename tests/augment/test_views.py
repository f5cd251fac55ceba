"""A few copies of each row that the epochs see in turn: the same as changing anew with epochs counted modulo, and computed once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_jobs import hearing, images, recipe, seeing, sounds, tensors
from test_captioned_feed import SWAP
from test_captioned_feed import asking as asking_captioned
from test_captioned_feed import recipe as recipe_captioned
from test_feed import interrupted, losses

import captioned
import luthier
from luthier.augment.feed import AugmentedFeed
from luthier.cache import cache_folder
from luthier.errors import RecipeError
from luthier.models import fused
from luthier.recipe.reading import read
from small_jobs import job_of, without_dropout

VIEWS = 2
HEAD = {"method": "head", "train": {"epochs": 5, "batch_size": 8, "lr": 1e-2, "precision": "fp32", "device": "cpu"}}


def asked(kind: str, tiny_bert: Path, reviews: Path, folder: Path) -> dict[str, Any]:
    made = {
        "text": lambda: recipe(without_dropout(tiny_bert, folder / "bert"), reviews, folder / "run", [SWAP]),
        "image": lambda: recipe(seeing(folder), images(folder / "data"), folder / "run", ["crop", "flip"]),
        "audio": lambda: recipe(
            hearing(folder), sounds(folder / "data"), folder / "run", ["noise", "shift", "spectrogram"]
        ),
        "both": lambda: asking_captioned(
            recipe_captioned(captioned.towers("gated", folder / "towers"), folder, label="colour", text="caption"),
            [SWAP, "crop"],
        ),
    }[kind]()
    return made | HEAD


def with_views(recipe: dict[str, Any], output: Path, **train: Any) -> dict[str, Any]:
    data = recipe["data"] | {"views": VIEWS}
    return recipe | {"data": data, "output": str(output), "train": recipe["train"] | train}


IN_BOTH = [pytest.param(medium, marks=pytest.mark.slow) for medium in ("text", "image")]


@pytest.fixture(params=["audio", "both", *IN_BOTH])
def one(request: pytest.FixtureRequest, tiny_bert: Path, reviews: Path, tmp_path: Path) -> dict[str, Any]:
    return asked(request.param, tiny_bert, reviews, tmp_path)


def test_epochs_read_the_copies_of_the_first_ones_in_turn(one: dict[str, Any], tmp_path: Path) -> None:
    anew, _ = job_of(one)
    kept, _ = job_of(with_views(one, tmp_path / "kept"))
    assert not kept.feed.changing
    rows, seen = np.array([6, 1, 9, 3]), []
    for epoch in range(2 * VIEWS + 1):
        kept.feed.begin(rows, epoch)
        anew.feed.begin(rows, epoch % VIEWS)
        read = tensors(kept.feed.inputs(rows))
        assert np.array_equal(kept.feed.lengths[rows], anew.feed.lengths[rows])
        for name, value in tensors(anew.feed.inputs(rows)).items():
            assert np.array_equal(read[name], value), name
        seen.append(b"".join(value.tobytes() for value in read.values()))
    assert len(set(seen)) == VIEWS


def test_frozen_outputs_of_all_copies_are_computed_once_and_train_the_same(
    one: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "DROPOUT", 0.0)  # it falls on other rows where micro-batches are others
    kept = luthier.train(with_views(one, tmp_path / "kept"))
    (said,) = [record["text"] for record in kept.folder.records() if record["event"] == "frozen"]
    sizes = {name: split["rows"] for name, split in kept.data["splits"].items()}
    assert f"are kept for {VIEWS * sizes['train'] + sizes['validation']} rows" in said
    assert not list(cache_folder().glob("tmp*"))  # of the copies themselves nothing is left
    uncached = luthier.train(with_views(one, tmp_path / "uncached", cache="off"))
    begin, expect = AugmentedFeed.begin, AugmentedFeed.expect
    monkeypatch.setattr(AugmentedFeed, "begin", lambda self, rows, epoch: begin(self, rows, epoch % VIEWS))
    monkeypatch.setattr(AugmentedFeed, "expect", lambda self, rows, epoch: expect(self, rows, epoch % VIEWS))
    reference = luthier.train(one | {"output": str(tmp_path / "reference")})
    assert losses(uncached) == losses(reference)
    assert [step for step, _ in losses(kept)] == [step for step, _ in losses(reference)]
    assert np.allclose([loss for _, loss in losses(kept)], [loss for _, loss in losses(reference)], atol=1e-4)


def test_no_more_copies_are_made_than_there_are_epochs(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    short = with_views(asked("text", tiny_bert, reviews, tmp_path), tmp_path / "run", epochs=1)
    job, _ = job_of(short)
    assert len(job.feed.views) == 1


def test_a_stopped_run_goes_on_with_the_same_copies(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    made = asked("text", tiny_bert, reviews, tmp_path)
    whole = luthier.train(with_views(made, tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt), interrupted():
        luthier.train(with_views(made, tmp_path / "parts"))
    assert losses(luthier.train(with_views(made, tmp_path / "parts"))) == losses(whole)


def test_copies_need_an_augmentation() -> None:
    with pytest.raises(
        RecipeError,
        match=r"`views` is how many copies `augment` makes of each row: name an augmentation, or leave it out",
    ):
        read({"data": {"files": "rows.csv", "views": 4}}, (), {})
