"""A network that says where an answer begins and where it ends, in the form in which all others answer."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import TokenClassifierOutput


def read_ends(model: nn.Module) -> None:
    """Let a network for question answering answer with logits, (rows, tokens, 2), in place of one tensor for each end.

    The network stays what it is, so that it is saved as any plain model is.
    """
    model.register_forward_hook(_as_logits)


def _as_logits(module: nn.Module, args: tuple[Any, ...], output: Any) -> TokenClassifierOutput:
    return TokenClassifierOutput(logits=torch.stack([output.start_logits, output.end_logits], dim=-1))
