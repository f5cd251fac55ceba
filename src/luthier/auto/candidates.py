"""What may be tried: base models, methods and rates, each as values that are laid over the recipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from luthier import demo
from luthier.cache import cache_folder
from luthier.errors import RecipeError
from luthier.methods import METHODS
from luthier.recipe.schema import Recipe
from luthier.registry import closest
from luthier.search.space import laid_over
from luthier.suggested_model import SUGGESTED

METHODS_TRIED = ("head", "top", "lora", "full")
"""From the few weights to all, each by its own rate and epochs; `--methods` names others."""
STEP = 3.0
"""Factor between rates that are tried around the best: a finer one would be within the noise of most validation rows."""
AS_ITS_OWN = {"stages": None, "train.lr": None, "train.epochs": None, "train.layer_decay": None}
"""Laid over a recipe so that a method has the rate and epochs that suit it."""


@dataclass(frozen=True)
class Candidate:
    """Something that may be tried."""

    model: str
    values: dict[str, Any]
    recipe: Recipe
    """With the values."""

    @property
    def method(self) -> str:
        """For people."""
        return _method(self.recipe)

    @property
    def rate(self) -> float | None:
        """Learning rate; None where the recipe gives one for each part or stage."""
        recipe = self.recipe
        if recipe.stages is not None or isinstance(recipe.train.lr, dict):
            return None
        return recipe.train.lr or max(one.inserted_rate for one in recipe.method)


def models_of(recipe: Recipe, named: Sequence[str]) -> list[str]:
    """Base models beside the recipe's own: those that are named, else what `luthier init` suggests and lies on this machine.

    Args:
        recipe: its model and what it reads.
        named: names, as a recipe has them.

    Raises:
        RecipeError: one is named twice.
    """
    if len(set(named)) < len(named):
        raise RecipeError("--models names a model twice.")
    return [one for one in named if one != recipe.model]


def at_hand(medium: str, own: str) -> list[str]:
    """Base models for rows of a medium that `luthier init` suggests, and that need no download.

    Args:
        medium: a key of `luthier.recipe.data.INPUTS`.
        own: the recipe's model, which is not listed again.
    """
    return [one for one in SUGGESTED.get(medium, ()) if one != own and _is_here(one)]


def methods_of(named: Sequence[str]) -> tuple[str, ...]:
    """Methods to try.

    Raises:
        RecipeError: one that there is not, or one twice.
    """
    for name in named:
        if name not in METHODS:
            raise RecipeError(f"--methods: there is no method {name!r}; {closest(name, METHODS)}")
    if len(set(named)) < len(named):
        raise RecipeError("--methods names a method twice.")
    return tuple(named) or METHODS_TRIED


def with_model(recipe: Recipe, model: str) -> dict[str, Any]:
    """Values for another base model than the recipe's; none for its own."""
    return {} if model == recipe.model else {"model": model, "revision": None, "trust_remote_code": False}


def as_it_stands(recipe: Recipe, model: str) -> Candidate:
    """The recipe itself, which is tried first and to its end."""
    return Candidate(model, {}, recipe)


def first(recipe: Recipe, own: str, models: Sequence[str], methods: Sequence[str]) -> Iterator[Candidate]:
    """Each base model with each method, but for what the recipe is already.

    Args:
        recipe: as it stands.
        own: what its model is called.
        models: the most promising first.
        methods: names.
    """
    for model in models:
        for method in methods:
            base = {} if model == own else with_model(recipe, model)
            values = {**base, **AS_ITS_OWN, "method": method}
            found = laid_over(recipe, values)
            if not _alike(found, recipe):
                yield Candidate(model, values, found)


def around(recipe: Recipe, model: str, values: dict[str, Any], tried: Sequence[float]) -> Iterator[Candidate]:
    """A candidate with a rate above and one below its own, where they were not tried yet.

    Args:
        recipe: as it stands.
        model: of the candidate.
        values: of the candidate.
        tried: rates that it was tried with.
    """
    centre = Candidate(model, values, laid_over(recipe, values)).rate
    for rate in [] if centre is None else (centre * STEP, centre / STEP):
        if rate < 10 and not any(abs(one / rate - 1) < 0.01 for one in tried):
            other = {**values, "train.lr": float(f"{rate:.3g}")}
            yield Candidate(model, other, laid_over(recipe, other))


def _alike(one: Recipe, other: Recipe) -> bool:
    told = [recipe.model_dump(mode="json", exclude={"resolved", "search"}) for recipe in (one, other)]
    return told[0] == told[1]


def _method(recipe: Recipe) -> str:
    if recipe.stages == "gradual":
        return "gradual"
    stages = [one.method for one in recipe.stages] if isinstance(recipe.stages, list) else [recipe.method]
    return ", then ".join(" + ".join(one.name for one in stage) for stage in stages)


def _is_here(name: str) -> bool:
    """Whether a model can be opened without a network."""
    if name in demo.MODELS:
        return (cache_folder() / name).is_dir()
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(name, "model.safetensors"), str)
