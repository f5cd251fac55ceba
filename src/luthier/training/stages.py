"""What trains when: the recipe's methods laid on a network, as a list of stages.

A run without stages is a run of one. All that any stage inserts is inserted once, at the beginning; a stage then only says
which parameters have `requires_grad`, and at which rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import nn

from luthier.errors import RecipeError
from luthier.methods import Context, Method
from luthier.methods.select import gradual
from luthier.models.anatomy import Anatomy, examine, parameters_of
from luthier.models.heads import HEADS
from luthier.models.insert import Inserted, insert_all
from luthier.models.names import plain
from luthier.recipe import schema
from luthier.recipe.schema import Recipe
from luthier.training.rates import Rates


@dataclass(frozen=True)
class Stage:
    """One part of the training."""

    epochs: int
    methods: tuple[Method, ...]
    rates: Mapping[str, float]
    """Peak learning rate of each parameter that trains, by its name in the network."""


@dataclass(frozen=True)
class Applied:
    """A network with everything inserted, and what trains in it when."""

    model: nn.Module
    anatomy: Anatomy
    """Of the network before anything was inserted."""
    stages: tuple[Stage, ...]
    inserted: tuple[Inserted, ...]
    """What it takes to build the same network again."""

    @property
    def trained(self) -> frozenset[str]:
        """Names of all parameters that any stage trains."""
        return frozenset(name for stage in self.stages for name in stage.rates)


def apply_methods(
    model: nn.Module, new: Iterable[str], recipe: Recipe, context: Context, per_epoch: int | None = None
) -> Applied:
    """Lay the recipe's methods on a network and switch on what the first stage trains.

    Args:
        model: as `luthier.models.open.open_model` gives it.
        new: names of parameters that were drawn and not loaded.
        recipe: its `method` or `stages`, and its rates.
        context: what the network reads and predicts.
        per_epoch: optimiser steps of an epoch; None where that is not known, and few rows are not read more often.

    Raises:
        RecipeError: a method needs what this network does not have, or two methods contradict each other.
    """
    methods, new = recipe.methods, list(new)
    whole = anatomy = examine(model, new)
    head = [name for name, _ in parameters_of(model, anatomy.whole_head)]
    if HEADS[context.head].given or any(method.words for method in methods):
        # what predicts words is not new and trains where a method says so, but for parts that had to be drawn
        anatomy, head = replace(anatomy, head=(), bare=()), new
    plan = _plan(recipe, anatomy, per_epoch)
    for method in methods:
        _check_needs(method, anatomy)
    before = [[frozenset(method.chosen(model, anatomy)) for method in stage.method] for stage in plan]
    for stage, chosen in zip(plan, before, strict=True):
        _refuse_thawed(model, anatomy, stage, chosen)
    model.requires_grad_(False)
    model, added = insert_all(model, anatomy, [method for stage in plan for method in stage.method], context)
    owners = [_owners(model, stage, chosen, head, added) for stage, chosen in zip(plan, before, strict=True)]
    stages = [
        _stage(whole, stage, owned, _judged(plan, owners, stage, owned), recipe, per_epoch)
        for stage, owned in zip(plan, owners, strict=True)
    ]
    _refuse_idle(stages)
    if not head:
        _refuse_headless(stages, before)
    switch(model, stages[0].rates)
    return Applied(model, anatomy, tuple(stages), tuple(added))


def switch(model: nn.Module, names: Iterable[str]) -> None:
    """Let exactly these parameters train."""
    wanted = set(names)
    for name, one in model.named_parameters():
        if one.is_floating_point():
            one.requires_grad_(name in wanted)


def _plan(recipe: Recipe, anatomy: Anatomy, per_epoch: int | None) -> list[schema.Stage]:
    if recipe.stages is None:
        return [schema.Stage(method=recipe.method)]
    if isinstance(recipe.stages, list):
        return recipe.stages
    methods = gradual(recipe.train.epochs or Method.epochs, len(anatomy.blocks))
    epochs = recipe.train.epochs or usual_epochs(methods, per_epoch)
    return [schema.Stage(epochs=math.ceil(epochs / len(methods)), method=[method]) for method in methods]


Owners = Mapping[str, tuple[float, float]]
"""By name of each parameter that trains: its rate when the recipe names none, and the factor on that or on the rate that it names."""


def _owners(
    model: nn.Module,
    stage: schema.Stage,
    chosen: Sequence[frozenset[str]],
    head: Sequence[str],
    added: Sequence[Inserted],
) -> Owners:
    """Which parameters of the network train in a stage, each by the first method that trains it.

    Raises:
        RecipeError: one of them is rounded to a few bits.
    """
    order = sorted(zip(stage.method, chosen, strict=True), key=lambda pair: pair[0].wraps)
    owners: dict[str, tuple[float, float]] = {}
    for method, names in order:
        inserted = {name for one in added if one.method == method for name in one.names}
        for name, one in model.named_parameters():
            if name in inserted:
                owners.setdefault(name, (method.inserted_rate, method.factor(name)))
            elif plain(name) in names:
                _refuse_rounded(method, name, one)
                owners.setdefault(name, (method.rate.value, 1.0))
    for name, _ in model.named_parameters():
        if plain(name) in head:
            owners[name] = (owners.get(name, (order[0][0].rate.value, 1.0))[0], 1.0)
    return owners


def _refuse_rounded(method: Method, name: str, weight: nn.Parameter) -> None:
    if not weight.is_floating_point():
        raise RecipeError(
            f"method {method.name} trains {plain(name)}, which is rounded to a few bits and cannot learn. Leave out bits, or the "
            f"method {method.name}, or give the method with bits such targets that this layer keeps its floats."
        )


def _judged(plan: Sequence[schema.Stage], owners: Sequence[Owners], stage: schema.Stage, owned: Owners) -> list[str]:
    """Plain names by which it is told whether a rate is for anything: `train.lr` is for all stages without a rate of their own."""
    if stage.lr is not None:
        return [plain(name) for name in owned]
    return [plain(name) for one, several in zip(plan, owners, strict=True) if one.lr is None for name in several]


def _stage(
    anatomy: Anatomy,
    stage: schema.Stage,
    owners: Owners,
    judged: Iterable[str],
    recipe: Recipe,
    per_epoch: int | None,
) -> Stage:
    """The peak rate of each parameter that trains in a stage."""
    lr = stage.lr if stage.lr is not None else recipe.train.lr
    decay = stage.layer_decay if stage.layer_decay is not None else recipe.train.layer_decay
    rates = Rates(lr, decay, anatomy, judged, _place(recipe, stage))
    found = {name: rates.of(plain(name), usual) * factor for name, (usual, factor) in owners.items()}
    epochs = stage.epochs or recipe.train.epochs or usual_epochs(stage.method, per_epoch)
    return Stage(epochs, tuple(stage.method), found)


def usual_epochs(methods: Sequence[Method], per_epoch: int | None) -> int:
    """Passes over the training rows where the recipe names none: more where they would take too few steps to learn anything.

    Args:
        methods: of a stage.
        per_epoch: optimiser steps of an epoch; None where that is not known.
    """
    own, steps = min(one.epochs for one in methods), min(one.steps for one in methods)
    return max(own, math.ceil(steps / per_epoch)) if per_epoch else own


def _place(recipe: Recipe, stage: schema.Stage) -> str:
    """Key of the recipe that gives a stage's rate."""
    if stage.lr is None or not isinstance(recipe.stages, list):
        return "train.lr"
    number = next(number for number, one in enumerate(recipe.stages) if one is stage)
    return f"stages.{number}.lr"


NEEDED = {
    "attentions": "attention modules in an nn.ModuleList",
    "blocks": "an nn.ModuleList of blocks of one kind",
    "embeddings": "an embedding of words",
    "linears": "linear layers in an nn.ModuleList",
}
"""What `Method.needs` are to a person, as `models.anatomy` finds them."""


def _check_needs(method: Method, anatomy: Anatomy) -> None:
    missing = [NEEDED[name] for name in sorted(method.needs - anatomy.offers)]
    if missing:
        raise RecipeError(
            f"method {method.name} needs {' and '.join(missing)}, which this model does not have. Use full, head or pattern: any network "
            "takes these."
        )


def _refuse_thawed(model: nn.Module, anatomy: Anatomy, stage: schema.Stage, chosen: Sequence[frozenset[str]]) -> None:
    """Refuse a stage in which a method trains what another of its methods keeps frozen."""
    for method in stage.method:
        frozen = frozenset(method.frozen(model, anatomy))
        for other, names in zip(stage.method, chosen, strict=True):
            if frozen & names:
                raise RecipeError(
                    f"method {other.name} trains {min(frozen & names)}, which method {method.name} beside it keeps frozen. Leave one of "
                    f"them out, or let {method.name} freeze less."
                )


def _refuse_headless(stages: Sequence[Stage], before: Sequence[Sequence[frozenset[str]]]) -> None:
    """Refuse a method that is there for a new head alone."""
    for stage, chosen in zip(stages, before, strict=True):
        for method, names in zip(stage.methods, chosen, strict=True):
            if not names and type(method).insert is Method.insert:
                raise RecipeError(
                    f"method {method.name} trains a new task head and nothing else, and there is none here: this network answers by what "
                    f"it was pretrained with. Leave {method.name} out, or take full, top or lora in its place."
                )


def _refuse_idle(stages: Sequence[Stage]) -> None:
    """Refuse a stage in which nothing trains."""
    for stage in stages:
        if not stage.rates:
            names = " + ".join(method.name for method in stage.methods)
            raise RecipeError(
                f"method {names} trains nothing by itself here, as it inserts nothing that learns. Combine it with a method that "
                "trains weights of the model, such as full, top or lora."
            )
