"""Cross entropy over the tokens of answers, each predicted from all that stands before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from luthier.data.batches import IGNORED
from luthier.objectives import Objective, inputs_of

LABELS = "labels"
"""The input of which a network with an encoder and a decoder makes what the decoder reads, by its own rule (shifted to the right)."""
CHUNK = 256
"""Positions whose probabilities over a whole vocabulary are in memory at once where no gradient is needed: 50 MB of 50,000 words."""


class NextToken(Objective):
    """Sum over count equals transformers' loss of causal language models with `target_tokens` as labels.

    The network's last layer, which has a row for each word of the vocabulary, is computed only where a token of an answer is next.

    Args:
        label_smoothing: share of the target spread over the vocabulary, 0 to 1.
    """

    tokens_per_call: ClassVar[int | None] = 1024

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def outputs(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Any:
        """Logits of shape (answer tokens of all rows, vocabulary), row after row; of a decoder behind an encoder as it gives them."""
        only = {} if LABELS in batch else {"logits_to_keep": before_answers(batch)}
        return model(**inputs_of(batch), **only, use_cache=False)

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """`target_tokens` has shape (rows, tokens), int64: the token itself where it belongs to an answer, else -100."""
        logits = _of_answers(self.outputs(model, batch).logits, batch)
        losses = token_losses(logits, answer_tokens(batch), self.label_smoothing)
        return losses.sum(), torch.tensor(float(len(losses)), device=logits.device)


def before_answers(batch: Mapping[str, Tensor]) -> Tensor:
    """Positions behind which a token of an answer is next: (rows, tokens) bool."""
    return F.pad(batch["target_tokens"][:, 1:] != IGNORED, (0, 1))


def answer_tokens(batch: Mapping[str, Tensor]) -> Tensor:
    """The tokens that are next there, row after row: (answer tokens,) int64."""
    following = batch["target_tokens"][:, 1:]
    return following[following != IGNORED]


def token_losses(logits: Tensor, tokens: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Cross entropy of each token, (tokens,) float32.

    Args:
        logits: (tokens, vocabulary).
        tokens: (tokens,) int64.
        label_smoothing: as in `NextToken`.
    """
    size = max(1, len(tokens)) if torch.is_grad_enabled() else CHUNK
    pieces = zip(logits.split(size), tokens.split(size), strict=True)
    losses = [
        F.cross_entropy(one.float(), next_, label_smoothing=label_smoothing, reduction="none") for one, next_ in pieces
    ]
    return torch.cat(losses)


def row_sums(logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Of each row the summed loss of its answer tokens, their number, and how many of them are the likeliest: (rows, 3) float64 on the CPU.

    Args:
        logits: as `NextToken.outputs` gives them.
        batch: that they are of.
    """
    logits, tokens = _of_answers(logits, batch), answer_tokens(batch)
    right = torch.cat([one.argmax(dim=-1) for one in logits.split(CHUNK)]) == tokens
    columns = torch.stack([token_losses(logits, tokens), torch.ones_like(tokens), right], dim=1).cpu().double()
    rows = before_answers(batch).nonzero()[:, 0].cpu()
    return torch.zeros(len(batch["target_tokens"]), 3, dtype=torch.float64).index_add_(0, rows, columns)


def _of_answers(logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Those that predict a token of an answer; what the decoder begins with stands first in `target_tokens`, and is no label."""
    return logits[before_answers(batch)[:, :-1]] if LABELS in batch else logits
