"""Making luthier's own types known to PEFT and transformers as soon as these are there: `import luthier` loads no torch.

PEFT has no entry points, nor have transformers' Auto classes, and their tables cannot be reached without importing them. So where a
module is not imported yet, the import system is asked to tell: the finder below stands before the others, takes part in its first
import, and steps aside.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

TYPES: Mapping[str, tuple[str, ...]] = {
    "peft": ("luthier.models.bottleneck",),
    "transformers.models.auto.configuration_auto": (
        *("luthier.models.made_config", "luthier.models.fused_config", "luthier.models.captioning_config"),
    ),
    "transformers.models.auto.modeling_auto": (
        "luthier.models.made",
        "luthier.models.fused",
        "luthier.models.captioning",
    ),
}
"""By what holds the tables: the modules that add to them when they are imported."""


def register() -> None:
    """Register now, where the tables are imported already, or else when they will be."""
    for tables, own in TYPES.items():
        if tables in sys.modules:
            _import(own)
        else:
            sys.meta_path.insert(0, _Announcing(tables, own))


def _import(modules: Sequence[str]) -> None:
    for name in modules:
        importlib.import_module(name)


class _Announcing(MetaPathFinder):
    """Finds a module once, as the other finders do, with a loader that registers afterwards."""

    def __init__(self, tables: str, own: Sequence[str]) -> None:
        self.tables, self.own = tables, own

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self.tables:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Registering(spec.loader, self.own)
        return spec


class _Registering(Loader):
    """Loads as the loader it is given, then imports what registers."""

    def __init__(self, loader: Loader, own: Sequence[str]) -> None:
        self.loader, self.own = loader, own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        _import(self.own)
