"""A cell of the grid after a few steps of training, for the conformance suite."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from cells import ANSWERS, TARGET, Laid, Shelf, lay
from torch import Tensor, nn

import tiny_models
from luthier import increment
from luthier.models.open import Base
from luthier.training.optimizer import adamw

STEPS = 5


@dataclass
class Tuned:
    """A model after some training steps, and what it was before."""

    model_name: str
    name: str
    laid: Laid
    marked: frozenset[str]
    """Parameters that were switched on."""
    untouched: Tensor
    """Logits before the first step."""
    before: dict[str, Tensor]
    after: dict[str, Tensor]
    losses: list[float]
    logits: Tensor
    """After training."""

    @property
    def model(self) -> nn.Module:
        return self.laid.model

    @property
    def lasting(self) -> bool:
        return any(method.lasting for method in self.laid.methods)

    @property
    def roomless(self) -> bool:
        """Whether there are modules that no plain model has room for; a cloze without soft tokens has none."""
        return any(one.method.lasting and one.names for one in self.laid.applied.inserted)


def logits_of(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return model.eval()(**batch).logits


def copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def marked_in(model: nn.Module) -> frozenset[str]:
    return frozenset(name for name, one in model.named_parameters() if one.requires_grad)


def tune(shelf: Shelf, model_name: str, name: str, methods: list[Any]) -> Tuned:
    """Train on one batch in evaluation mode: without dropout the loss has to fall."""
    laid = lay(shelf, model_name, methods)
    model, batch = laid.model, laid.batch
    marked, untouched, before = marked_in(model), logits_of(model, batch), copied(model)
    optimizer = adamw(model, laid.applied.stages[0].rates, weight_decay=0.01)
    for group in optimizer.param_groups:
        group["lr"] = 5e-4 if model_name in tiny_models.REAL else 3e-3
    followers = [one for method in laid.methods if (one := method.follow(model, STEPS)) is not None]
    objective, losses, after = TARGET.objective(), [], {}
    for step in range(STEPS):
        loss, count = objective(model, {**batch, "target": ANSWERS})
        torch.stack([loss / count, *(follower.penalty() for follower in followers)]).sum().backward()
        optimizer.step()
        for follower in followers:
            follower.after_step(step)
        optimizer.zero_grad()
        losses.append((loss / count).item())
        after = after or (copied(model) if step == 1 else {})
    return Tuned(model_name, name, laid, marked, untouched, before, after, losses, logits_of(model, batch))


def merged_copy(tuned: Tuned) -> nn.Module:
    """As before saving: wrappers are folded last, so first here."""
    merged = copy.deepcopy(tuned.model)
    for method in (one.method for one in reversed(tuned.laid.applied.inserted)):
        if not (method.lasting and method.wraps):
            merged = method.merge(merged)
    return merged


def save(tuned: Tuned, how: str, folder: Path) -> None:
    applied = tuned.laid.applied
    base = Base("base", str(tuned.laid.folder))
    increment.save(copy.deepcopy(tuned.model), applied.inserted, applied.trained, how, base, folder)
