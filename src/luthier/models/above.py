"""Running a network from a boundary upwards, with the outputs of what lies below already there.

The network's own code runs. For the time of a call the module at the boundary is exchanged by one that returns what was kept,
and the blocks before it by ones that pass on what they get.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree as pytree

from luthier.errors import TrainError
from luthier.models.boundary import Boundary

Place = tuple[nn.Module, str, nn.Module]
"""A module, the name of a child, and what stands in its place."""
KEPT = "kept"
"""Begins the names of the arguments that hold what was kept."""


@dataclass(frozen=True)
class Output:
    """What a module gave: its tensors, and the structure that holds them."""

    leaves: list[Tensor | None]
    """None for what is no tensor of one entry a row."""
    spec: Any


class Above(nn.Module):
    """A network from a boundary upwards.

    Args:
        model: the network as it is called.
        inside: the same, or what Accelerate has wrapped: where the modules are.
        boundary: found in `inside`.
        spec: structure of the kept module's output.
    """

    def __init__(self, model: nn.Module, inside: nn.Module, boundary: Boundary, spec: Any) -> None:
        super().__init__()
        self.model = model
        self._stored = _Stored(inside.get_submodule(boundary.kept), spec)
        self._leaves = spec.num_leaves
        self._settle = partial(boundary.settle, inside)
        self._places: list[Place] = [(*_place(inside, boundary.kept), self._stored)]
        for name in boundary.passed:
            self._places.append((*_place(inside, name), _Passed(inside.get_submodule(name), spec)))

    def forward(self, **inputs: Tensor) -> Any:
        """The network's output.

        Args:
            inputs: the network's own, and `kept0`, `kept1`, ...: the leaves of the kept module's output, rows first.
        """
        own = {name: value for name, value in inputs.items() if not name.startswith(KEPT)}
        self._stored.leaves = [inputs.get(f"{KEPT}{number}") for number in range(self._leaves)]
        try:
            with _exchanged(self._places):
                return self.model(**own)
        finally:
            self._stored.leaves = ()

    def train(self, mode: bool = True) -> Above:
        """What is frozen stays in evaluation mode."""
        super().train(mode)
        self._settle()
        return self


def record(model: nn.Module, inside: nn.Module, kept: str, inputs: Mapping[str, Tensor]) -> Output:
    """Run a network up to a module and return what that gives.

    Args:
        model: the network as it is called.
        inside: the same, or what Accelerate has wrapped.
        kept: name of the module in `inside`.
        inputs: the network's own.

    Raises:
        TrainError: the network does not call the module.
    """
    recorder = _Recorder(inside.get_submodule(kept))
    try:
        with _exchanged([(*_place(inside, kept), recorder)]):
            model(**inputs)
    except _Reached:
        rows = next(iter(inputs.values())).shape[0]
        leaves, spec = pytree.tree_flatten(recorder.output)
        return Output([leaf if _has_rows(leaf, rows) else None for leaf in leaves], spec)
    raise TrainError(f"the network does not call {kept}")


def _has_rows(leaf: Any, rows: int) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.dim() > 1 and leaf.shape[0] == rows


class _Reached(Exception):  # noqa: N818 (not an error: it ends a forward pass)
    """The module to record has run; what comes after it is not needed."""


class _Standing(nn.Module):
    """Stands in a module's place; whatever the network asks of it beside a call, the module answers."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._module = (module,)  # in a tuple, so that its parameters do not count as this one's

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["_module"][0], name)


class _Recorder(_Standing):
    output: Any = None

    def forward(self, *arguments: Any, **named: Any) -> Any:
        self.output = self._module[0](*arguments, **named)
        raise _Reached


class _Stored(_Standing):
    def __init__(self, module: nn.Module, spec: Any) -> None:
        super().__init__(module)
        self.spec = spec
        self.leaves: Sequence[Tensor | None] = ()

    def forward(self, *arguments: Any, **named: Any) -> Any:
        return pytree.tree_unflatten(list(self.leaves), self.spec)


class _Passed(_Standing):
    """Returns its input as a block would: alone, or as the first of a tuple where blocks return tuples."""

    def __init__(self, block: nn.Module, spec: Any) -> None:
        super().__init__(block)
        self._tuple_of = 0 if spec.is_leaf() else spec.num_children

    def forward(self, *arguments: Any, **named: Any) -> Any:
        hidden = arguments[0] if arguments else named["hidden_states"]
        return (hidden, *[None] * (self._tuple_of - 1)) if self._tuple_of else hidden


def _place(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    parent, _, child = name.rpartition(".")
    return model.get_submodule(parent), child


@contextmanager
def _exchanged(places: Sequence[Place]) -> Iterator[None]:
    """Put other modules in the places of some, and these back afterwards."""
    before = [parent._modules[child] for parent, child, _ in places]
    for parent, child, module in places:
        parent._modules[child] = module
    try:
        yield
    finally:
        for (parent, child, _), own in zip(places, before, strict=True):
            parent._modules[child] = own
