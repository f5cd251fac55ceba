"""The one plug-in mechanism.

A registry maps a name to the class behind it, and imports that class only when it is asked for, so that listing names
costs nothing. A member is a `Plugin`: its fields are its settings, and a recipe writes it as a name or as a mapping:

    method: lora
    method: {name: lora, rank: 16}

Other packages add members through the entry point group named in the registry:

    [project.entry-points."luthier.methods"]
    my_method = "my_package.my_method:MyMethod"
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, model_serializer
from pydantic_core import PydanticCustomError, core_schema

from luthier.errors import RecipeError


class Options(BaseModel):
    """Settings of one thing: unknown keys are mistakes, the docstring under a field is its documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)


class Plugin(Options):
    """A member of a registry; `name` is what a recipe calls it."""

    name: ClassVar[str]

    @model_serializer(mode="wrap")
    def _with_name(self, fields: Any) -> dict[str, Any]:
        return {"name": self.name, **fields(self)}


Member = TypeVar("Member", bound=Plugin)


def closest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about a mistyped name: the nearest known one, or all of them."""
    known = sorted(known)
    near = get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}."


class Registry(Generic[Member]):
    """Names and where their classes are, as `module:Class`."""

    def __init__(self, kind: str, group: str, members: Mapping[str, str]) -> None:
        self.kind = kind
        self.group = group
        self._own = dict(members)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __getitem__(self, name: str) -> type[Member]:
        """The class behind a name.

        Raises:
            RecipeError: no such member; the message suggests the nearest name.
        """
        if name not in self._members:
            raise RecipeError(f"there is no {self.kind} {name!r}; {closest(name, self._members)}")
        module, _, attribute = self._members[name].partition(":")
        found: type[Member] = getattr(importlib.import_module(module), attribute)
        return found

    @cached_property
    def _members(self) -> dict[str, str]:
        return {entry.name: entry.value for entry in entry_points(group=self.group)} | self._own


class Choice:
    """Annotation of a recipe field that holds a member of a registry: `Annotated[Method, Choice(METHODS)]`."""

    def __init__(self, registry: Registry[Any]) -> None:
        self.registry = registry

    def build(self, value: Any) -> Plugin:
        """Make the member from a name, a mapping with `name`, or a member that is one already."""
        if isinstance(value, Plugin):
            return value
        fields = {"name": value} if isinstance(value, str) else value
        if not isinstance(fields, Mapping) or not isinstance(fields.get("name"), str):
            raise PydanticCustomError(
                "member",
                "expected the name of a {kind} or a mapping with `name`; known: {known}",
                {"kind": self.registry.kind, "known": ", ".join(self.registry)},
            )
        try:
            member = self.registry[fields["name"]]
        except RecipeError as unknown:
            raise PydanticCustomError("member", "{text}", {"text": str(unknown)}) from None
        built: Plugin = member.model_validate({key: item for key, item in fields.items() if key != "name"})
        return built

    def member(self, value: Any) -> type[Plugin]:
        """The class behind what a recipe says."""
        found: type[Plugin] = self.registry[value["name"]]
        return found

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.build,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda one: one.model_dump(mode="json")),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(self.registry)}, *(self._object(name) for name in self.registry)]}

    def _object(self, name: str) -> dict[str, Any]:
        schema: dict[str, Any] = self.registry[name].model_json_schema()
        schema["properties"] = {"name": {"const": name}} | schema.get("properties", {})
        schema["required"] = ["name", *schema.get("required", [])]
        return schema
