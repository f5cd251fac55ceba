"""Networks that a recipe describes, where `model` is a mapping and no name.

A kind of description knows how to become a folder as the Hugging Face hub holds them: config.json, model.safetensors, and what makes
the network's input. It is made once, in the cache, and from then on it is a model like any other: methods, frozen cache,
increments, saving and reports hold no code for it.

To add a kind: one file here with a subclass of `Network`, whose fields are the keys of the mapping, and one line in `NETWORKS`. Which
kind a mapping is of is told by its keys: that of which all needed fields are there. `name: KIND` in the mapping says it outright.
A member imports torch and transformers inside its functions only, as reading a recipe imports it.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from pydantic import GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from luthier.registry import Choice, Plugin, Registry


class Network(Plugin, ABC):
    """A network as a recipe describes it; its fields are the keys of the mapping."""

    places: ClassVar[frozenset[str]] = frozenset()
    """Fields that say where something is, and not what it holds."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What reports and messages call it."""

    @abstractmethod
    def contents(self) -> list[str]:
        """Hashes of all files that it is made of: another content makes another network.

        Raises:
            LuthierError: a file is not there, or cannot be used.
        """

    @abstractmethod
    def build(self, folder: Path) -> None:
        """Write it into an empty folder, as `save_pretrained` of a model and of its processor would. The same weights each time.

        Raises:
            LuthierError: it cannot be made, or does not answer as the task's networks do.
        """

    def beside(self, folder: Path) -> Network:
        """The same in a recipe that lies in `folder`, for kinds that name files which lie beside it."""
        return self

    def key(self) -> str:
        """Hash of all that decides on what `build` writes."""
        from importlib.metadata import version

        versions = [version(name) for name in ("torch", "transformers")]
        settings = self.model_dump(mode="json", exclude=set(self.places))
        parts = [settings, self.contents(), versions]
        return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


NETWORKS: Registry[Network] = Registry(
    "kind of network",
    "luthier.networks",
    {
        "captioner": "luthier.networks.captioner:Captioner",
        "factory": "luthier.networks.factory:Factory",
        "towers": "luthier.networks.towers:Towers",
    },
)


class Named(Choice):
    """Annotation of the recipe's `model`: a name as it is, or a mapping that describes a network."""

    def build(self, value: Any) -> Any:
        """The name, or the network."""
        if isinstance(value, str):
            return value
        if not isinstance(value, Mapping | Plugin):
            raise PydanticCustomError(
                "member",
                "expected a name, a folder or a mapping; got {value}.",
                {"value": repr(value)},
            )
        return super().build(self.told(value) if isinstance(value, Mapping) else value)

    def told(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """A mapping with the `name` of its kind, which its keys tell."""
        if "name" in fields:
            return fields
        needed = {name: _needed(self.registry[name]) for name in self.registry}
        fitting = [name for name, keys in needed.items() if keys <= fields.keys()]
        if not fitting:
            known = "; ".join(f"{name}: {' and '.join(sorted(keys))}" for name, keys in needed.items())
            raise PydanticCustomError(
                "member",
                "these keys ({keys}) describe no kind of network. What each kind needs: {known}.",
                {"keys": ", ".join(map(str, fields)), "known": known},
            )
        return {"name": max(fitting, key=lambda name: len(needed[name])), **fields}

    def member(self, value: Any) -> type[Plugin]:
        """The class behind what a recipe says."""
        return super().member(self.told(value))

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._placed,
            serialization=core_schema.plain_serializer_function_ser_schema(_written),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, *(self._object(name) for name in self.registry)]}

    def _object(self, name: str) -> dict[str, Any]:
        schema = super()._object(name)
        return schema | {"required": [key for key in schema["required"] if key != "name"]}

    def _placed(self, value: Any, info: core_schema.ValidationInfo) -> Any:
        """Told where the recipe lies, where it was read from a file."""
        built, folder = self.build(value), (info.context or {}).get("folder")
        return built.beside(folder) if isinstance(built, Network) and folder is not None else built


def title(model: str | Mapping[str, Any]) -> str:
    """What reports call the model that a written recipe names."""
    if isinstance(model, str):
        return model
    network: Network = Named(NETWORKS).build(model)
    return network.title


def _needed(kind: type[Plugin]) -> set[str]:
    return {name for name, field in kind.model_fields.items() if field.is_required()}


def _written(model: str | Network) -> Any:
    return model if isinstance(model, str) else model.model_dump(mode="json")
