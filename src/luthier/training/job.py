"""What the loop, the step and the callbacks speak of: the job, its state, a step, and what may happen around it."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from luthier.data.batches import Batches, Feed
from luthier.methods import Follower
from luthier.objectives import Objective
from luthier.recipe.schema import Train
from luthier.training.optimizer import Schedule
from luthier.training.stages import Stage


@dataclass
class Work:
    """What a stage trains with."""

    optimizer: Any
    schedule: Schedule
    model: nn.Module
    """What is called: the job's model, or what lies above a frozen part whose outputs are kept."""
    feed: Feed
    """The training rows, for this model."""
    held: dict[str, Feed]
    """Rows of other splits that are scored during training, for this model."""
    followers: tuple[Follower, ...] = ()
    """What the stage's methods do at each step."""
    max_tokens: int | None = None
    """Most padded tokens in a micro-batch, beside what the recipe says."""
    together: bool = False
    """Whether the rows of a step are one micro-batch as long as memory allows: BatchNorm learns from all of them, or the loss compares
    them with one another."""
    quick: bool = False
    """Whether a step takes less than writing it down: all but the head is kept."""

    @cached_property
    def parameters(self) -> list[nn.Parameter]:
        """What the optimiser moves."""
        return [one for group in self.optimizer.param_groups for one in group["params"]]


@dataclass
class Job:
    """What is trained, on what, and how. Constant during a run, but for the stage that is at work."""

    model: nn.Module
    objective: Objective
    feed: Feed
    """The training rows."""
    batches: Batches
    accelerator: Accelerator
    settings: Train
    seed: int
    stages: tuple[Stage, ...]
    trained: frozenset[str]
    """Names of all parameters that some stage trains."""
    held: Mapping[str, Feed] = field(default_factory=dict)
    """Rows of other splits that are scored during training."""
    at: int = -1
    """Number of the stage at work."""
    work: Work = field(init=False)
    """What it works with."""

    def end(self, state: State) -> int:
        """Step at which the stage in progress ends, unless it stops early."""
        return state.began + self.stages[state.stage].epochs * self.batches.per_epoch

    def steps(self, state: State) -> int:
        """Optimiser steps of the whole run, as far as can be told: a stage that has stopped early was shorter than planned."""
        later = sum(stage.epochs for stage in self.stages[state.stage + 1 :])
        return self.end(state) + later * self.batches.per_epoch

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        device: torch.device = self.accelerator.device
        return device


@dataclass
class State:
    """What changes during a run and must survive it, beside weights and optimiser (JSON)."""

    step: int = 0
    """Steps done."""
    stage: int = 0
    """Number of the stage in progress, and the steps that were done when it began."""
    began: int = 0
    over: str = ""
    """Why the stage in progress ended before its steps were done, where others follow."""
    seconds: float = 0.0
    """Time spent in them."""
    wall_seconds: float = 0.0
    """Time since training began, without interruptions: steps, outputs of frozen parts, evaluations and checkpoints."""
    max_tokens: int | None = None
    """Most padded tokens in a micro-batch, once memory has run out."""
    first_loss: float | None = None
    best: float | None = None
    """Best value of the monitored metric, found at `best_step`; `since_best` evaluations were no better."""
    best_loss: float = 0.0
    """Validation loss there; of equal values the one with the lower loss is better."""
    best_step: int = 0
    since_best: int = 0
    value: float | None = None
    """The metric at the last evaluation."""
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

    def enter(self, job: Job, state: State) -> None:  # noqa: B027
        """A stage begins, or goes on after an interruption; `job.work` is what it works with."""

    def after_step(self, job: Job, state: State, step: Step) -> None:  # noqa: B027
        """After the weights moved; `state.step` counts this step already."""

    def notice(self, job: Job, state: State, text: str) -> None:  # noqa: B027
        """Something happened that a person should know of, in the step after `state.step`."""

    def finish(self, job: Job, state: State) -> None:  # noqa: B027
        """After the last step, however it came to be the last."""
