"""From a YAML file, a mapping and `key=value` overrides to a validated `Recipe`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from io import StringIO
from pathlib import Path, PurePath
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from luthier.errors import RecipeError
from luthier.recipe.problems import Lines, describe, problems
from luthier.recipe.ranges import lift, put, tried
from luthier.recipe.schema import Recipe

ENDINGS = (".yaml", ".yml")
"""Of files that hold recipes."""


def read(
    source: str | Path | Mapping[str, Any] | Recipe,
    overrides: Sequence[str] = (),
    sections: Mapping[str, Any] | None = None,
) -> Recipe:
    """Read and validate a recipe.

    Args:
        source: a YAML file, a mapping with the same keys, or a recipe.
        sections: keys laid over those of the source before the overrides; None is passed over.
        overrides: `key=value` with dotted keys, such as `train.epochs=5` or `method=lora`; values are YAML.

    Raises:
        RecipeError: all mistakes at once, each with file, line and a suggestion.
    """
    recipe, lifted = _read(source, overrides, sections or {})
    if lifted:
        raise RecipeError(
            f"{' and '.join(lifted)} of {_name(source)} {'hold' if len(lifted) > 1 else 'holds'} values to search: `luthier tune` tries "
            f"them. To train once write one value, such as {lifted[0]}=..."
        )
    return recipe


def read_search(source: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe in which ranges may stand in the place of numbers; they are in its `search.space`, and arguments as in `read`.

    Raises:
        RecipeError: all mistakes at once, those of values to search among them.
    """
    return _read(source, overrides, {})[0]


def _read(
    source: str | Path | Mapping[str, Any] | Recipe, overrides: Sequence[str], sections: Mapping[str, Any]
) -> tuple[Recipe, list[str]]:
    """A recipe, and the keys at which values to search stood in the place of one."""
    if isinstance(source, Recipe):
        source = source.model_dump(mode="json", exclude={"resolved"})
    if isinstance(source, Mapping):
        name, document, folder = "recipe", _plain(source), None
    elif not isinstance(source, str | Path):
        raise RecipeError(f"A recipe is a file, a mapping or a Recipe; got {type(source).__name__}.")
    else:
        name, document, folder = str(source), parse_file(Path(source)), Path(source).parent
    document = merge(document, _plain(sections))
    override(document, overrides)
    lifted, mistakes = lift(document), Lines()
    try:
        recipe = Recipe.model_validate(document, context={"folder": folder})
    except ValidationError as wrong:
        mistakes = problems(wrong, document, overrides)
    mistakes |= tried(document, overrides)
    if mistakes:
        raise RecipeError(describe(mistakes, name))
    return recipe, lifted


def _name(source: object) -> str:
    return str(source) if isinstance(source, str | Path) else "the recipe"


def parse_file(path: Path) -> Any:
    """The YAML document in a file, with line numbers kept."""
    if (path / "recipe.yaml").is_file():
        raise RecipeError(f"{path} is a folder. Give the recipe in it: {path}/recipe.yaml.")
    if not path.is_file():
        raise RecipeError(f"There is no recipe {str(path)!r}. `luthier init DATA` writes one.")
    try:
        document = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as wrong:
        raise RecipeError(f"{path}: a recipe is UTF-8 text, and byte {wrong.start} is not; save it as UTF-8.") from None
    except MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        line = f":{mark.line + 1}" if mark else ""
        rows = (
            "" if path.suffix in ENDINGS else f". Where it holds rows, `luthier init {path}` writes a recipe for them."
        )
        raise RecipeError(f"{path}{line}: this is not YAML: {wrong.problem or wrong.context}{rows}") from None
    if not isinstance(document, dict):
        raise RecipeError(f"{path}: expected keys such as `model:` and `data:`; `luthier init DATA` writes an example.")
    return document


def override(document: dict[str, Any], overrides: Iterable[str]) -> None:
    """Set dotted keys in a document; a plug-in given by its name becomes a mapping when one of its settings is set.

    Raises:
        RecipeError: an override is not `key=value`, or there is no such entry of a list.
    """
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise RecipeError(f"Overrides are written key=value, such as train.epochs=5; got {text!r}.")
        put(document, key.strip(), _value(text, value))


def merge(document: dict[str, Any], sections: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `document` with `sections` laid over it; mappings are merged key by key, None is passed over."""
    merged = deepcopy(document)
    for key, value in sections.items():
        if value is None:
            continue
        old = merged.get(key)
        merged[key] = merge(dict(old), value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def dump(document: Mapping[str, Any]) -> str:
    """A mapping as YAML text in the order of its keys."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = 120
    stream = StringIO()
    yaml.dump(dict(document), stream)
    return stream.getvalue()


def _plain(value: Any) -> Any:
    """Paths as text, at any depth."""
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _value(text: str, value: str) -> Any:
    try:
        found = YAML(typ="safe").load(value) if value.strip() else None
        return (
            value.strip() if found == "" and value.strip(" \"'") else found
        )  # a bare | or > begins a block of text in YAML
    except MarkedYAMLError as wrong:
        raise RecipeError(f"The value of the override {text!r} is not YAML: {wrong.problem}.") from None
