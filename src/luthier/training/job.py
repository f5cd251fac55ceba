"""What the loop, the step and the callbacks speak of: the job, its state, a step, and what may happen around it."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from luthier.data.batches import Batches
from luthier.data.encode import Rows
from luthier.modalities import Modality
from luthier.objectives import Objective
from luthier.recipe.schema import Train
from luthier.training.optimizer import Schedule


@dataclass
class Job:
    """What is trained, on what, and how. Constant during a run."""

    model: nn.Module
    objective: Objective
    optimizer: Any
    schedule: Schedule
    rows: Rows
    modality: Modality
    batches: Batches
    accelerator: Accelerator
    settings: Train
    seed: int

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.settings.epochs * self.batches.per_epoch

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        device: torch.device = self.accelerator.device
        return device

    @cached_property
    def parameters(self) -> list[nn.Parameter]:
        """What the optimiser moves."""
        return [one for group in self.optimizer.param_groups for one in group["params"]]


@dataclass
class State:
    """What changes during a run and must survive it, beside weights and optimiser (JSON)."""

    step: int = 0
    """Steps done."""
    seconds: float = 0.0
    """Time spent in them."""
    max_tokens: int | None = None
    """Most padded tokens in a micro-batch, once memory has run out."""
    first_loss: float | None = None
    best: float | None = None
    """Best value of the monitored metric, found at `best_step`; `since_best` evaluations were no better."""
    best_loss: float = 0.0
    """Validation loss there; of equal values the one with the lower loss is better."""
    best_step: int = 0
    since_best: int = 0
    evaluated: bool = False
    """Whether the last step was followed by an evaluation, and whether that was the best one."""
    improved: bool = False
    stopped: str = ""
    """Why the run ended before all steps were done."""


@dataclass(frozen=True)
class Step:
    """What a step was like."""

    loss: float
    """Mean over the rows of the step; NaN and infinity mean that the weights were left as they were."""
    norm: float
    """Norm of the gradient before clipping."""
    lr: float
    rows: int
    tokens: int
    padded: int
    """Tokens with padding, over all processes."""
    seconds: float


class Callback(ABC):  # noqa: B024
    """Something that happens around steps; every event is optional."""

    def start(self, job: Job, state: State) -> None:  # noqa: B027
        """Before the first step, on a fresh start as on a resumed one."""

    def after_step(self, job: Job, state: State, step: Step) -> None:  # noqa: B027
        """After the weights moved; `state.step` counts this step already."""

    def notice(self, job: Job, state: State, text: str) -> None:  # noqa: B027
        """Something happened that a person should know of, in the step after `state.step`."""

    def finish(self, job: Job, state: State) -> None:  # noqa: B027
        """After the last step, however it came to be the last."""
