"""Short runs with and without kept outputs of frozen parts, by the pipeline's own functions."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import tiny_models
from luthier.build import Ready
from luthier.evaluate.predict import Scorer, Scores
from luthier.folder import RunFolder
from luthier.show import Console
from luthier.training.frozen import Freeze
from luthier.training.job import Callback, Job, State, Step
from luthier.training.loop import fit
from small_jobs import job_of, recipe_for

PER_EPOCH = 3
"""Steps of an epoch: 48 training rows in batches of 16."""


@dataclass
class Record(Callback):
    """Keeps losses, and the scores of the validation rows after each epoch."""

    ready: Ready
    losses: list[float] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)

    def after_step(self, job: Job, state: State, step: Step) -> None:
        self.losses.append(step.loss)
        if state.step % PER_EPOCH == 0:
            scorer = Scorer(job.work.model, self.ready.data.target, job.accelerator)
            self.scores.append(scorer(job.work.held["validation"]))


@dataclass
class Ran:
    """A run that has ended."""

    job: Job
    ready: Ready
    record: Record
    said: list[str]
    """What the log says of frozen parts, stage by stage."""

    def same(self, other: Ran, tolerance: float = 1e-5) -> None:
        """Losses of all steps and epochs, and the predictions, are those of the other run."""
        assert len(self.record.losses) == len(other.record.losses)
        np.testing.assert_allclose(self.record.losses, other.record.losses, rtol=0, atol=tolerance)
        for one, two in zip(self.record.scores, other.record.scores, strict=True):
            assert abs(one.loss - two.loss) <= tolerance
            np.testing.assert_allclose(one.per_row, two.per_row, rtol=0, atol=tolerance)
        mine, theirs = self.job.model.state_dict(), other.job.model.state_dict()
        assert mine.keys() == theirs.keys()


def freeze(ready: Ready, folder: RunFolder) -> Freeze:
    return Freeze(ready.applied.anatomy, ready.recipe.train.cache, folder, Console(quiet=True))


def run(model: Path, data: Path, output: Path, cache: str, *more: Callback, **keys: Any) -> Ran:
    """Two epochs, or the stages of `keys`, in the folder `output`."""
    settings: Mapping[str, Any] = {"epochs": 2, "cache": cache, "monitor": "loss", **keys.pop("train", {})}
    job, ready = job_of(recipe_for(model, data, output, settings, **keys))
    folder, record = RunFolder(output), Record(ready)
    output.mkdir(parents=True, exist_ok=True)
    fit(job, State(), [freeze(ready, folder), record, *more])
    return Ran(job, ready, record, [line["text"] for line in folder.records() if line["event"] == "frozen"])


def write_rows(file: Path, rows: int = 60, seed: int = 0) -> Path:
    """Rows of 3 to 23 tokens, one of them of all the same word."""
    draw = random.Random(seed)
    lines = ["review,sentiment"]
    for row in range(rows):
        words = [draw.choice(tiny_models.WORDS[4:]) for _ in range(draw.choice([0, 1, 2, 3, 5, 8, 20]))]
        label, word = (("negative", "bad"), ("positive", "good"))[row % 2]
        lines.append(f"{' '.join([word, *words])},{label}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def still(folder: Path) -> Path:
    """Set all dropouts of a model folder to 0."""
    config = json.loads((folder / "config.json").read_text())
    dropouts = [name for name, value in config.items() if type(value) is float and ("drop" in name or "pdrop" in name)]
    (folder / "config.json").write_text(json.dumps(config | dict.fromkeys(dropouts, 0.0)))
    return folder
