"""From prepared data to something that can be trained: accelerator, base model, methods, optimiser.

This is the middle of the straight line in pipeline.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list
from torch import nn

from luthier import demo, hardware, tracking
from luthier.data.batches import Batches
from luthier.data.encode import Rows
from luthier.errors import RecipeError
from luthier.folder import RunFolder
from luthier.methods import Method
from luthier.modalities.text import Text
from luthier.models.anatomy import Anatomy, examine, parameters_of
from luthier.models.open import Base, architecture, find, open_model, open_tokenizer, positions
from luthier.models.quick import quicken
from luthier.prepare import Prepared, encode_all
from luthier.recipe.reading import parse_file
from luthier.recipe.schema import Recipe
from luthier.show import Console
from luthier.training import callbacks
from luthier.training.job import Job
from luthier.training.optimizer import adamw, schedule


@dataclass
class Ready:
    """Data, model and their meeting place, before training."""

    recipe: Recipe
    base: Base
    data: Prepared
    modality: Text
    model: nn.Module
    anatomy: Anatomy
    rates: dict[str, float]


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


def get_ready(recipe: Recipe, data: Prepared, accelerator: Accelerator, console: Console) -> Ready:
    """Rows as numbers and the model with its method: everything that can fail, before a second of training."""
    with accelerator.main_process_first():
        base = find(recipe.model, recipe.revision, recipe.trust_remote_code)
        readable = positions(architecture(base))
    modality = Text(open_tokenizer(base), recipe.data.max_length, readable)
    if (recipe.data.max_length or 0) > modality.limit:
        longest = f"data.max_length is {recipe.data.max_length}, and this model reads {modality.limit} tokens at most"
        data.facts["notes"].append(f"{longest}: {modality.limit} is used.")
    with accelerator.main_process_first():
        encode_all(data, modality, recipe.data)
    callbacks.check_settings(recipe.train, measured(data))
    for sentence in data.facts["notes"]:
        console.say(sentence)
    for sentence in data.facts["warnings"]:
        console.warn(sentence)
    with console.status("Opening the model"):
        torch.manual_seed(recipe.seed)  # the new head is drawn here
        opened = open_model(base, data.target.model_config, modality.tokenizer.pad_token_id)
        model, anatomy, rates = apply_methods(opened.model, opened.new, recipe)
    for sentence in opened.notes:
        console.warn(sentence)
    if recipe.train.gradient_checkpointing:
        _recompute(model)
    return Ready(recipe, base, data, modality, quicken(model), anatomy, rates)


def measured(data: Prepared) -> list[str]:
    """Names of the metrics of the validation rows; none where there are no such rows."""
    if "validation" not in data.rows:
        return []
    targets = data.rows["validation"].targets
    labels = int(data.target.model_config["num_labels"])
    return list(data.target.metrics(targets, np.full((len(targets), labels), 1 / labels, dtype=np.float32)))


def apply_methods(
    model: nn.Module, new: tuple[str, ...], recipe: Recipe
) -> tuple[nn.Module, Anatomy, dict[str, float]]:
    """Freeze everything, switch the head on, then apply the methods; returns the rate of each trainable parameter.

    Raises:
        RecipeError: a method needs what this model does not have.
    """
    anatomy = examine(model, new)
    model.requires_grad_(False)
    for _, one in parameters_of(model, anatomy.head):
        one.requires_grad_(True)
    rates: dict[int, float] = {}
    for method in sorted(recipe.method, key=lambda method: method.wraps):
        _check_needs(method, anatomy)
        model = method.apply(model, anatomy)
        for one in model.parameters():
            if one.requires_grad:
                rates.setdefault(id(one), recipe.train.lr or method.rate.value)
    return model, anatomy, {name: rates[id(one)] for name, one in model.named_parameters() if one.requires_grad}


def _check_needs(method: Method, anatomy: Anatomy) -> None:
    missing = sorted(method.needs - anatomy.offers)
    if missing:
        raise RecipeError(
            f"method {method.name} needs {' and '.join(missing)}, and this model has none. Use full, head or pattern."
        )


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
    return {
        "versions": {name: version(name) for name in names},
        "hardware": hardware.describe() | {"device": str(accelerator.device), "processes": accelerator.num_processes},
        "precision": "fp32" if accelerator.mixed_precision == "no" else accelerator.mixed_precision,
        "precision_reason": precision.reason,
        "base_model": demo.MODELS[ready.recipe.model].hub if ready.recipe.model in demo.MODELS else None,
        "lr": max(ready.rates.values()),
        "lr_source": "the recipe"
        if ready.recipe.train.lr
        else " + ".join(method.rate.source for method in ready.recipe.method),
        "trained_parameters": sum(one.numel() for one in ready.model.parameters() if one.requires_grad),
        "all_parameters": sum(one.numel() for one in ready.model.parameters()),
    }


def batches_of(recipe: Recipe, rows: Rows) -> Batches:
    """The recipe's optimiser steps over some rows."""
    return Batches(len(rows), recipe.train.batch_size * recipe.train.accumulation, recipe.seed)


def make_job(ready: Ready, accelerator: Accelerator) -> Job:
    """Everything the loop needs."""
    settings = ready.recipe.train
    rows = ready.data.rows["train"]
    batches = batches_of(ready.recipe, rows)
    optimizer = adamw(ready.model, ready.rates, settings.weight_decay)
    model, optimizer = accelerator.prepare(ready.model, optimizer)
    return Job(
        model=model,
        objective=ready.data.target.objective(settings.label_smoothing),
        optimizer=optimizer,
        schedule=schedule(settings, settings.epochs * batches.per_epoch),
        rows=rows,
        modality=ready.modality,
        batches=batches,
        accelerator=accelerator,
        settings=settings,
        seed=ready.recipe.seed,
    )
