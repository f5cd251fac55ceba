"""The recipe's keys as a document, made from the schema so that it cannot be out of date."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from luthier.methods import METHODS
from luthier.networks import NETWORKS
from luthier.recipe.schema import Recipe
from luthier.registry import Options, Registry
from luthier.tasks import TASKS

SECTIONS: dict[str, Registry[Any]] = {"model": NETWORKS, "task": TASKS, "method": METHODS}


def reference() -> str:
    """Markdown with a table per section: key, type, default, meaning."""
    parts = [
        "# Recipe reference",
        "Made from the schema by `make docs`; do not edit by hand.",
        *_section("Top level", Recipe, ""),
    ]
    for title, registry in SECTIONS.items():
        parts.append(f"## {title}: the members")
        for name in registry:
            parts += _member(title, name, registry[name])
    return "\n\n".join(parts) + "\n"


def _section(title: str, options: type[Options], prefix: str) -> Iterator[str]:
    fields = {name: field for name, field in options.model_fields.items() if name != "resolved"}
    yield f"## {title}"
    if prefix:
        yield _first_line(options)
    yield _table(options, fields, prefix)
    for name, field in fields.items():
        inner = _options(field.annotation)
        if inner and name not in SECTIONS:
            yield from _section(f"`{prefix}{name}`", inner, f"{prefix}{name}.")


def _member(kind: str, name: str, member: type[Any]) -> Iterator[str]:
    yield f"### `{kind}: {name}`"
    yield _first_line(member)
    if kind == "method":
        yield f"Default learning rate: {member.rate.value:g} ({member.rate.source})."
    if member.model_fields:
        yield _table(member, member.model_fields, f"{kind}.")


def _table(options: type[Options], fields: dict[str, Any], prefix: str) -> str:
    properties = options.model_json_schema()["properties"]
    rows = [
        f"| `{prefix}{name}` | {_type(properties[name])} | {_default(field)} | {_clean(field.description)} |"
        for name, field in fields.items()
    ]
    return "\n".join(["| key | values | default | meaning |", "|---|---|---|---|", *rows])


WORDS = {"string": "text", "integer": "whole number", "boolean": "true, false", "object": "mapping"}
"""JSON Schema's types in words, where its own will not do."""


def _type(schema: dict[str, Any]) -> str:
    """A field's values in words, from its JSON Schema."""
    if "anyOf" in schema:
        return ", ".join(dict.fromkeys(map(_type, schema["anyOf"])))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    kind = str(schema.get("type", "object"))
    return WORDS.get(kind, kind) + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    return f" {' and '.join(found)}" if found else ""


def _default(field: Any) -> str:
    if field.is_required():
        return "needed"
    value = field.default
    if isinstance(value, Options):
        return "see below"
    words = {None: "none", True: "true", False: "false", "": "see meaning"}
    return words[value] if isinstance(value, str | bool | None) and value in words else f"`{value}`"


def _options(annotation: Any) -> type[Options] | None:
    if isinstance(annotation, type) and issubclass(annotation, Options):
        return annotation
    return next((found for part in get_args(annotation) if (found := _options(part))), None)


def _first_line(thing: type[Any]) -> str:
    return _clean((thing.__doc__ or "").split("\n\n")[0])


def _clean(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")
