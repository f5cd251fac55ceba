"""Gated cross-attention (Alayrac et al. 2022, "Flamingo", https://arxiv.org/abs/2204.14198, section 2.2 and figure 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDER = 4
"""Width of the feed-forward over that of what it reads, as in the paper's listing."""
HEAD_WIDTH = 64
"""Numbers that one head of an attention reads, as in the paper's listing; fewer heads where the width is no multiple of it."""


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
        heads = max(1, width // HEAD_WIDTH)
        while width % heads:
            heads -= 1
        self.attention = nn.MultiheadAttention(width, heads, kdim=seen, vdim=seen, batch_first=True)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, WIDER * width), nn.GELU(), nn.Linear(WIDER * width, width)
        )
        self.gate = nn.Parameter(torch.zeros(1))
        self.feed_forward_gate = nn.Parameter(torch.zeros(1))

    def forward(self, read: Tensor, seen: Tensor) -> Tensor:
        """What is read, (rows, positions, width), with what it found in what is seen, (rows, places, seen)."""
        memory = self.norm_seen(seen)
        found, _ = self.attention(self.norm(read), memory, memory, need_weights=False)
        read = read + torch.tanh(self.gate) * found
        more: Tensor = torch.tanh(self.feed_forward_gate) * self.feed_forward(read)
        return read + more
