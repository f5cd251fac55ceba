"""Where the frozen part of a network ends: below it nothing trains, so its output is the same in every epoch.

A boundary is the output of one module: of the whole base where only the head trains, else of the last block below the
lowest one that trains.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn

from luthier.errors import TrainError
from luthier.models.anatomy import Anatomy, within
from luthier.models.names import plain


@dataclass(frozen=True)
class Boundary:
    """Names of modules in the network as it trains, with all that methods have put around them."""

    kept: str
    """Its output is kept."""
    passed: tuple[str, ...]
    """Blocks before it."""
    frozen: tuple[str, ...]
    """All that lies below: it stays in evaluation mode."""
    around: tuple[str, ...] = ()
    """What holds both this and the rest. Its own code stays in evaluation mode, as it may change what goes into the blocks or leave
    some out: functional dropout, LayerDrop, SpecAugment."""

    above: tuple[str, ...] = ()
    """What certainly lies above, by names that the network had before PEFT wrapped it."""

    def settle(self, network: nn.Module) -> None:
        """Put into evaluation mode what is to stay in it.

        Args:
            network: in which the modules have these names.
        """
        for name in self.frozen:
            network.get_submodule(name).eval()
        for name in self.around:
            network.get_submodule(name).training = False


def find_boundary(model: nn.Module, anatomy: Anatomy, trained: Iterable[str]) -> Boundary:
    """The highest boundary below everything that trains.

    Args:
        model: the network with what methods have inserted.
        anatomy: of the network before that.
        trained: names of the parameters that train.

    Raises:
        TrainError: there is none, as something trains at the very beginning.
    """
    if answers_apart(model):
        return _encoder(model, trained)
    real = real_names(model)
    names = sorted({plain(name) for name in trained})
    if anatomy.base and not any(within(name, (anatomy.base,)) for name in names):
        whole = real[anatomy.base]
        return Boundary(whole, (), (whole,), above=anatomy.head)
    places = {name: _blocks_below(name, anatomy) for name in names}
    lowest = min(places, key=lambda name: places[name])
    if places[lowest] == 0:
        raise TrainError(f"{lowest} trains, below which nothing costs time")
    below = anatomy.blocks[: places[lowest]]
    frozen = (*below, *_before(model, real, anatomy.blocks[0]))
    return Boundary(
        kept=real[below[-1]],
        passed=tuple(real[name] for name in below[:-1]),
        frozen=tuple(real[name] for name in frozen),
        around=tuple(real[name] for name in _around(anatomy)),
        above=(*anatomy.blocks[places[lowest] :], *anatomy.after, *anatomy.head),
    )


def answers_apart(model: nn.Module) -> bool:
    """Whether a network writes by a decoder that reads its own answer and what an encoder has made of the input."""
    config = getattr(model, "config", None)
    return bool(getattr(config, "is_encoder_decoder", False) and getattr(model, "can_generate", bool)())


def _encoder(model: Any, trained: Iterable[str]) -> Boundary:
    """The encoder: positions above it are those of the answer, which has a length of its own.

    Raises:
        TrainError: something in it trains, if only the words that it shares with the decoder.
    """
    encoder = model.get_encoder()
    inside = {id(one): name for name, one in encoder.named_parameters()}
    parameters = dict(model.named_parameters())
    training = [inside[id(parameters[name])] for name in trained if id(parameters[name]) in inside]
    if training:
        raise TrainError(f"{training[0]} of the encoder trains")
    (kept,) = [name for name, one in model.named_modules() if one is encoder]
    return Boundary(kept, (), (kept,))


def real_names(model: nn.Module) -> dict[str, str]:
    """Names of modules as they are now, by what they were before PEFT wrapped the network; the network itself is ``""``."""
    names = [name for name, _ in model.named_modules()]
    return {plain(f"{name}.x".lstrip("."))[:-1].rstrip("."): name for name in names}


def _blocks_below(name: str, anatomy: Anatomy) -> int:
    """How many blocks run before a parameter is used, as far as its name tells."""
    own = [index for index, block in enumerate(anatomy.blocks) if within(name, (block,))]
    if own:
        return own[0]
    return len(anatomy.blocks) if within(name, (*anatomy.head, *anatomy.after)) else 0


def _around(anatomy: Anatomy) -> list[str]:
    """The base and what it holds the blocks in; a network that holds its parts itself is its own base."""
    parts = anatomy.blocks[0].split(".")[:-1]
    outer = [".".join(parts[:count]) for count in range(len(parts) + 1)]
    return [name for name in outer if within(name, (anatomy.base,)) or not anatomy.base]


def _before(model: nn.Module, real: dict[str, str], block: str) -> list[str]:
    """Modules registered before the one that holds the blocks, at each level down to their list."""
    found, at = [], ""
    for part in block.split(".")[:-1]:
        children = [name for name, _ in model.get_submodule(real[at]).named_children()]
        found += [f"{at}.{name}".lstrip(".") for name in children[: children.index(part)]]
        at = f"{at}.{part}".lstrip(".")
    return found
