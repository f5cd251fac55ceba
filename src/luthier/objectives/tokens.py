"""Cross entropy over words, each judged at the first of its pieces (Devlin et al. 2019, section 5.3)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from luthier.data.batches import IGNORED
from luthier.objectives import Objective, inputs_of

CUT = -1
"""Place of a word that was cut off; behind a row's last word there is `IGNORED`."""


class WordCrossEntropy(Objective):
    """One tag a word; sum over count equals transformers' token classification loss with -100 at all but the first pieces.

    Words that were cut off are not judged: the network says nothing about them.

    Args:
        label_smoothing: share of the target spread over all tags, 0 to 1.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """`target` and `target_places` have shape (rows, words), int64, -100 where there is no word."""
        logits = at_places(model(**inputs_of(batch)).logits, batch)
        target = batch["target"][batch["target_places"] >= 0]
        loss = F.cross_entropy(logits, target, label_smoothing=self.label_smoothing, reduction="sum")
        return loss, torch.tensor(float(len(target)), device=logits.device)


def at_places(logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Logits in float32 at the first piece of each word that was not cut off: (words, tags), row after row.

    A method may have put virtual tokens before the words inside the network: places then count from behind them.

    Args:
        logits: (rows, positions, tags).
        batch: with `target_places` and `attention_mask`.
    """
    places = batch["target_places"]
    virtual = logits.shape[1] - batch["attention_mask"].shape[1]
    rows, words = (places >= 0).nonzero(as_tuple=True)
    return logits[rows, places[rows, words] + virtual].float()


def word_probabilities(logits: Tensor, batch: Mapping[str, Tensor]) -> list[Tensor]:
    """Of each row (words, tags) float32 on the CPU, all zero for words that were cut off; arguments as for `at_places`."""
    places = batch["target_places"].cpu()
    whole = torch.zeros(*places.shape, logits.shape[-1])
    whole[places >= 0] = at_places(logits, batch).softmax(dim=-1).cpu()
    return [row[:words] for row, words in zip(whole, (places != IGNORED).sum(dim=1).tolist(), strict=True)]
