"""From prepared data to something that can be trained: accelerator, base model, methods, optimiser.

This is the middle of the straight line in pipeline.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list
from torch import nn

from luthier import demo, hardware, increment, tracking
from luthier.augment import make_ready, refuse_others, refuse_unmixed
from luthier.augment.feed import AugmentedFeed, Source
from luthier.augment.mixed import MixedFeed
from luthier.data import cells
from luthier.data.batches import Batches, EncodedFeed, Feed, PackedFeed
from luthier.data.encode import Rows
from luthier.data.sampling import balance
from luthier.errors import RecipeError
from luthier.folder import RunFolder
from luthier.inputs import Asked, entrance
from luthier.judged import judge_labels
from luthier.methods import Context
from luthier.modalities import Modality
from luthier.models.heads import CAUSAL, reads
from luthier.models.open import Base, find
from luthier.models.quick import quicken
from luthier.objectives import Objective
from luthier.objectives.mixed import Mixed
from luthier.prepare import Prepared, encode_all
from luthier.recipe.reading import parse_file
from luthier.recipe.schema import Recipe
from luthier.show import Console
from luthier.training import callbacks
from luthier.training.job import Job
from luthier.training.rates import REST
from luthier.training.stages import Applied, Stage, apply_methods
from luthier.training.work import enter

CHOSEN_ON = ("validation",)
"""Splits that are scored while training goes on."""


@dataclass
class Ready:
    """Data, model and their meeting place, before training."""

    recipe: Recipe
    base: Base
    data: Prepared
    modality: Modality
    applied: Applied
    new: tuple[str, ...] = ()
    """Parameters that were drawn and not loaded, before methods inserted anything."""

    @property
    def model(self) -> nn.Module:
        """The network, with all that the methods have inserted."""
        return self.applied.model

    @property
    def monitor(self) -> str:
        """Validation metric that picks the best epoch: the recipe's, or the task's own."""
        return self.recipe.train.monitor or self.data.target.judge.monitor

    @property
    def rate(self) -> float:
        """The largest learning rate of all stages."""
        return max((rate for stage in self.applied.stages for rate in stage.rates.values()), default=0.0)


def make_accelerator(recipe: Recipe, folder: RunFolder, fresh: bool = False) -> Accelerator:
    """Accelerate's view of devices, processes and precision; all processes take the precision of the first."""
    device = hardware.device(recipe.train.device)
    # Accelerate refuses another device or precision than that of an earlier run in this program
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    processes = PartialState(cpu=device.type == "cpu")
    precision = [""]
    if processes.is_main_process:
        begun = None if fresh else stored_precision(folder)
        precision = [begun or hardware.precision(recipe.train.precision, device).name]
    broadcast_object_list(precision)
    return Accelerator(
        cpu=device.type == "cpu",
        mixed_precision="no" if precision[0] == "fp32" else precision[0],
        log_with=recipe.train.track or None,
        project_config=tracking.project(folder),
    )


def stored_precision(folder: RunFolder) -> str | None:
    """The precision a run began with: measured anew it could come out otherwise, and the floats would differ."""
    if not (folder / "recipe.yaml").is_file():
        return None
    precision: str | None = (parse_file(folder / "recipe.yaml").get("resolved") or {}).get("precision")
    return precision


@dataclass(frozen=True)
class Met:
    """Rows as numbers, and the base model that they are for: what trainings by other rates have in common."""

    base: Base
    data: Prepared
    context: Context
    modality: Modality


def get_ready(recipe: Recipe, data: Prepared, accelerator: Accelerator, console: Console) -> Ready:
    """Rows as numbers and the model with its method: everything that can fail, before a second of training."""
    return equip(recipe, meet(recipe, data, accelerator, console), console)


def meet(recipe: Recipe, data: Prepared, accelerator: Accelerator, console: Console) -> Met:
    """Find the base model and encode the rows for it."""
    refuse_others(recipe.data.augment, cells.media_of(data.found.medium))
    refuse_unmixed(recipe.train.mixing, data.target.reads or data.found.medium)
    with accelerator.main_process_first():
        base = find(recipe.model, recipe.revision, recipe.trust_remote_code)
        labels = tuple(data.target.model_config.get("id2label", {}).values())
        medium = data.target.reads or data.found.medium
        said = data.target.wording, data.target.languages
        opening = entrance(medium, Asked(base, labels, recipe.methods, data.limit, False, *said))
    context, modality = opening.context, opening.modality
    if (recipe.data.max_length or 0) > modality.limit:
        longest = f"data.max_length is {recipe.data.max_length:g}, and this model reads {modality.limit} {modality.unit} at most"
        data.facts["notes"].append(f"{longest}: {modality.limit} is used.")
    with accelerator.main_process_first():
        judge_labels(data, recipe, base, console)
        encode_all(data, modality, recipe.data)
    for sentence in data.facts["notes"]:
        console.say(sentence)
    for sentence in data.facts["warnings"]:
        console.warn(sentence)
    return Met(base, data, context, modality)


def equip(recipe: Recipe, met: Met, console: Console) -> Ready:
    """Open the model and lay the methods on it."""
    callbacks.check_settings(recipe.train, measured(met.data))
    with console.status("Opening the model"):
        torch.manual_seed(recipe.seed)  # the new head is drawn here
        opened = increment.open_below(met.base, met.data.target.model_config, met.context)
        per_epoch = batches_of(recipe, met.data.rows["train"]).per_epoch
        applied = apply_methods(opened.model, opened.new, recipe, met.context, per_epoch)
    increment.kind(applied.inserted, recipe.save)
    for sentence in opened.notes:
        console.warn(sentence)
    if recipe.train.gradient_checkpointing:
        _recompute(applied.model)
    quicken(applied.model)
    ready = Ready(recipe, met.base, met.data, met.modality, applied, opened.new)
    if recipe.data.packing:
        _check_packing(ready)
    return ready


def measured(data: Prepared) -> list[str]:
    """Names of the metrics of the validation rows; none where there are no such rows."""
    return data.target.judge.measurable(data.rows["validation"].targets) if "validation" in data.rows else []


def _recompute(model: nn.Module) -> None:
    whole: Any = model
    if not whole.supports_gradient_checkpointing:
        raise RecipeError(
            "train.gradient_checkpointing: this model's code in transformers cannot do it; set it to false."
        )
    whole.activation_checkpointing_enable({"use_reentrant": False})


def resolve(ready: Ready, accelerator: Accelerator) -> dict[str, Any]:
    """What was decided beyond the recipe, so that a run can be understood and repeated."""
    precision = hardware.precision(ready.recipe.train.precision, accelerator.device)
    names = ("luthier", "torch", "transformers", "peft", "accelerate", "datasets")
    sizes = sizes_of(ready.model)
    return {
        "versions": {name: version(name) for name in names},
        "hardware": hardware.describe() | {"device": str(accelerator.device), "processes": accelerator.num_processes},
        "precision": "fp32" if accelerator.mixed_precision == "no" else accelerator.mixed_precision,
        "precision_reason": precision.reason,
        "base_model": demo.MODELS[ready.base.name].hub if ready.base.name in demo.MODELS else None,
        "base_sha256": ready.base.sha256,
        "lr": ready.rate,
        "lr_source": ", then ".join(dict.fromkeys(_sources(ready))),
        "stages": [_told(stage, sizes) for stage in ready.applied.stages],
        "trained_parameters": sum(sizes[name] for name in ready.applied.trained),
        "all_parameters": sum(sizes.values()),
    }


def sizes_of(model: nn.Module) -> dict[str, int]:
    """How many weights each parameter holds; one of 4 bits has two in a byte, and remembers its shape."""
    return {name: getattr(one, "quant_state", one).shape.numel() for name, one in model.named_parameters()}


def _told(stage: Stage, sizes: Mapping[str, int]) -> dict[str, Any]:
    """A stage as recipe.yaml keeps it."""
    return {
        "epochs": stage.epochs,
        "methods": [method.name for method in stage.methods],
        "lr_min": min(stage.rates.values()),
        "lr_max": max(stage.rates.values()),
        "trained": sum(sizes[name] for name in stage.rates),
    }


def _sources(ready: Ready) -> Iterator[str]:
    """Where the learning rates of each stage come from: the stage, `train.lr`, or its methods."""
    recipe = ready.recipe
    planned = recipe.stages if isinstance(recipe.stages, list) else [None] * len(ready.applied.stages)
    for plan, stage in zip(planned, ready.applied.stages, strict=True):
        stated = recipe.train.lr if plan is None or plan.lr is None else plan.lr
        own = " + ".join(dict.fromkeys(method.rate.source for method in stage.methods))
        if stated is None:
            yield own
        elif isinstance(stated, Mapping) and REST not in stated:
            yield f"the recipe, and for what it does not name: {own}"
        else:
            yield "the recipe"


def batches_of(recipe: Recipe, rows: Rows) -> Batches:
    """The recipe's optimiser steps over some rows."""
    balanced = balance(rows.targets, recipe.train.sampling)
    return Batches(len(rows), recipe.train.batch_size * recipe.train.accumulation, recipe.seed, balanced)


def _augmented(ready: Ready, console: Console) -> Feed:
    """The training rows, changed in every epoch."""
    recipe, rows = ready.recipe, ready.data.rows["train"]
    values = ready.data.values("train", rows.numbers)
    media = cells.media_of(ready.data.found.medium)
    make_ready(recipe.data.augment, {name: values[name] for name in values.column_names}, media, console.bar)
    source = Source(values, media, recipe.data.augment, recipe.seed)
    feed = AugmentedFeed(rows, ready.modality, source)
    if recipe.data.views is None:
        return feed
    with console.status("Changing the training rows"):
        return feed.kept(min(recipe.data.views, sum(stage.epochs for stage in ready.applied.stages)))


def _objective(ready: Ready) -> Objective:
    """The loss of the task, of two rows where rows are mixed."""
    objective = ready.data.target.objective(ready.recipe.train.label_smoothing)
    return Mixed(objective) if ready.recipe.train.mixing else objective


def _check_packing(ready: Ready) -> None:
    """Refuse to join rows that cannot be joined.

    Raises:
        RecipeError: they are of another task, or the model does not tell joined rows apart.
    """
    config: Any = ready.model.config
    ready.modality.pack(ready.data.rows["train"].take(np.zeros(1, dtype=np.int64)))
    if not reads(config, CAUSAL, "position_ids"):
        raise RecipeError(
            f"data.packing: a {config.model_type} is not told where rows begin, and would read on from one to the next. Leave it out."
        )


def make_job(ready: Ready, accelerator: Accelerator, console: Console | None = None) -> Job:
    """Everything the loop needs, at the beginning of the first stage."""
    feeds: dict[str, Feed] = {name: EncodedFeed(rows, ready.modality) for name, rows in ready.data.rows.items()}
    if ready.recipe.data.packing:
        feeds["train"] = PackedFeed(ready.data.rows["train"], ready.modality)
    if ready.recipe.data.augment:
        feeds["train"] = _augmented(ready, console or Console(quiet=True))
    if ready.recipe.train.mixing:
        feeds["train"] = MixedFeed(feeds["train"], ready.recipe.train.mixing, ready.recipe.seed)
    job = Job(
        model=ready.model,
        objective=_objective(ready),
        feed=feeds["train"],
        batches=batches_of(ready.recipe, ready.data.rows["train"]),
        accelerator=accelerator,
        settings=ready.recipe.train.model_copy(update={"monitor": ready.monitor}),
        seed=ready.recipe.seed,
        stages=ready.applied.stages,
        trained=ready.applied.trained,
        held={name: feed for name, feed in feeds.items() if name in CHOSEN_ON},
    )
    enter(job, 0)
    return job
