"""Which part of a frozen module's output the rest of the network uses, found by trying.

A classifier that reads the first token only needs one vector a row, and not one a token. What is not used is filled with NaN:
if the logits stay the same, it was not used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from luthier.errors import TrainError
from luthier.models.above import KEPT, Above, Output
from luthier.training.memory import out_of_memory

TOLERANCE = 1e-5
"""Largest difference of logits between a call from the boundary upwards and one of the whole network."""

REFUSALS = (RuntimeError, ValueError, TypeError, LookupError, AttributeError)
"""How a network says that it cannot go on from what it was given: it was not written for that."""

Leaves = Sequence[Tensor | None]


def _first(leaf: Tensor, lengths: Tensor) -> Tensor:
    return leaf[:, :1]


def _last(leaf: Tensor, lengths: Tensor) -> Tensor:
    return leaf[torch.arange(len(leaf), device=leaf.device), lengths.to(leaf.device) - 1].unsqueeze(1)


FIRST, LAST = "first", "last"
ONE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {FIRST: _first, LAST: _last}
"""Ways to take one position of each row."""
NONE, ROW, WHOLE = "none", "row", "whole"


@dataclass(frozen=True)
class Probe:
    """Some rows to try with."""

    inputs: Mapping[str, Tensor]
    """Of the network, rows first; tokens are (rows, positions)."""
    lengths: Tensor
    """Positions of each row that are no padding, (rows,)."""
    logits: Tensor
    """Of the whole network."""
    ways: tuple[str, ...] = tuple(ONE)
    """To take one position, keys of `ONE`, that are tried."""


@dataclass(frozen=True)
class Selection:
    """What is kept of each leaf: `none`; `first`, `last` or the `whole` of its positions; or its `row`, where it has none."""

    parts: tuple[str, ...]
    plain: bool = False
    """Whether the network is called with its inputs as they are: it computes something of them above what is kept."""

    @property
    def position(self) -> str | None:
        """The one position of each row that the network is called with, or None for all of them."""
        ones = sorted(set(self.parts) & set(ONE)) or [FIRST]
        return None if self.plain or WHOLE in self.parts or len(ones) > 1 else ones[0]

    def keep(self, leaves: Leaves, lengths: Tensor) -> list[Tensor | None]:
        """What is kept of the leaves; of one that is not used, a placeholder with one entry a row."""
        return [_kept(leaf, part, lengths) for leaf, part in zip(leaves, self.parts, strict=True)]

    def inputs(self, inputs: Mapping[str, Tensor], lengths: Tensor) -> dict[str, Tensor]:
        """The network's inputs that go with it: of tokens the one position, of images and sound no more than an entry a row."""
        take = ONE.get(self.position or "")
        return {name: _short(value, take, lengths) if take else value for name, value in inputs.items()}


def _short(value: Tensor, take: Callable[[Tensor, Tensor], Tensor], lengths: Tensor) -> Tensor:
    if value.dim() == 2:
        return take(value, lengths)
    return value[(slice(None), *[slice(1)] * (value.dim() - 1))].clone()


def select(above: Above, output: Output, probe: Probe) -> Selection:
    """The smallest selection that gives the same logits.

    Args:
        above: the network from the boundary upwards, in evaluation mode.
        output: of the kept module for the probe's inputs.
        probe: rows of different lengths.

    Raises:
        TrainError: not even the whole output gives the same logits.
    """
    least = Selection(tuple(_least(above, output.leaves, number, probe) for number in range(len(output.leaves))))
    everything = Selection(tuple(NONE if leaf is None else _most(leaf, probe) for leaf in output.leaves))
    for selection in (least, everything, replace(least, plain=True), replace(everything, plain=True)):
        inputs = selection.inputs(probe.inputs, probe.lengths)
        if _same(above, selection.keep(output.leaves, probe.lengths), inputs, probe.logits):
            return selection
    raise TrainError("its upper part needs more of the lower part than its output")


def _least(above: Above, leaves: Leaves, number: int, probe: Probe) -> str:
    leaf = leaves[number]
    if leaf is None:
        return NONE
    for part, bad in _trials(leaf, probe).items():
        if _same(above, [*leaves[:number], bad, *leaves[number + 1 :]], probe.inputs, probe.logits):
            return part
    return _most(leaf, probe)


def _most(leaf: Tensor, probe: Probe) -> str:
    """All of a leaf: one entry for each position of the input, or one for the row."""
    positions = next(iter(probe.inputs.values())).shape[1]
    return WHOLE if leaf.dim() == 3 and leaf.shape[1] == positions else ROW


def _trials(leaf: Tensor, probe: Probe) -> dict[str, Tensor]:
    """The leaf with NaN wherever each way of keeping less would not keep it."""
    trials = {NONE: torch.full_like(leaf, torch.nan)}
    if _most(leaf, probe) == WHOLE:
        positions = torch.arange(leaf.shape[1], device=leaf.device).expand(leaf.shape[:2])
        for part in probe.ways:
            spared = positions == ONE[part](positions, probe.lengths)
            trials[part] = leaf.masked_fill(~spared.unsqueeze(-1), torch.nan)
    return trials


def _same(above: Above, leaves: Leaves, inputs: Mapping[str, Tensor], expected: Tensor) -> bool:
    kept = {f"{KEPT}{number}": leaf for number, leaf in enumerate(leaves) if leaf is not None}
    try:
        found: Any = above(**inputs, **kept)
    except REFUSALS as wrong:
        if out_of_memory(wrong):  # says nothing of what the network needs
            raise
        return False
    return torch.allclose(found.logits.float(), expected.float(), rtol=0, atol=TOLERANCE)


def _kept(leaf: Tensor | None, part: str, lengths: Tensor) -> Tensor | None:
    if leaf is None or part in {ROW, WHOLE}:
        return leaf
    if part == NONE:
        return leaf.new_zeros(()).expand(leaf.shape[0], *[1] * (leaf.dim() - 2), leaf.shape[-1])
    return ONE[part](leaf, lengths)
