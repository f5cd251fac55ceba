"""A hash of all that decides on what lies below a boundary: another run that has the same may use its outputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping

import peft
import torch
import transformers
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

import luthier
from luthier.models.anatomy import within
from luthier.models.boundary import Boundary
from luthier.models.names import plain

LABELS = ("id2label", "label2id", "problem_type")
"""Of a configuration, what only the head heeds."""


def hash_below(network: nn.Module, boundary: Boundary) -> hashlib._Hash:
    """Hash of weights, buffers, settings and code.

    Args:
        network: as it trains now.
        boundary: found in it.
    """
    digest = hashlib.sha256()
    versions = (torch.__version__, transformers.__version__, peft.__version__, luthier.__version__)
    for part in (plain(boundary.kept), versions, _settings(network, boundary.above)):
        digest.update(repr(part).encode())
    for name, value in _below(network, boundary.above):
        digest.update(plain(name).encode())
        digest.update(bytes_of(value))
    return digest


def bytes_of(value: Tensor) -> memoryview:
    """The numbers of a tensor as they lie in memory."""
    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _below(network: nn.Module, above: Collection[str]) -> Iterator[tuple[str, Tensor]]:
    """What neither trains now nor lies above: a network may hold a weight of its own beside its blocks, or register a table behind them.

    Buffers too: what is drawn from a seed is not always in the state.
    """
    found = {**dict(network.named_buffers()), **network.state_dict(keep_vars=True)}
    for name, value in found.items():
        if not value.requires_grad and not within(plain(name), above):
            yield name, value


def _settings(network: nn.Module, above: Collection[str]) -> list[str]:
    """The configuration of a network, and PEFT's where it has put something around what does not lie above: weights alone do not say
    what is computed with them.
    """
    found = [getattr(one, "config", None) for one in (network, *network.children())]
    if any(isinstance(one, BaseTunerLayer) and not within(plain(name), above) for name, one in network.named_modules()):
        found += getattr(network, "peft_config", {}).values()
    told = [one if isinstance(one, dict) else one.to_dict() for one in found if one is not None]
    return list(dict.fromkeys(json.dumps(_without_labels(one), sort_keys=True, default=_in_order) for one in told))


def _without_labels(settings: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in settings.items() if key not in LABELS}


def _in_order(value: object) -> object:
    """Sets in an order that is the same in every process, and whatever JSON does not know as text."""
    return sorted(value) if isinstance(value, set) else str(value)
