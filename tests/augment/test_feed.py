"""Rows augmented in every epoch: a function of seed, epoch and row, for training alone."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import luthier
from luthier.augment import augment
from luthier.augment.feed import AugmentedFeed
from luthier.augment.swap import Swap
from luthier.training.callbacks import Progress
from luthier.training.job import Job, State, Step
from small_jobs import job_of, recipe_for

SWAP = {"name": "swap", "share": 1.0, "rate": 0.5}


def recipe(base: Path, data: Path, output: Path, **train: Any) -> dict[str, Any]:
    made = recipe_for(base, data, output, {"epochs": 2, **train})
    return made | {"data": made["data"] | {"augment": SWAP}}


def test_a_step_reads_the_changed_texts_and_other_splits_the_files_own(
    tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    job, ready = job_of(recipe(tiny_bert, reviews, tmp_path / "run"))
    assert isinstance(job.feed, AugmentedFeed)
    assert not job.held["validation"].changing
    rows = np.array([5, 2, 9])
    table = ready.data.tables["train"]
    texts = list(table.rows.select(rows)["review"])
    method = Swap(share=1.0, rate=0.5)
    seen = []
    for epoch in range(3):
        job.feed.begin(rows, epoch)
        changed = [
            augment([method], text, 0, epoch, int(table.numbers[row])) for text, row in zip(texts, rows, strict=True)
        ]
        expected = ready.modality.encode(changed)
        found = job.feed.inputs(rows)["input_ids"]
        for place, row in enumerate(expected.columns["input_ids"]):
            assert found[place, : len(row)].tolist() == list(row)
        assert job.feed.lengths[rows].tolist() == list(expected.lengths)
        seen.append(tuple(changed))
    assert len(set(seen)) == 3


def test_rows_of_no_step_are_as_they_are(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    job, ready = job_of(recipe(tiny_bert, reviews, tmp_path / "run"))
    plain = ready.modality.collate(ready.data.rows["train"].take(np.array([3])))
    job.feed.begin(np.array([1, 2]), 0)
    assert torch.equal(job.feed.inputs(np.array([3]))["input_ids"], plain["input_ids"])


def test_a_stopped_run_goes_on_with_the_same_copies(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    whole = luthier.train(recipe(tiny_bert, reviews, tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt), interrupted():
        luthier.train(recipe(tiny_bert, reviews, tmp_path / "parts"))
    parts = luthier.train(recipe(tiny_bert, reviews, tmp_path / "parts"))
    assert losses(parts) == losses(whole)


def test_frozen_outputs_are_not_kept_and_the_log_says_why(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    run = luthier.train(recipe(tiny_bert, reviews, tmp_path / "run", epochs=1) | {"method": "head"})
    (said,) = [one["text"] for one in run.folder.records() if one["event"] == "frozen"]
    assert said == "No outputs of frozen parts are kept: augmentation or mixing changes the rows in every epoch."


def losses(run: luthier.Run) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    return [(one["step"], one["loss"]) for one in lines if one["event"] == "step"]


@contextmanager
def interrupted() -> Iterator[None]:
    """Ctrl-C after the second step."""
    after_step = Progress.after_step

    def ask(self: Progress, job: Job, state: State, step: Step) -> None:
        after_step(self, job, state, step)
        if state.step == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "after_step", ask)
        yield
