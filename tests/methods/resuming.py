"""A cell of the grid as a job of the pipeline's that is interrupted, for the conformance suite."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import torch
from cells import ANSWERS, TARGET, Laid
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from luthier.build import make_accelerator
from luthier.data.batches import Batches, Feed
from luthier.folder import RunFolder
from luthier.recipe.schema import Recipe
from luthier.show import Console
from luthier.training.callbacks import Save
from luthier.training.checkpoint import LAST, Checkpoints, snapshot
from luthier.training.frozen import Freeze
from luthier.training.job import Callback, Job, State, Step
from luthier.training.loop import fit
from luthier.training.work import enter

ROWS, BATCH, SAVED = 8, 2, 2
"""Four steps of two rows, and a checkpoint after the second."""
DROPPED = 0.1


class Few(Feed):
    """The rows of a cell, again and again, padded to the longest of those that are asked for."""

    def __init__(self, laid: Laid) -> None:
        super().__init__(ANSWERS.numpy()[np.arange(ROWS) % len(ANSWERS)])
        self.batch_of_all = laid.batch
        self.padded = laid.modality is not None
        mask = laid.batch["attention_mask"] if self.padded else torch.ones(len(ANSWERS), 1)
        self._lengths = mask.sum(1).long().numpy()[np.arange(ROWS) % len(ANSWERS)]

    @property
    def lengths(self) -> np.ndarray:
        return self._lengths

    def inputs(self, indices: np.ndarray) -> dict[str, Tensor]:
        longest = int(self._lengths[indices].max()) if self.padded else None
        rows = {name: values[indices % len(ANSWERS)] for name, values in self.batch_of_all.items()}
        return {name: values[:, :longest] if self.padded else values for name, values in rows.items()}


class Losses(Callback):
    """Keeps the loss and the gradient's norm of each step."""

    def __init__(self) -> None:
        self.of: dict[int, tuple[float, float]] = {}

    def after_step(self, job: Job, state: State, step: Step) -> None:
        self.of[state.step] = step.loss, step.norm


class Trial:
    """A job over a cell in its run folder, as `build.make_job` makes it, and around it what makes and reads checkpoints."""

    def __init__(self, laid: Laid, folder: RunFolder, cache: str = "auto") -> None:
        train = {
            "batch_size": BATCH,
            "save_every": SAVED,
            "keep": 1,
            "precision": "fp32",
            "device": "cpu",
            "cache": cache,
        }
        recipe = Recipe.model_validate({"data": {"files": "rows.csv"}, "train": train})
        self.laid, self.folder, self.losses = laid, folder, Losses()
        _drop(laid.model)
        self.started = {name: one.detach().clone() for name, one in _held(laid.model).items()}
        self.job = Job(
            model=laid.model,
            objective=TARGET.objective(),
            feed=Few(laid),
            batches=Batches(ROWS, BATCH, recipe.seed),
            accelerator=make_accelerator(recipe, folder),
            settings=recipe.train,
            seed=recipe.seed,
            stages=tuple(replace(stage, epochs=1) for stage in laid.applied.stages),
            trained=laid.applied.trained,
        )
        enter(self.job, 0)

    def run(self) -> None:
        """Train to the end, with checkpoints."""
        self._fit(State(), Save(Checkpoints(self.folder)))

    def go_on(self) -> int:
        """Train to the end from where the newest checkpoint stands; returns its step."""
        state, _ = Checkpoints(self.folder).resume(self.job)
        step = state.step
        self._fit(state)
        return step

    def _fit(self, state: State, *more: Callback) -> None:
        freeze = Freeze(self.laid.applied.anatomy, self.job.settings.cache, None, Console(quiet=True))
        fit(self.job, state, [freeze, self.losses, *more])

    def ended(self) -> dict[str, Tensor]:
        """Weights, buffers and what the optimiser and the methods keep."""
        taken = snapshot(self.job, State())
        return self.job.model.state_dict() | taken.weights | taken.moments

    def moved(self) -> set[str]:
        """Names of the parameters and buffers that are not what they were before training."""
        now = _held(self.laid.model)
        return {name for name, one in self.started.items() if not torch.equal(now[name], one)}

    def counted(self) -> set[str]:
        """Names of the buffers of each BatchNorm of which a parameter trains."""
        layers = [(name, one) for name, one in self.laid.model.named_modules() if isinstance(one, _BatchNorm)]
        return {
            f"{name}.{buffer}"
            for name, layer in layers
            for buffer, _ in layer.named_buffers()
            if any(f"{name}.{weight}" in self.job.trained for weight, _ in layer.named_parameters())
        }


def _held(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, those that are not saved, too."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _drop(model: nn.Module) -> None:
    """Dropout wherever a network has a place for it, also where its family leaves it out."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = DROPPED
        elif "attention_dropout" in vars(module):
            module.attention_dropout = DROPPED  # type: ignore[assignment]


def interrupt(folder: RunFolder) -> None:
    """Leave a finished run's folder as it was when the checkpoint in the middle was the newest."""
    shutil.rmtree(folder / LAST)
