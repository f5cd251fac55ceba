"""Scoring rows: sorted by length, batch by batch, without a gradient; the scores leave the device at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from luthier.data.batches import Feed
from luthier.evaluate.judge import PerRow, take
from luthier.modalities import Modality
from luthier.objectives import Answered
from luthier.tasks import Target
from luthier.training.memory import in_parts
from luthier.training.microbatch import TOKENS_PER_CALL, sorted_groups

Part = tuple[np.ndarray, PerRow, float, float]
"""Of a group of rows: their positions, their scores, loss sum and count."""


@dataclass(frozen=True)
class Scores:
    """What a model says of a split, in the order of the rows, and the mean loss."""

    per_row: Any
    """`PerRow`: an array with rows on its first axis, such as (rows, labels) float32, or a list of arrays."""
    loss: float


class Scorer:
    """Scores rows with one model.

    Args:
        model: that scores.
        target: what it predicts.
        accelerator: of the job.
        modality: of the rows, where scores are to be completed by what takes many calls of the model (`Target.completed`).
    """

    def __init__(
        self, model: nn.Module, target: Target, accelerator: Accelerator, modality: Modality | None = None
    ) -> None:
        self.modality = modality
        self.model = model
        self.accelerator = accelerator
        self.target = target
        self.objective = target.objective()

    def __call__(self, rows: Feed, advance: Callable[[int], None] = lambda rows: None) -> Scores:
        """Score all rows; every process scores its share and all of them get everything.

        Args:
            rows: where they come from.
            advance: told how many rows were scored, for a progress bar.
        """
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        model = self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=True)
        found: list[Part] = []
        with evaluating(model):
            for group in sorted_groups(rows.lengths, self.objective.tokens_per_call or TOKENS_PER_CALL)[rank::world]:
                found += in_parts(partial(self._score, model, rows), group)
                advance(len(group) * world)
        return _assemble(gather_object(found) if world > 1 else found, len(rows))

    @torch.inference_mode()
    def _score(self, model: nn.Module, rows: Feed, group: np.ndarray) -> Part:
        batch = rows.batch(group, self.accelerator.device)
        outputs = self.objective.outputs(model, batch)
        loss, count = self.objective(Answered(outputs), batch)
        scores = off_device(self.target.scores(outputs.logits, batch))
        if self.modality is not None:
            scores = self.target.completed(scores, model, self.modality, batch)
        return group, scores, loss.item(), count.item()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put all of a model into evaluation mode, and afterwards those parts that were training back."""
    training = [part for part in model.modules() if part.training]
    model.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


def off_device(scores: Any) -> PerRow:
    """What `Target.scores` gives, as numpy arrays."""
    return [row.cpu().numpy() for row in scores] if isinstance(scores, list) else scores.cpu().numpy()


def _assemble(found: Sequence[Part], rows: int) -> Scores:
    if not found:
        raise ValueError("there are no rows to score")
    loss, count = sum(part[2] for part in found), sum(part[3] for part in found)
    return Scores(in_order([part[:2] for part in found]), loss / count)


def in_order(found: Sequence[tuple[np.ndarray, PerRow]]) -> PerRow:
    """Scores of all rows, put together from groups of rows by their positions."""
    order = np.argsort(np.concatenate([positions for positions, _ in found]))
    parts = [scores for _, scores in found]
    whole: PerRow = (
        np.concatenate(parts) if isinstance(parts[0], np.ndarray) else [row for part in parts for row in part]
    )
    return take(whole, order)
