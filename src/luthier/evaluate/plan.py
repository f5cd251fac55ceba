"""Which methods a run was trained with, in which stages, as its recipe.yaml tells it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from luthier.evaluate.records import Records


def methods(recipe: Mapping[str, Any]) -> list[str]:
    """Every method with its settings, once; `gradual` where the recipe says so."""
    return list(dict.fromkeys(settings(one) for stage in _plan(recipe) for one in stage))


def told(recipe: Mapping[str, Any], tell: Callable[[Any], str]) -> str:
    """The methods in a line, stage by stage, each as `tell` (`name` or `settings`) says it."""
    return ", then ".join(" + ".join(map(tell, stage)) for stage in _plan(recipe))


def stages(records: Records) -> list[dict[str, Any]] | None:
    """What trained in which stage, as planned; None for a run of one."""
    found = records.resolved.get("stages") or []
    return [dict(stage) for stage in found] if len(found) > 1 else None


def name(member: Any) -> str:
    """A member of a registry is written as a name or as a mapping with `name`."""
    return str(member["name"] if isinstance(member, Mapping) else member)


def settings(member: Any) -> str:
    """The same with the settings that are not null, in brackets."""
    given = {key: value for key, value in member.items() if key != "name"} if isinstance(member, Mapping) else {}
    listed = ", ".join(f"{key} {value}" for key, value in given.items() if value is not None)
    return name(member) + (f" ({listed})" if listed else "")


def _plan(recipe: Mapping[str, Any]) -> list[list[Any]]:
    """Members of the registry of methods, a list a stage."""
    written = recipe.get("stages") or [recipe]
    return [[written]] if isinstance(written, str) else [_listed(stage["method"]) for stage in written]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
