"""Cross entropy of where an answer begins and ends (Devlin et al. 2019, section 4.2 and, for no answer, 4.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from luthier.modalities.windows import BEGINS, ENDS, NULL, OWNER
from luthier.objectives import Objective, inputs_of

LOW = -1e9
"""Score of what cannot be an answer."""


class SpanCrossEntropy(Objective):
    """The mean of both ends' cross entropy, one count a window; the sum over the count equals transformers' loss.

    The end of padding is no token: it takes no probability, so that a window's loss does not hang on its neighbours. A window that
    does not hold the whole answer points at the place that stands for none.
    """

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """`target` has shape (rows, 2 and more), int64: where the first answer begins, -1 for no answer, and how long it is."""
        logits = of_tokens(model(**inputs_of(batch)).logits, batch)
        padding = batch["attention_mask"] == 0
        loss = F.cross_entropy(logits.masked_fill(padding.unsqueeze(-1), -torch.inf), places(batch), reduction="sum")
        return loss / 2, torch.tensor(float(len(logits)), device=logits.device)


@dataclass(frozen=True)
class Best:
    """The best answer to each row, on the CPU; each (rows,)."""

    begins: Tensor
    """Character of the text where it begins, -1 where there is none."""
    ends: Tensor
    """The character behind it."""
    scores: Tensor
    """Sum of both ends' logits."""
    null: Tensor
    """That of no answer: the least of the row's windows."""
    mass: Tensor
    """log of the summed exp of the scores of all spans that could be the answer."""


def of_tokens(logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Logits in float32 of each window's tokens: (windows, tokens, 2), beginning and end.

    A method may have put virtual tokens before them inside the network.
    """
    return logits[:, -batch["attention_mask"].shape[1] :].float()


def places(batch: Mapping[str, Tensor]) -> Tensor:
    """Tokens of each window where the row's first answer begins and ends, (windows, 2) int64."""
    begins, ends, owner, null = batch[BEGINS], batch[ENDS], batch[OWNER], batch[NULL]
    start, length = batch["target"][owner, 0, None], batch["target"][owner, 1, None]
    inside, last = ends > begins, begins.shape[1] - 1
    first = (inside & (ends > start)).int().argmax(dim=1)
    final = last - (inside & (begins < start + length)).flip(1).int().argmax(dim=1)
    whole = ends.amax(dim=1) >= (start + length)[:, 0]
    reached = (inside & (begins <= start)).any(dim=1)
    held = (start[:, 0] >= 0) & whole & reached & (first <= final)
    return torch.stack([torch.where(held, first, null), torch.where(held, final, null)], dim=1)


def best(logits: Tensor, batch: Mapping[str, Tensor], most: int) -> Best:
    """The best span of each row over all its windows, as transformers' run_qa finds it, but among all spans and not the likeliest 20.

    Args:
        logits: (windows, positions, 2).
        batch: that the network was called with.
        most: tokens of the longest answer.
    """
    found = of_tokens(logits, batch).cpu()
    begins, ends, owner = batch[BEGINS].cpu(), batch[ENDS].cpu(), batch[OWNER].cpu()
    spans = _spans(found.masked_fill((ends <= begins).unsqueeze(-1), LOW), most).flatten(1)
    top, where = spans.max(dim=1)
    width = begins.shape[1]
    first, extra = where % width, where // width
    rows = int(owner[-1]) + 1
    windows = [(owner == row).nonzero()[:, 0] for row in range(rows)]
    chosen = torch.stack([own[top[own].argmax()] for own in windows])
    at = first[chosen], (first + extra)[chosen].clamp(max=width - 1)
    there = top[chosen] > LOW / 2
    nothing = torch.full_like(chosen, -1)
    null = found[torch.arange(len(found)), batch[NULL].cpu()].sum(dim=-1)
    mass = spans.logsumexp(dim=1)
    return Best(
        begins=torch.where(there, begins[chosen, at[0]], nothing),
        ends=torch.where(there, ends[chosen, at[1]], nothing),
        scores=top[chosen],
        null=torch.stack([null[own].min() for own in windows]),
        mass=torch.stack([mass[own].logsumexp(dim=0) for own in windows]),
    )


def _spans(logits: Tensor, most: int) -> Tensor:
    """Scores of spans by how many tokens follow the first and by the first: (windows, up to `most`, tokens)."""
    start, end = logits.unbind(dim=-1)
    width = start.shape[1]
    later = F.pad(end, (0, min(most, width) - 1), value=LOW).unfold(1, width, 1)
    return start.unsqueeze(1) + later
