"""Making luthier's own adapter types known to PEFT as soon as PEFT is there, and not before: `import luthier` loads no torch.

PEFT has no entry points, and its tables cannot be reached without importing it. So where PEFT is not imported yet, the import
system is asked to tell: the finder below stands before the others, takes part in the first import of PEFT, and steps aside.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

PEFT = "peft"
TYPES = ("luthier.models.bottleneck",)
"""Modules that add to PEFT's tables when they are imported."""


def register() -> None:
    """Register now, where PEFT is imported already, or else when it will be."""
    if PEFT in sys.modules:
        _import_types()
    else:
        sys.meta_path.insert(0, _Announcing())


def _import_types() -> None:
    for name in TYPES:
        importlib.import_module(name)


class _Announcing(MetaPathFinder):
    """Finds PEFT once, as the other finders do, with a loader that registers afterwards."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != PEFT:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Registering(spec.loader)
        return spec


class _Registering(Loader):
    """Loads as the loader it is given, then imports what registers."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        _import_types()
