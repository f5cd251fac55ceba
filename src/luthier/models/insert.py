"""Letting several methods insert what they insert, in an order that works for all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from luthier.errors import RecipeError
from luthier.methods import Context, Method
from luthier.models.anatomy import Anatomy


@dataclass(frozen=True)
class Inserted:
    """A method that was asked to insert, and the names of the parameters that it has added and that train."""

    method: Method
    names: tuple[str, ...]


def insert_all(
    model: nn.Module, anatomy: Anatomy, methods: Iterable[Method], context: Context
) -> tuple[nn.Module, list[Inserted]]:
    """Let each method insert what it inserts, once, those that wrap the network last.

    Args:
        model: as it was opened, all weights frozen.
        anatomy: of this model.
        methods: of all stages; the same method may come several times.
        context: what the network reads and predicts.

    Returns:
        The network, and the methods in the order in which they were asked.

    Raises:
        RecipeError: two methods contradict each other, or one does not fit the network.
    """
    order = _in_order(methods)
    if any(isinstance(one, nn.TransformerEncoderLayer) for one in model.modules()):
        # in evaluation mode it would read the weights of its linear layers itself, past what stands around them
        torch.backends.mha.set_fastpath_enabled(False)
    owners: dict[int, int] = {}
    for number, method in enumerate(order):
        before = list(model.parameters())  # kept alive: the number of a parameter that is gone could be given again
        there = {id(one) for one in before}
        model = method.insert(model, anatomy, context)
        owners |= {id(one): number for one in model.parameters() if id(one) not in there and one.requires_grad}
    names = {name: owners[id(one)] for name, one in model.named_parameters() if id(one) in owners}
    return model, [
        Inserted(method, tuple(name for name, owner in names.items() if owner == number))
        for number, method in enumerate(order)
    ]


def _in_order(methods: Iterable[Method]) -> list[Method]:
    """Different methods, those that wrap last.

    Raises:
        RecipeError: two of them wrap, or a method comes with two settings for what it inserts.
    """
    different: list[Method] = []
    for method in methods:
        if method not in different:
            different.append(method)
    inserting = [method.name for method in different if type(method).insert is not Method.insert]
    twice = [name for name in inserting if inserting.count(name) > 1]
    if twice:
        raise RecipeError(f"method: {twice[0]} is there twice with different settings; give it the same each time.")
    wrapping = [method for method in different if method.wraps]
    if len(wrapping) > 1:
        raise RecipeError(
            f"method: {wrapping[0].name} and {wrapping[1].name} cannot be combined, as each puts its own modules around the same "
            "layers; choose one of them."
        )
    return sorted(different, key=lambda method: method.wraps)
