"""The machine a training is for: this one, or one that a person describes."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from luthier import hardware
from luthier.errors import RecipeError

KINDS = {"cpu": "cpu", "gpu": "cuda"}
"""Words of a description, and the kind of device in PyTorch's words."""
CONTEXT = hardware.GIB // 2
"""Bytes of a GPU that CUDA and its libraries take for themselves, before a tensor is made; not measured here."""


@dataclass(frozen=True)
class Machine:
    """What a training has to fit into."""

    name: str
    """For people."""
    kind: str
    """As `torch.device.type`."""
    room: int
    """Bytes that the whole training may take."""
    process: int
    """Bytes of them that are taken before a weight is there: Python, libraries and rows, or on a GPU its driver's."""
    here: bool = True
    """Whether it is the one that computes the forecast."""


def here(device: torch.device, process: int) -> Machine:
    """This machine, with what is free now.

    Args:
        device: that computes.
        process: bytes of this process without the model.
    """
    if device.type == "cuda":
        room = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_allocated(device)
        return Machine(torch.cuda.get_device_name(device), "cuda", room, 0)
    return Machine("this machine", device.type, hardware.available_memory() + hardware.resident_memory(), process)


def described(text: str, process: int) -> Machine:
    """The machine of a description such as `gpu 24GB`.

    Args:
        text: `cpu` or `gpu`, and its memory.
        process: bytes that a training's process takes on a CPU without the model.

    Raises:
        RecipeError: it is not understood.
    """
    found = re.fullmatch(r"(cpu|gpu)\s+(\d+(?:\.\d+)?)\s*GB", text.strip(), re.IGNORECASE)
    if not found or not float(found[2]):
        raise RecipeError(f"--machine is {text!r}; give cpu or gpu and its memory, such as 'gpu 24GB' or 'cpu 8GB'.")
    kind = KINDS[found[1].lower()]
    taken = process if kind == "cpu" else CONTEXT
    return Machine(f"a {found[1].lower()} of {found[2]} GB", kind, int(float(found[2]) * hardware.GIB), taken, False)
