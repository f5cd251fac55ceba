"""From prepared data to something that can be trained: accelerator, base model, methods, optimiser.

This is the middle of the straight line in pipeline.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list
from torch import nn

from luthier import demo, hardware, increment, tracking
from luthier.data.batches import Batches, EncodedFeed
from luthier.data.encode import Rows
from luthier.errors import ModelError, RecipeError
from luthier.folder import RunFolder
from luthier.inputs import text_of
from luthier.methods import Context
from luthier.modalities.text import Text
from luthier.models.open import Base, Opened, architecture, find, open_model, open_tokenizer, positions
from luthier.models.quick import quicken
from luthier.prepare import Prepared, encode_all
from luthier.recipe.reading import parse_file
from luthier.recipe.schema import Recipe
from luthier.show import Console
from luthier.training import callbacks
from luthier.training.job import Job
from luthier.training.stages import Applied, apply_methods
from luthier.training.work import enter

CHOSEN_ON = ("validation",)
"""Splits that are scored while training goes on."""


@dataclass
class Ready:
    """Data, model and their meeting place, before training."""

    recipe: Recipe
    base: Base
    data: Prepared
    modality: Text
    applied: Applied

    @property
    def model(self) -> nn.Module:
        """The network, with all that the methods have inserted."""
        return self.applied.model

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


def get_ready(recipe: Recipe, data: Prepared, accelerator: Accelerator, console: Console) -> Ready:
    """Rows as numbers and the model with its method: everything that can fail, before a second of training."""
    with accelerator.main_process_first():
        base = find(recipe.model, recipe.revision, recipe.trust_remote_code)
        words = any(method.words for method in recipe.methods)
        readable = positions(architecture(base, words))
    tokenizer = open_tokenizer(base)
    context = Context(tokenizer, tuple(data.target.model_config["id2label"].values()))
    modality = text_of(tokenizer, context, recipe.methods, recipe.data.max_length, readable)
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
        opened = open_base(base, data.target.model_config, context, words)
        applied = apply_methods(opened.model, opened.new, recipe, context)
    increment.kind(applied.inserted, recipe.save)
    for sentence in opened.notes:
        console.warn(sentence)
    if recipe.train.gradient_checkpointing:
        _recompute(applied.model)
    quicken(applied.model)
    return Ready(recipe, base, data, modality, applied)


def open_base(base: Base, config: Mapping[str, Any], context: Context, words: bool) -> Opened:
    """The model to start from: plain, or an earlier run's, with what its methods had inserted folded into the weights.

    Raises:
        ModelError: it cannot be opened, or holds modules that cannot be folded in.
    """
    folder = Path(base.location)
    record = increment.read(folder) if folder.is_dir() else None
    if record is None or record.base is None:
        return open_model(base, config, context.tokenizer.pad_token_id if context.tokenizer else None, words)
    lasting = [method.name for method in record.methods if method.lasting]
    if lasting:
        raise ModelError(
            f"{base.name} cannot be trained further: its {lasting[0]} is no part of a plain model. Start from {record.base.name!r}, "
            "with stages in one recipe."
        )
    opened = increment.reopen(base, record, config, context)
    model = opened.model
    for method in reversed(record.methods):
        model = method.merge(model)
    return Opened(model, (), opened.notes)


def measured(data: Prepared) -> list[str]:
    """Names of the metrics of the validation rows; none where there are no such rows."""
    if "validation" not in data.rows:
        return []
    targets = data.rows["validation"].targets
    labels = int(data.target.model_config["num_labels"])
    return list(data.target.metrics(targets, np.full((len(targets), labels), 1 / labels, dtype=np.float32)))


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
        "base_sha256": ready.base.sha256(),
        "lr": ready.rate,
        "lr_source": "the recipe"
        if ready.recipe.train.lr
        else " + ".join(method.rate.source for method in ready.recipe.methods),
        "trained_parameters": sum(
            one.numel() for name, one in ready.model.named_parameters() if name in ready.applied.trained
        ),
        "all_parameters": sum(one.numel() for one in ready.model.parameters()),
    }


def batches_of(recipe: Recipe, rows: Rows) -> Batches:
    """The recipe's optimiser steps over some rows."""
    return Batches(len(rows), recipe.train.batch_size * recipe.train.accumulation, recipe.seed)


def make_job(ready: Ready, accelerator: Accelerator) -> Job:
    """Everything the loop needs, at the beginning of the first stage."""
    feeds = {name: EncodedFeed(rows, ready.modality) for name, rows in ready.data.rows.items()}
    job = Job(
        model=ready.model,
        objective=ready.data.target.objective(ready.recipe.train.label_smoothing),
        feed=feeds["train"],
        batches=batches_of(ready.recipe, ready.data.rows["train"]),
        accelerator=accelerator,
        settings=ready.recipe.train,
        seed=ready.recipe.seed,
        stages=ready.applied.stages,
        trained=ready.applied.trained,
        held={name: feed for name, feed in feeds.items() if name in CHOSEN_ON},
    )
    enter(job, 0)
    return job
