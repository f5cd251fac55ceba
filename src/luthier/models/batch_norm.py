"""BatchNorm in a network that is fine-tuned: whose statistics stand still, and when rows must stay together."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def rest(model: nn.Module) -> None:
    """Put each BatchNorm of which no parameter trains into evaluation mode, in place.

    In training mode it would go on to count: its statistics would move although its weights are frozen, and the network above them
    would answer differently from row to row (Kornblith, Shlens & Le, "Do better ImageNet models transfer better?", CVPR 2019).
    """
    for layer in _layers(model):
        if not any(one.requires_grad for one in layer.parameters()):
            layer.eval()


def mixes_rows(model: nn.Module) -> bool:
    """Whether a row's output depends on the others of its batch: some BatchNorm trains."""
    return any(one.requires_grad for layer in _layers(model) for one in layer.parameters())


def _layers(model: nn.Module) -> Iterator[nn.Module]:
    return (module for module in model.modules() if isinstance(module, _BatchNorm))
