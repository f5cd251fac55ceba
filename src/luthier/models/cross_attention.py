"""Gated cross-attention (Alayrac et al. 2022, "Flamingo", https://arxiv.org/abs/2204.14198, section 3.1.2 and figure 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init

WIDER = 4
"""Width of the feed-forward over that of what it reads, as in the paper's listing."""
HEAD_WIDTH = 64
"""Numbers that one head of an attention reads, as in the paper's listing; fewer heads where the width is no multiple of it."""

Remembered = tuple[Tensor, Tensor]
"""Keys and values of what is seen, each (rows, heads, places, width of a head)."""


class GatedCrossAttention(nn.Module):
    """What is read looks at what is seen, and a feed-forward follows; both through gates that are closed at the start.

    x = x + tanh(a) * attention(norm(x), norm(seen)); x = x + tanh(b) * feed_forward(norm(x)), with a = b = 0 at first, so that a
    network with such layers begins as the one without them.

    Args:
        width: of what is read.
        seen: width of what is seen.
    """

    def __init__(self, width: int, seen: int) -> None:
        super().__init__()
        self.norm, self.norm_seen = nn.LayerNorm(width), nn.LayerNorm(seen)
        self.heads = max(1, width // HEAD_WIDTH)
        while width % self.heads:
            self.heads -= 1
        self.query, self.output = nn.Linear(width, width), nn.Linear(width, width)
        self.key, self.value = nn.Linear(seen, width), nn.Linear(seen, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, WIDER * width), nn.GELU(), nn.Linear(WIDER * width, width)
        )
        self.gate = nn.Parameter(torch.zeros(1))
        self.feed_forward_gate = nn.Parameter(torch.zeros(1))

    def remember(self, seen: Tensor) -> Remembered:
        """What attention needs of what is seen, (rows, places, seen): once for all that is read of it."""
        memory = self.norm_seen(seen)
        return self._by_head(self.key(memory)), self._by_head(self.value(memory))

    def forward(self, read: Tensor, seen: Tensor, remembered: Remembered | None = None) -> Tensor:
        """What is read, (rows, positions, width), with what it found in what is seen, (rows, places, seen).

        Args:
            read: (rows, positions, width).
            seen: (rows, places, seen).
            remembered: of it, where that is there already.
        """
        keys, values = remembered or self.remember(seen)
        found = F.scaled_dot_product_attention(self._by_head(self.query(self.norm(read))), keys, values)
        read = read + torch.tanh(self.gate) * self.output(found.transpose(1, 2).flatten(2))
        more: Tensor = torch.tanh(self.feed_forward_gate) * self.feed_forward(read)
        return read + more

    def _by_head(self, projected: Tensor) -> Tensor:
        """(rows, heads, positions, width of a head), of (rows, positions, width)."""
        rows, positions, width = projected.shape
        return projected.view(rows, positions, self.heads, width // self.heads).transpose(1, 2)


def draw(layer: GatedCrossAttention) -> None:
    """Draw a new layer, where its weights were not loaded: projections as torch's MultiheadAttention does, and closed gates."""
    for one in (layer.query, layer.key, layer.value):
        init.xavier_uniform_(one.weight)
    init.zeros_(layer.gate)
    init.zeros_(layer.feed_forward_gate)
