"""AdamW with decay groups, and learning-rate schedules that are functions of the step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from luthier.errors import RecipeError
from luthier.recipe.schema import Train

BETAS = (0.9, 0.999)
"""Kingma & Ba 2015, and every fine-tuning recipe since BERT."""
SCALES = "ia3_l"
"""In the names of PEFT's scaling vectors, which it holds as matrices of one column or row."""


def adamw(model: nn.Module, rates: Mapping[str, float], weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019) over the trainable weights.

    One group per learning rate and decay; biases and norms (parameters of fewer than two dimensions) and the
    scales of IA3, which start at 1, do not decay.

    Args:
        model: its parameters with `requires_grad` are trained.
        rates: peak learning rate of each trainable parameter by name.
        weight_decay: decoupled decay of the rest.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, one in model.named_parameters():
        if one.requires_grad:
            groups.setdefault((rates[name], weight_decay if one.ndim > 1 and SCALES not in name else 0.0), []).append(
                one
            )
    if not groups:
        raise RecipeError(
            "Nothing is trainable: the method switches no weight on and the model has no head of its own."
        )
    return torch.optim.AdamW(
        [{"params": params, "lr": lr, "peak": lr, "weight_decay": decay} for (lr, decay), params in groups.items()],
        betas=BETAS,
        fused=True,
    )


def inner(optimizer: Any) -> torch.optim.Optimizer:
    """The optimiser itself, out of Accelerate's wrapper."""
    one: torch.optim.Optimizer = optimizer if isinstance(optimizer, torch.optim.AdamW) else optimizer.optimizer
    return one


class Schedule(ABC):
    """The learning rate over the steps, as a factor of each group's peak."""

    @abstractmethod
    def factor(self, step: int) -> float:
        """Factor for the step with this number, counted from 0."""

    def observe(self, worse: bool) -> None:  # noqa: B027
        """Hear whether the monitored metric failed to improve at an evaluation."""

    def state(self) -> dict[str, Any]:
        """What `observe` has changed (JSON)."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Put back what `state` gave."""


@dataclass
class Linear(Schedule):
    """Warm-up, then straight to zero at the last step."""

    steps: int
    warmup: int

    def factor(self, step: int) -> float:
        """After warm-up as `transformers.get_linear_schedule_with_warmup`."""
        return _warming(step, self.warmup) or max(0.0, (self.steps - step) / max(1, self.steps - self.warmup))


@dataclass
class Cosine(Schedule):
    """Warm-up, then half a cosine to zero (Loshchilov & Hutter 2017)."""

    steps: int
    warmup: int

    def factor(self, step: int) -> float:
        """After warm-up as `transformers.get_cosine_schedule_with_warmup`."""
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return _warming(step, self.warmup) or 0.5 * (1 + math.cos(math.pi * progress))


@dataclass
class Constant(Schedule):
    """Warm-up, then the peak."""

    steps: int
    warmup: int

    def factor(self, step: int) -> float:
        """1 after warm-up."""
        return _warming(step, self.warmup) or 1.0


@dataclass
class Plateau(Schedule):
    """Warm-up, then the peak, divided by ten whenever `patience` evaluations in a row brought no improvement.

    The rule of `torch.optim.lr_scheduler.ReduceLROnPlateau`, with the improvement judged once for all by the run.
    """

    steps: int
    warmup: int
    patience: int = 1
    scale: float = 1.0
    bad: int = 0

    def factor(self, step: int) -> float:
        """The current scale."""
        return _warming(step, self.warmup) or self.scale

    def observe(self, worse: bool) -> None:
        """Count evaluations without improvement."""
        self.bad = self.bad + 1 if worse else 0
        if self.bad > self.patience:
            self.scale, self.bad = self.scale * 0.1, 0

    def state(self) -> dict[str, Any]:
        """Scale and count."""
        return {"scale": self.scale, "bad": self.bad}

    def load(self, state: Mapping[str, Any]) -> None:
        """Put scale and count back."""
        self.scale, self.bad = state["scale"], state["bad"]


SCHEDULES: dict[str, type[Linear | Cosine | Constant | Plateau]] = {
    "linear": Linear,
    "cosine": Cosine,
    "constant": Constant,
    "plateau": Plateau,
}


def schedule(settings: Train, steps: int) -> Schedule:
    """The recipe's schedule over `steps` optimiser steps."""
    warmup = settings.warmup * steps if settings.warmup < 1 else settings.warmup
    return SCHEDULES[settings.schedule](steps, math.ceil(warmup))


def _warming(step: int, warmup: int) -> float:
    """Factor during warm-up; 0 afterwards, so that `or` goes on.

    transformers counts from 0, and its first step moves nothing; here the first step already moves.
    """
    return (step + 1) / (warmup + 1) if step < warmup else 0.0
