"""Values to search in a recipe: found where numbers stand, and tried against the schema before a second of compute is spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError
from ruamel.yaml.comments import CommentedMap

from luthier.errors import RecipeError
from luthier.recipe.problems import Lines, place, problems
from luthier.recipe.schema import Recipe
from luthier.search import Among, Range, read

SECTION = "search"
FIXED = (
    "data.files",
    "data.columns",
    "data.split",
    "data.rows",
    "data.clean",
    "task",
    "seed",
    "train.monitor",
    "train.keep_best",
)
"""Keys that decide which rows the choice is made on, and by which figure: trials with other ones could not be compared."""
NO_SETTINGS = ("output", "resolved", SECTION)


def lift(document: dict[str, Any]) -> list[str]:
    """Move ranges that stand in the place of a number to `search.space`, in place; returns their dotted keys."""
    found = [(path, value) for path, value in _ranges(document) if path[0] != SECTION]
    for path, value in found:
        key, line = ".".join(map(str, path)), _position(document, path)
        _remove(document, path)
        space = _inner(_inner(document, SECTION, line), "space", line)
        space.setdefault(key, value)
        if line and isinstance(space, CommentedMap):
            space.lc.add_kv_line_col(key, line)
    return [".".join(map(str, path)) for path, _ in found]


def put(document: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in a document; numbers in it count the entries of a list, and a list of one is as good as its entry.

    A plug-in given by its name becomes a mapping when one of its settings is set.

    Raises:
        RecipeError: there is no such entry of a list.
    """
    *parents, last = key.split(".")
    where: Any = document
    for parent in parents:
        where = _entered(document, where, parent, key)
    where[_index(where, last, key) if isinstance(where, list) else last] = value


def tried(document: dict[str, Any], overrides: Sequence[str]) -> Lines:
    """The mistakes of values to search: each is laid over the document and validated."""
    space, found = dict(_space(document)), Lines()
    usual = set(_mistakes(document)) if space else set()
    for key, values in space.items():
        at, given = place(document, (SECTION, "space", key), overrides)
        where = (at, given or place({}, tuple(key.split(".")), overrides)[1])
        for sentence in _fixed(key) or _refused(document, key, values, usual):
            found.setdefault(sentence, where)
    return found


def _space(document: Mapping[str, Any]) -> Iterator[tuple[str, Range | Among]]:
    """What is to be searched; what cannot be read is reported with the rest of the recipe."""
    section = document.get(SECTION)
    space = section.get("space") if isinstance(section, Mapping) else None
    for key, value in (space if isinstance(space, Mapping) else {}).items():
        with suppress(PydanticCustomError):
            yield str(key), read(value)


def _fixed(key: str) -> list[str]:
    if any(key == one or key.startswith(f"{one}.") for one in FIXED):
        return [f"{key}: cannot be searched, as it decides which rows or which figure the choice is made by."]
    if any(key == one or key.startswith(f"{one}.") for one in NO_SETTINGS):
        return [f"{key}: is no setting that could be searched."]
    return []


def _refused(document: dict[str, Any], key: str, values: Range | Among, usual: set[str]) -> Iterator[str]:
    for value in values.ends:
        changed = deepcopy(document)
        try:
            put(changed, key, value)
        except RecipeError as wrong:
            yield str(wrong)
            return
        yield from (one for one in _mistakes(changed) if one not in usual)


def _mistakes(document: dict[str, Any]) -> list[str]:
    try:
        Recipe.model_validate(document)
    except ValidationError as mistakes:
        return list(problems(mistakes, document))
    return []


def _ranges(here: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every range and choice in a document, with its place."""
    if path and isinstance(here, Mapping) and _is_range(here):
        yield path, here
    elif isinstance(here, Mapping):
        for key, value in here.items():
            yield from _ranges(value, (*path, str(key)))
    elif isinstance(here, list):
        for index, value in enumerate(here):
            yield from _ranges(value, (*path, index))


def _is_range(value: Mapping[str, Any]) -> bool:
    """Whether a mapping is meant as values to try: no section of a recipe has such keys with such values."""
    if set(value) == {"among"}:
        return isinstance(value["among"], list)
    numbers = isinstance(value.get("from"), int | float) and isinstance(value.get("to"), int | float)
    return numbers and set(value) <= {"from", "to", "log"}


def _inner(document: dict[str, Any], key: str, line: list[int] | None) -> dict[str, Any]:
    if not isinstance(document.get(key), dict):
        document[key] = CommentedMap()
        if line and isinstance(document, CommentedMap):
            document.lc.add_kv_line_col(key, line)
    inner: dict[str, Any] = document[key]
    return inner


def _position(document: Any, path: Sequence[str | int]) -> list[int] | None:
    """Where a key stands in its file; None where it came from no file."""
    for part in path[:-1]:
        document = document[part]
    marks = getattr(document, "lc", None)
    found: list[int] | None = (marks.data or {}).get(path[-1]) if marks is not None else None
    return found


def _remove(document: Any, path: Sequence[str | int]) -> None:
    """Leave a key out; an entry of a list keeps its place, as the first of its values."""
    for part in path[:-1]:
        document = document[part]
    if isinstance(document, list):
        entry = document[int(path[-1])]
        document[int(path[-1])] = entry.get("among", [entry.get("from")])[0]
    else:
        del document[path[-1]]


def _entered(document: dict[str, Any], where: Any, parent: str, key: str) -> Any:
    """What stands at a key, made into something that can be entered."""
    if isinstance(where, list):
        return where[_index(where, parent, key)]
    inner = where.get(parent, _default(parent) if where is document else None)
    if isinstance(inner, list) and inner and len(inner) == 1:
        where[parent] = inner = inner[0]
    if isinstance(inner, str):
        inner = where[parent] = {"name": inner}
    elif not isinstance(inner, dict | list):
        inner = where[parent] = {}
    return inner


def _index(entries: list[Any], part: str, key: str) -> int:
    if not (part.isdecimal() and int(part) < len(entries)):
        raise RecipeError(
            f"{key}: {part!r} is no entry of a list of {len(entries)}; they are counted from 0, as in stages.0.lr."
        )
    return int(part)


def _default(key: str) -> Any:
    """A section's default, where that is the name of a plug-in."""
    field = Recipe.model_fields.get(key)
    return field.default if field is not None and isinstance(field.default, str) else None
