"""What a search tries: keys of the recipe with their values, drawn by Optuna and laid over the recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luthier.errors import RecipeError
from luthier.methods import Method
from luthier.recipe.ranges import put
from luthier.recipe.reading import read
from luthier.recipe.schema import Recipe
from luthier.search import Among, Range, around

if TYPE_CHECKING:
    from optuna import Trial

    from luthier.models.anatomy import Anatomy

METHOD = "method"


@dataclass(frozen=True)
class Dimension:
    """One thing that is tried."""

    key: str
    """Of the recipe, with dots."""
    values: Range | Among
    start: Any
    """What the first trial takes: what the recipe says or leaves to its default, or the nearest to it that is searched."""
    only: str = ""
    """The method, as the study calls it, beside which alone this is tried; empty for all."""

    @property
    def name(self) -> str:
        """In the study."""
        return f"{self.key} ({self.only})" if self.only else self.key

    def draw(self, trial: Trial) -> Any:
        """The value of a trial."""
        if isinstance(self.values, Among):
            told = {tell(one): one for one in self.values.members}
            return told[str(trial.suggest_categorical(self.name, list(told)))]
        if self.values.whole:
            return trial.suggest_int(self.name, int(self.values.low), int(self.values.high), log=self.values.log)
        return trial.suggest_float(self.name, self.values.low, self.values.high, log=self.values.log)

    def stored(self, value: Any) -> Any:
        """A value as the study has it."""
        return tell(value) if isinstance(self.values, Among) else value


@dataclass(frozen=True)
class Space:
    """All that is tried."""

    dimensions: tuple[Dimension, ...]
    why: str
    """Where it comes from, for people."""

    def draw(self, trial: Trial) -> dict[str, Any]:
        """The values of a trial by the keys of the recipe, in the order in which they are laid over it."""
        drawn: dict[str, Any] = {}
        for one in self._of(drawn):
            drawn[one.key] = one.draw(trial)
        return drawn

    def start(self) -> dict[str, Any]:
        """What the study is told of the first trial: the recipe as it stands."""
        drawn: dict[str, Any] = {}
        stored: dict[str, Any] = {}
        for one in self._of(drawn):
            drawn[one.key] = one.start
            stored[one.name] = one.stored(one.start)
        return stored

    def _of(self, drawn: Mapping[str, Any]) -> Iterator[Dimension]:
        """What is tried beside what is drawn already: the method is drawn before its settings."""
        for one in self.dimensions:
            if not one.only or one.only == tell(drawn[METHOD]):
                yield one

    def written(self) -> dict[str, Any]:
        """As a recipe says it; settings of one method among several by the names of the study."""
        return {one.name: one.values.written() for one in self.dimensions}


def tell(value: Any) -> str:
    """A value as text: words as they are, all else as JSON, which is YAML too."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def said(values: Mapping[str, Any]) -> str:
    """Values for people: numbers to three digits."""
    return ", ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {tell(value)}" for key, value in values.items()
    )


def told(space: Space) -> str:
    """What is tried, for people."""
    return "; ".join(_told(one) for one in space.dimensions)


def _told(one: Dimension) -> str:
    if isinstance(one.values, Among):
        return f"{one.name} among {', '.join(map(tell, one.values.members))}"
    log = ", on a log scale" if one.values.log else ""
    return f"{one.name} from {one.values.low:.3g} to {one.values.high:.3g}{log}"


def space_of(recipe: Recipe, anatomy: Anatomy, epochs: int) -> Space:
    """What the recipe says, or what its methods think worth trying.

    Args:
        recipe: from `recipe.reading.read_search`.
        anatomy: of its model.
        epochs: that it trains for where it names none.

    Raises:
        RecipeError: it says nothing, and there is no default for stages.
    """
    train = recipe.train.model_copy(update={"epochs": recipe.train.epochs or epochs})
    recipe = recipe.model_copy(update={"train": train})
    given = dict(recipe.search.space or {}) if recipe.search else {}
    methods = given.get(METHOD)
    if len(given) == 1 and isinstance(methods, Among):
        return Space(tuple(_by_method(recipe, methods, anatomy)), "the recipe names the methods, and they the rest")
    if given:
        ordered = sorted(given.items(), key=lambda item: item[0] != METHOD)
        return Space(tuple(_dimension(recipe, key, values) for key, values in ordered), "the recipe")
    if recipe.stages is not None:
        raise RecipeError(
            "What to search is not known for a recipe with stages: name it, such as search.space: {stages.0.lr: {from: 1e-4, to: 1e-2, "
            "log: true}}."
        )
    return Space(
        tuple(_dimension(recipe, key, values) for key, values in _default(recipe, anatomy)), "the method's own"
    )


def laid_over(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """A recipe with other values and nothing to search.

    Raises:
        RecipeError: it cannot have them together.
    """
    document = recipe.model_dump(mode="json", exclude={"resolved", "search"})
    for key, value in values.items():
        put(document, key, value)
    return read(document)


def _by_method(recipe: Recipe, methods: Among, anatomy: Anatomy) -> Iterator[Dimension]:
    yield _dimension(recipe, METHOD, methods)
    for one in methods.members:
        chosen = laid_over(recipe, {METHOD: one})
        for key, values in _default(chosen, anatomy):
            found = _dimension(chosen, key, values)
            yield Dimension(key, values, found.start, only=tell(one))


def _default(recipe: Recipe, anatomy: Anatomy) -> Iterator[tuple[str, Range | Among]]:
    """The rate, the batch size, and what each method offers where the recipe does not settle it."""
    rate = recipe.train.lr if isinstance(recipe.train.lr, float) else max(one.inserted_rate for one in recipe.method)
    yield "train.lr", around(rate)
    size = recipe.train.batch_size
    yield "train.batch_size", Among(tuple(dict.fromkeys((max(1, size // 2), size, 2 * size))))
    for number, method in enumerate(recipe.method):
        prefix = METHOD if len(recipe.method) == 1 else f"{METHOD}.{number}"
        for name, values in method.space(anatomy).items():
            yield f"{prefix}.{name}", values


def _dimension(recipe: Recipe, key: str, values: Range | Among) -> Dimension:
    return Dimension(key, values, values.nearest(_now(recipe, key)))


def _now(recipe: Recipe, key: str) -> Any:
    """What a recipe says of a key, its default included."""
    if key == METHOD:
        return _method(recipe.method)
    here: Any = recipe.model_dump(mode="json")
    for part in key.split("."):
        here = here[0] if isinstance(here, list) and len(here) == 1 and not part.isdecimal() else here
        here = here[int(part)] if isinstance(here, list) else (here or {}).get(part)
    return OWN[key](recipe.methods) if here is None and key in OWN else here


def _method(methods: Sequence[Method]) -> Any:
    """As it is written in the shortest way."""
    dumped = [one.model_dump(mode="json") for one in methods]
    plain = [one.name if _as_usual(one) else told for one, told in zip(methods, dumped, strict=True)]
    return plain[0] if len(plain) == 1 else plain


def _as_usual(method: Method) -> bool:
    """Whether all its settings are the defaults."""
    return all(getattr(method, name) == field.default for name, field in type(method).model_fields.items())


OWN = {
    "train.lr": lambda methods: max(one.inserted_rate for one in methods),
}
"""What methods say where the recipe says nothing."""
