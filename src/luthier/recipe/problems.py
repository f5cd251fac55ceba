"""A recipe's mistakes in sentences: file, line, what was expected, what came, the nearest right key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError

from luthier.registry import Choice, Options, closest

Path = tuple[int | str, ...]


Lines = dict[str, tuple[int, str]]
"""Mistakes in sentences, with the line of each and the override that it came from."""


def problems(mistakes: ValidationError, document: Any, overrides: Sequence[str] = ()) -> Lines:
    """All mistakes of one recipe."""
    lines: Lines = {}
    for error in mistakes.errors(include_url=False):
        path = _in_document(error["loc"], document, names_a_key=error["type"] in {"missing", "extra_forbidden"})
        path += _named(error)
        if _other_branch(error, document, path):
            continue
        sentence = _sentence(error, path, document)
        lines[f"{'.'.join(map(str, path))}: {sentence}"] = place(document, path, overrides)
    return lines


def describe(lines: Lines, source: str) -> str:
    """Mistakes of one recipe, a line each, in the order of the file."""
    ordered = sorted(lines.items(), key=lambda item: item[1][0])
    rows = [f"  {origin or _place(source, line)}: {text}" for text, (line, origin) in ordered]
    count = "a mistake" if len(rows) == 1 else f"{len(rows)} mistakes"
    return f"The recipe has {count}:\n" + "\n".join(rows)


def place(document: Any, path: Path, overrides: Sequence[str]) -> tuple[int, str]:
    """Line of a key, counted from 1, and the override that set it."""
    return _line(document, path), _origin(path, overrides)


def _place(source: str, line: int) -> str:
    return f"{source}:{line}" if line else source


def _origin(path: Path, overrides: Sequence[str]) -> str:
    """The override that set this key, if one did."""
    dotted = ".".join(map(str, path))
    for text in overrides:
        key = text.partition("=")[0].strip()
        if dotted == key or dotted.startswith(f"{key}.") or key.startswith(f"{dotted}."):
            return f"command line, {text}"
    return ""


def _in_document(location: Path, document: Any, names_a_key: bool) -> Path:
    """Pydantic's location without the tags of unions, which name no key; the last part stays if it `names_a_key`."""
    path: list[int | str] = []
    here = document
    for position, part in enumerate(location):
        if _has(here, part):
            here = here[part]
        elif not (names_a_key and position == len(location) - 1):
            continue
        path.append(part)
    return tuple(path)


def _named(error: Any) -> Path:
    """The key that a mistake of the whole names by itself, as pydantic knows no place for it."""
    key = (error.get("ctx") or {}).get("key")
    return (key,) if key else ()


def _has(document: Any, part: int | str) -> bool:
    if isinstance(document, list):
        return isinstance(part, int) and part < len(document)
    return isinstance(document, Mapping) and part in document


def _value(document: Any, path: Path) -> Any:
    for part in path:
        document = document[part] if _has(document, part) else None
    return document


def _other_branch(error: Any, document: Any, path: Path) -> bool:
    """A union complains for each of its types; only those of the shape that was written are of interest."""
    value = error["input"]
    return len(error["loc"]) > len(path) and (
        (error["type"] == "string_type" and isinstance(value, Mapping | list))
        or (
            error["type"] in {"model_type", "list_type", "dict_type", "model_attributes_type"}
            and isinstance(value, str)
        )
        or (error["type"] in {"float_type", "list_type", "literal_error"} and isinstance(value, Mapping))
        or (error["type"] == "dict_type" and isinstance(value, int | float))
        or (error["type"] == "literal_error" and isinstance(value, list))
    )


def _sentence(error: Any, path: Path, document: Any) -> str:
    if error["type"] == "extra_forbidden":
        return f"there is no such key; {_nearest(path, document)}"
    if error["type"] == "missing":
        return "this key is needed and missing."
    message = str(error["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    if error["type"] == "member":
        return message
    if error["type"] == "too_short":
        return f"expected at least {_entries(error['ctx']['min_length'], path)}; got {error['input']!r}."
    return f"expected {message}; got {error['input']!r}."


def _entries(count: int, path: Path) -> str:
    """`one stage`, `two parts`: what is counted is named by the key, where that is a plural."""
    singular, plural, _ = str(path[-1]).rpartition("s")
    noun = singular if plural else "entry"
    number = {1: "one", 2: "two"}.get(count, str(count))
    return f"{number} {noun}" if count == 1 else f"{number} {path[-1] if plural else 'entries'}"


def _nearest(path: Path, document: Any) -> str:
    owner, wrong = path[:-1], str(path[-1])
    known = _owner(owner, document).model_fields
    elsewhere = [key for key in _all_keys() if key.rsplit(".", 1)[-1] == wrong]
    if elsewhere and wrong not in known:
        return f"did you mean {elsewhere[0]!r}?"
    return closest(wrong, known)


def _all_keys() -> list[str]:
    from luthier.recipe.schema import Recipe

    keys = []
    usual_first = sorted(Recipe.model_fields.items(), key=lambda item: item[1].default is None)
    for name, field in usual_first:
        keys.append(name)
        inner = _options(field.annotation)
        keys += [f"{name}.{key}" for key in inner.model_fields] if inner else []
    return keys


def _options(annotation: Any) -> type[Options] | None:
    """The settings class inside an annotation, such as `Files` in `str | Files`."""
    if isinstance(annotation, type) and issubclass(annotation, Options):
        return annotation
    found = (_options(part) for part in get_args(annotation))
    return next((one for one in found if one), None)


def _choice(annotation: Any, metadata: Sequence[Any]) -> Choice | None:
    own = [one for one in metadata if isinstance(one, Choice)]
    inner = (_choice(part, getattr(part, "__metadata__", ())) for part in get_args(annotation))
    return own[0] if own else next((one for one in inner if one), None)


def _owner(path: Path, document: Any) -> type[Options]:
    """The settings class that owns the keys below `path`."""
    from luthier.recipe.schema import Recipe

    owner: type[Options] = Recipe
    for depth, part in enumerate(path):
        if not isinstance(part, str) or part not in owner.model_fields:
            continue
        field = owner.model_fields[part]
        choice = _choice(field.annotation, field.metadata)
        if choice:
            member = _value(document, path[: depth + 1])
            chosen = _value(member, path[depth + 1 : depth + 2]) if isinstance(member, list) else member
            return choice.member(chosen)
        owner = _options(field.annotation) or owner
    return owner


def _line(document: Any, path: Path) -> int:
    """Line of the key in its file, counted from 1; 0 where the document did not come from a file."""
    line = 0
    for part in path:
        marks = getattr(document, "lc", None)
        if marks is None or marks.data is None:
            return line
        if part in marks.data:
            line = marks.data[part][0] + 1
        if not _has(document, part):
            return line
        document = document[part]
    return line
