"""Whether a training fits into the memory of a machine, from a forward call of one row; and the nearest settings that do fit."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from accelerate import Accelerator

from luthier import hardware
from luthier.advise.allocated import Allocated, bytes_of
from luthier.advise.machine import Machine, here
from luthier.build import Ready, batches_of, get_ready, sizes_of
from luthier.data.batches import EncodedFeed
from luthier.errors import LuthierError, TrainError
from luthier.evaluate.predict import evaluating
from luthier.recipe.reading import read
from luthier.recipe.schema import Recipe
from luthier.show import Console
from luthier.training.keeping import said
from luthier.training.microbatch import CALL_COST, FEW, FEW_TOKENS, cut

STEPS = 20
"""Steps of the first epoch in which the largest micro-batch is looked for."""
SAFE = 0.95
"""Share of the room that a forecast may fill."""
PLENTY = 4 * hardware.GIB
"""Bytes that weights, gradients and moments leave over where no row has to be looked at: the training is far from filling memory."""
SMALLEST = 16
"""Least that `train.max_tokens` can be."""

SMALLER: tuple[tuple[str, ...], ...] = (
    (),
    ("train.gradient_checkpointing=true",),
    ("method=lora", "stages="),
    ("method=lora", "stages=", "train.gradient_checkpointing=true"),
    ("method={name: lora, bits: 4}", "stages="),
    ("method={name: lora, bits: 4}", "stages=", "train.gradient_checkpointing=true"),
)
"""What is laid over a recipe to need less memory, the nearest to it first; each may come with smaller micro-batches."""


@dataclass(frozen=True)
class Need:
    """Bytes that a training takes beside its process."""

    fixed: int
    """Weights, their gradients and AdamW's two moments."""
    position: float
    """Activations of a padded position."""
    longest: int
    """Positions of the longest row, which cannot be divided."""
    largest: int
    """Padded positions of the largest micro-batch."""

    @property
    def total(self) -> int:
        """With micro-batches as they are."""
        return int(self.fixed + self.position * self.largest)

    def room_for(self, room: int) -> int:
        """Most padded positions of a micro-batch that fit; fewer than `longest` where not even one row does."""
        return min(self.largest, int((room - self.fixed) / max(self.position, 1e-9)))


def refuse(ready: Ready, accelerator: Accelerator, otherwise: str = "") -> None:
    """Stop a training that will not fit, before it has written anything.

    Args:
        ready: data and model, before the first step.
        accelerator: of the training; several processes are let pass.
        otherwise: what else the command can do.

    Raises:
        TrainError: with what it takes, what there is, and the nearest settings that fit.
    """
    if accelerator.num_processes > 1:
        return
    machine = here(accelerator.device, hardware.resident_memory() - bytes_of(ready.model))
    if machine.process + _fixed(ready) + PLENTY < machine.room:
        return
    told = verdict(ready, machine, accelerator)
    if told:
        raise TrainError(f"{told} {otherwise}".rstrip())


def verdict(ready: Ready, machine: Machine, accelerator: Accelerator) -> str:
    """Why a training does not fit into a machine, and what does; empty where it fits."""
    need, room = need_of(ready, machine.kind), int(SAFE * machine.room) - machine.process
    if need.total <= room:
        return ""
    found = next(_fitting(ready, machine, room, accelerator), None)
    nearest = f"What fits: {found}." if found else "Choose a smaller model, or lower data.max_length."
    return (
        f"This training takes about {said(machine.process + need.total)} of memory, and {machine.name} has {said(machine.room)} "
        f"for it. {nearest}"
    )


def need_of(ready: Ready, kind: str) -> Need:
    """What a training takes, from a forward call of its longest row.

    Args:
        ready: data and model, on any device.
        kind: of the device that it is for.
    """
    lengths = ready.data.rows["train"].lengths
    longest = int(lengths.max())
    feed = EncodedFeed(ready.data.rows["train"], ready.modality)
    counter, model = Allocated(), ready.model
    with torch.random.fork_rng(), evaluating(model):  # a training afterwards is the same
        batch = feed.batch(np.array([int(np.argmax(lengths))]), next(model.parameters()).device)
        with counter:
            kept = ready.data.target.objective()(model, batch)
    del kept
    return Need(_fixed(ready), counter.most / longest, longest, largest(ready, kind))


def _fixed(ready: Ready) -> int:
    trained = [one for name, one in ready.model.named_parameters() if name in ready.applied.trained]
    return bytes_of(ready.model) + 3 * sum(one.numel() * one.element_size() for one in trained)


def largest(ready: Ready, kind: str) -> int:
    """Padded positions of the largest micro-batch on a kind of device."""
    rows, sizes = ready.data.rows["train"], sizes_of(ready.model)
    few = sum(sizes[name] for name in ready.applied.trained) < FEW * sum(sizes.values())
    limits = [limit for limit in (ready.recipe.train.max_tokens, FEW_TOKENS.get(kind) if few else None) if limit]
    batches = batches_of(ready.recipe, rows)
    numbers = np.linspace(0, batches.per_epoch - 1, min(STEPS, batches.per_epoch)).astype(int)
    steps = [rows.lengths[batches.at(int(number))] for number in numbers]
    price = CALL_COST.get(kind, CALL_COST["cpu"])
    pieces = [lengths[piece] for lengths in steps for piece in cut(lengths, price, min(limits, default=None))]
    return max(len(piece) * int(piece.max()) for piece in pieces)


def _fitting(ready: Ready, machine: Machine, room: int, accelerator: Accelerator) -> Iterator[str]:
    """Settings that fit, the nearest first, as they are written on the command line."""
    for overrides in SMALLER:
        try:
            other = again(ready, read(ready.recipe, overrides), accelerator) if overrides else ready
            need = need_of(other, machine.kind)
        except LuthierError:  # this model cannot do it
            continue
        most = need.room_for(room)
        if most < max(need.longest, SMALLEST):
            continue
        shorter = [] if most == need.largest else [f"train.max_tokens={most}"]
        given = [f'"{one}"' if " " in one else one for one in overrides if one != "stages=" or ready.recipe.stages]
        yield f"{' '.join([*given, *shorter])} ({said(int(machine.process + need.fixed + need.position * most))})"


def again(ready: Ready, recipe: Recipe, accelerator: Accelerator) -> Ready:
    """The same rows for another recipe with the same data; their labels have been judged."""
    data = replace(ready.data, facts=copy.deepcopy(ready.data.facts), rows={})
    judged = recipe.model_copy(update={"data": recipe.data.model_copy(update={"labels": "ignore"})})
    return get_ready(judged, data, accelerator, Console(quiet=True))
