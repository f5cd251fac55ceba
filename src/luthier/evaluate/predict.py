"""Scoring rows: sorted by length, batch by batch, without a gradient; the scores leave the device at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from luthier.data.batches import make_batch
from luthier.data.encode import Rows
from luthier.modalities import Modality
from luthier.objectives import Objective
from luthier.tasks import Target
from luthier.train.microbatch import sorted_groups

TOKENS_PER_CALL = 8192
"""Padded tokens in one forward call: activations stay within a few hundred megabytes for models of a base size."""


@dataclass(frozen=True)
class Scores:
    """What a model says of a split: `probabilities` (rows, labels) float32 in the order of the rows, and the mean loss."""

    probabilities: np.ndarray
    loss: float


class Scorer:
    """Scores rows with one model."""

    def __init__(self, model: nn.Module, modality: Modality, target: Target, accelerator: Accelerator) -> None:
        self.model = model
        self.modality = modality
        self.target = target
        self.accelerator = accelerator

    def __call__(self, rows: Rows, advance: Callable[[int], None] = lambda rows: None) -> Scores:
        """Score all rows; every process scores its share and all of them get everything.

        Args:
            rows: encoded rows with targets.
            advance: told how many rows were scored, for a progress bar.
        """
        objective = self.target.objective()
        groups = sorted_groups(rows.lengths, TOKENS_PER_CALL)
        mine = groups[self.accelerator.process_index :: self.accelerator.num_processes]
        found: list[tuple[np.ndarray, np.ndarray, float, float]] = []
        was_training = self.model.training
        self.model.eval()
        with torch.inference_mode():
            for group in mine:
                found.append(self._score(rows, group, objective))
                advance(len(group) * self.accelerator.num_processes)
        self.model.train(was_training)
        return _assemble(gather_object(found) if self.accelerator.num_processes > 1 else found, len(rows))

    def _score(
        self, rows: Rows, group: np.ndarray, objective: Objective
    ) -> tuple[np.ndarray, np.ndarray, float, float]:
        batch = make_batch(rows, self.modality, group, self.accelerator.device)
        model: Any = self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=True)
        inputs = {name: value for name, value in batch.items() if name != "target"}
        outputs = model(**inputs)
        loss, count = objective(_Answered(outputs), batch)
        return group, self.target.scores(outputs.logits).cpu().numpy(), loss.item(), count.item()


class _Answered(nn.Module):
    """A model whose answer is known: lets the objective judge it without a second forward pass."""

    def __init__(self, outputs: Any) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, **inputs: Tensor) -> Any:
        return self.outputs


def _assemble(found: Sequence[tuple[np.ndarray, np.ndarray, float, float]], rows: int) -> Scores:
    if not found:
        raise ValueError("there are no rows to score")
    probabilities = np.empty((rows, found[0][1].shape[1]), dtype=np.float32)
    for group, scores, _, _ in found:
        probabilities[group] = scores
    loss = sum(entry[2] for entry in found) / sum(entry[3] for entry in found)
    return Scores(probabilities, loss)
