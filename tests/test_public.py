"""The public names, and the order of the layers: nobody imports from a layer above."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import luthier

SOURCE = Path(luthier.__file__).parent
LAYERS = (
    ("errors",),
    ("registry", "extras", "cache", "peft_types"),
    ("commented", "counted", "folder", "show", "search"),
    ("objectives", "methods", "modalities", "tasks", "augment", "networks"),
    ("recipe",),
    ("demo", "data"),
    ("first_look", "suggest", "suggested_model", "tracking", "settled", "models"),
    ("methods/*", "modalities/*", "objectives/*", "augment/*", "networks/*", "hardware"),
    ("entrances",),
    ("entrances/*",),
    ("inputs",),
    ("training", "evaluate", "tasks/*", "prepare", "increment"),
    ("model", "embed"),
    ("shifted",),
    ("judged",),
    ("build",),
    (
        *("prediction_file", "run", "review", "versions", "described", "advise", "calibrated", "later"),
        *("data_commands", "opponents", "trials"),
    ),
    ("pipeline",),
    ("search/*",),
    ("auto",),
    (
        *("auto_commands", "check_commands", "commands", "compare_commands", "cost_commands", "judge_commands"),
        *("search_commands", "transfer_commands"),
    ),
    ("cli_data",),
    ("cli",),
    ("__main__", "__init__"),
)
"""From the bottom up; modules of one line may import each other. `methods` is the contract, `methods/*` its members, which are
named in registries as text and so imported by nobody."""


def test_public_names() -> None:
    assert set(luthier.__all__) == {"Evaluation", "LuthierError", "Prediction", "Recipe", "Run", "open", "train"}
    for name in luthier.__all__:
        assert callable(getattr(luthier, name)), name
    with pytest.raises(AttributeError, match="module 'luthier' has no attribute 'nothing'"):
        _ = luthier.nothing


def test_every_module_stands_in_a_layer() -> None:
    known = {name for layer in LAYERS for name in layer}
    assert {path.stem for path in SOURCE.iterdir() if path.is_dir() or path.suffix == ".py"} - {"__pycache__"} <= known


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down(path: Path) -> None:
    mine = _level(".".join(path.relative_to(SOURCE).with_suffix("").parts))
    for imported in _imports(ast.parse(path.read_text(encoding="utf-8"))):
        assert _level(imported) <= mine, (
            f"{path.relative_to(SOURCE)} imports luthier.{imported}, which is a layer above"
        )


def _level(module: str) -> int:
    level = {name: index for index, layer in enumerate(LAYERS) for name in layer}
    first, _, rest = module.partition(".")
    member = f"{first}/*"
    return level[member] if member in level and rest not in {"", "__init__"} else level[first]


def _imports(tree: ast.Module) -> set[str]:
    """Modules of luthier that a module imports, those for type checking left out."""
    for_types = {node for outer in ast.walk(tree) if isinstance(outer, ast.If) for node in ast.walk(outer)}
    found = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.ImportFrom)
            and node not in for_types
            and (node.module or "").split(".")[0] == "luthier"
        ):
            inner = str(node.module).partition(".")[2]
            found |= {inner} if inner else {alias.name for alias in node.names if alias.name in _MODULES}
    return found


_MODULES = {path.stem for path in SOURCE.iterdir()}
