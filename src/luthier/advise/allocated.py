"""Bytes of a network's tensors, and of those that a computation makes: exact where a process' size is coarse and noisy."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def bytes_of(model: nn.Module) -> int:
    """Of all weights and buffers, each once."""
    held = {
        one.untyped_storage()._cdata: one.untyped_storage().nbytes() for one in (*model.parameters(), *model.buffers())
    }
    return sum(held.values())


class Allocated(TorchDispatchMode):
    """Counts the storages that operations make while it is entered, each as long as something holds it.

    What operations are given was there before and is not counted, and neither is what kernels need inside. Attributes:
        now: bytes that are held.
        most: the most that were held at once.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._seen: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation and count what it has made."""
        for storage in _storages((args, kwargs)):
            self._note(storage, 0)
        made = func(*args, **(kwargs or {}))
        for storage in _storages(made):
            self._note(storage, storage.nbytes())
        return made

    def _note(self, storage: torch.UntypedStorage, size: int) -> None:
        """Count so many bytes for a storage, if it was not met before."""
        key = storage._cdata
        if key in self._seen:
            return

        def gone(reference: weakref.ref[torch.UntypedStorage]) -> None:
            del self._seen[key]
            self.now -= size

        self._seen[key] = weakref.ref(storage, gone)
        self.now += size
        self.most = max(self.most, self.now)


def _storages(values: Any) -> Iterator[torch.UntypedStorage]:
    """Of all tensors somewhere in what an operation takes or gives; a sparse one has two."""
    for one in tree_leaves(values):
        if isinstance(one, torch.Tensor):
            parts = (one._indices(), one._values()) if one.is_sparse else (one,)
            yield from (part.untyped_storage() for part in parts)
