"""What a training writes, and whether the disk has room for it."""

from __future__ import annotations

from pathlib import Path

from luthier import hardware, increment
from luthier.advise.allocated import bytes_of
from luthier.build import Ready
from luthier.errors import DiskFullError
from luthier.folder import RESERVE
from luthier.models.save import size_of, trained_state
from luthier.training.keeping import said

AT_ONCE = 3
"""Checkpoints that a run holds beside older ones that it is asked to keep: the last, the best, and the one being written."""


def written(ready: Ready, moments: int) -> int:
    """Bytes of a run's checkpoints and of the saved model.

    Args:
        ready: data and model.
        moments: bytes of the optimiser's state.
    """
    own = size_of(trained_state(ready.model, ready.applied.trained))
    merged = increment.kind(ready.applied.inserted, ready.recipe.save) == increment.MERGED
    model = bytes_of(ready.model) if merged else own
    return (own + moments) * (AT_ONCE + ready.recipe.train.keep) + model


def lacking(needed: int, folder: Path) -> str:
    """Why a run has no room on its disk; empty where it has.

    Args:
        needed: bytes that it writes.
        folder: of the run; what it holds already is no longer needed beside that.
    """
    held = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
    free = hardware.free_disk(folder)
    if needed + RESERVE <= free + held:
        return ""
    return (
        f"This training writes about {said(needed + RESERVE)}, and the disk of {folder} has {said(free + held)} for it. "
        "Free some space, or give an output= on another disk."
    )


def refuse(ready: Ready, otherwise: str) -> None:
    """Stop a training whose checkpoints will find no room, before it has written anything.

    Args:
        ready: data and model.
        otherwise: what else the command can do.

    Raises:
        DiskFullError: with what it writes and what there is.
    """
    trained = [one for name, one in ready.model.named_parameters() if name in ready.applied.trained]
    moments = 2 * sum(one.numel() * one.element_size() for one in trained)
    told = lacking(written(ready, moments), Path(ready.recipe.output))
    if told:
        raise DiskFullError(f"{told} {otherwise}")
