"""What a run folder is settled on: its recipe and data. Two recipes never mix in one folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from luthier.errors import RunError
from luthier.folder import RunFolder
from luthier.recipe.reading import dump, parse_file
from luthier.recipe.schema import Recipe

FREE = {"output", "resolved", "search", "train.track", "train.keep", "train.save_every", "train.max_tokens"}
"""Keys that may change when a run goes on: they do not touch what is learned from which rows in which step."""


SAYS = {
    "": ("fingerprint", "target", "columns", "splits", "held_out", "max_length", "unit"),
    "columns": ("text", "label", "medium", "kind"),
}
"""What data.json must say of a run, by section, for other commands to read it."""

BESIDE = "compare"
"""Folder that `luthier compare` makes where the recipe's run is to be."""


def may_change(key: str) -> bool:
    """Whether a dotted key of the recipe may change when a run goes on."""
    return key in FREE or any(key.startswith(f"{free}.") for free in FREE)


def refuse_other_folders(folder: RunFolder) -> None:
    """Leave folders alone that hold other things than a run.

    Raises:
        RunError: the folder is not empty, and luthier has not written it.
    """
    others = [one.name for one in folder.path.iterdir() if not one.name.startswith(".") and one.name != BESIDE]
    if others and not holds_run(folder):
        raise RunError(
            f"{folder.path} is not empty and holds no luthier run (it has {min(others)!r}). Give another output=..."
        )


def holds_run(folder: RunFolder) -> bool:
    """Whether luthier has begun a run here: its recipe.yaml says what was resolved, which no recipe written by hand does."""
    recipe = folder / "recipe.yaml"
    return recipe.is_file() and bool(parse_file(recipe).get("resolved"))


def data_of(folder: RunFolder) -> dict[str, Any]:
    """What data.json says of the rows of a run.

    Raises:
        RunError: the file is damaged, or an older luthier wrote it and left out what is needed.
    """
    try:
        facts: dict[str, Any] = folder.read_json("data.json")
    except ValueError as wrong:
        raise RunError(f"{folder / 'data.json'} is damaged ({wrong}). {_anew(folder)}") from None
    lacking = [
        f"{part}.{key}".strip(".")
        for part, keys in SAYS.items()
        for key in keys
        if key not in (facts[part] if part else facts)
    ]
    if lacking:
        raise RunError(
            f"The run in {folder.path} is of an older luthier: its data.json does not say {' and '.join(lacking)}. {_anew(folder)}"
        )
    return facts


def _anew(folder: RunFolder) -> str:
    return f"Train it anew: luthier train {folder / 'recipe.yaml'} output=..."


def refuse_to_mix(folder: RunFolder, recipe: Recipe, data: Mapping[str, Any]) -> None:
    """Compare with what the folder was begun with.

    Raises:
        RunError: another recipe, or other rows.
    """
    if not (folder / "recipe.yaml").is_file():
        return
    before = dict(flat(parse_file(folder / "recipe.yaml")))
    now = dict(flat(recipe.model_dump(mode="json")))
    differing = [key for key in now.keys() | before.keys() if before.get(key) != now.get(key) and not may_change(key)]
    if differing and not any(_said(key, before) for key in differing):
        raise RunError(
            f"The run in {folder.path} is of an older luthier, whose recipe.yaml does not say {' and '.join(sorted(differing))}, so it "
            "cannot go on. Give another output=..., or --restart to delete that run and begin anew."
        )
    if differing:
        lines = "".join(
            f"\n  {key}: {before.get(key)!r} there, {now.get(key)!r} in this recipe" for key in sorted(differing)
        )
        raise RunError(
            f"{folder.path} holds a run of another recipe:{lines}\nGive another output=..., or --restart to delete that run and begin anew."
        )
    if (folder / "data.json").is_file() and folder.read_json("data.json")["fingerprint"] != data["fingerprint"]:
        raise RunError(
            f"The data have changed since the run in {folder.path} began, so it cannot go on. Give another output=..., or --restart to "
            "delete that run and begin anew."
        )


def refuse_other_base(folder: RunFolder, sha256: str) -> None:
    """Compare the base's weights with those that the folder was begun with.

    Raises:
        RunError: they are others.
    """
    if not (folder / "recipe.yaml").is_file():
        return
    begun = (parse_file(folder / "recipe.yaml").get("resolved") or {}).get("base_sha256", sha256)
    if begun != sha256:
        raise RunError(
            f"The weights of the base model have changed since the run in {folder.path} began (hash {begun} then, {sha256} now), so it "
            "cannot go on. Give another output=..., or --restart to delete that run and begin anew."
        )


def write_settled(folder: RunFolder, recipe: Recipe, data: Mapping[str, Any], resolved: Mapping[str, Any]) -> None:
    """Write recipe.yaml with what was resolved, and data.json."""
    folder.write("recipe.yaml", dump(recipe.model_dump(mode="json") | {"resolved": dict(resolved)}))
    folder.write_json("data.json", data)


def _said(key: str, recipe: Mapping[str, Any]) -> bool:
    """Whether a written recipe speaks of a key or of what it is part of; every luthier writes all keys that it knows."""
    parts = key.split(".")
    return any(".".join(parts[:end]) in recipe for end in range(1, len(parts) + 1))


def flat(document: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a document with its dotted key."""
    if isinstance(document, Mapping) and document:
        for key, value in document.items():
            yield from flat(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(document, list) and any(isinstance(item, Mapping) for item in document):
        for index, item in enumerate(document):
            yield from flat(item, f"{prefix}.{index}")
    else:
        yield prefix, list(document) if isinstance(document, list) else document
