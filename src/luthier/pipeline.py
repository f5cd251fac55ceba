"""The straight line from a recipe to a finished run. Read this file first.

recipe -> data (prepare.py) -> model + method (build) -> train (train/loop.py) -> evaluate -> save -> report
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import nullcontext
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

from luthier import demo, hardware, tracking
from luthier.data.batches import Batches
from luthier.errors import RecipeError
from luthier.evaluate.predict import Scorer, Scores
from luthier.folder import MANIFEST, RunFolder
from luthier.methods import Method
from luthier.modalities.text import Text
from luthier.models.anatomy import Anatomy, examine, parameters_of
from luthier.models.open import Base, architecture, find, open_model, open_tokenizer, positions
from luthier.models.quick import quicken
from luthier.models.save import save_model, size_of, trained_state
from luthier.prepare import Prepared, encode_all, prepare
from luthier.recipe.reading import parse_file, read
from luthier.recipe.schema import Recipe
from luthier.run import Run, write_predictions, write_report
from luthier.settled import make_room, refuse_to_mix, write_settled
from luthier.show import Console
from luthier.train import callbacks
from luthier.train.checkpoint import Checkpoints
from luthier.train.job import Job, State
from luthier.train.loop import fit
from luthier.train.optimizer import adamw, schedule


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


def train(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    *overrides: str,
    model: str | None = None,
    data: Mapping[str, Any] | None = None,
    method: Any = None,
    train: Mapping[str, Any] | None = None,
    seed: int | None = None,
    output: str | None = None,
    restart: bool = False,
) -> Run:
    """Fine-tune by a recipe, or go on with a run that was interrupted; a finished run is returned as it is.

    Args:
        recipe: a YAML file, a mapping with the same keys, or a `Recipe`.
        overrides: `key=value` texts as on the command line, such as `"train.epochs=5"`.
        model: base model in place of the recipe's.
        data: keys laid over the recipe's `data`.
        method: method in place of the recipe's: a name, a mapping or a list.
        train: keys laid over the recipe's `train`.
        seed: seed in place of the recipe's.
        output: run folder in place of the recipe's.
        restart: delete the run that the folder holds and begin anew.

    Raises:
        LuthierError: whatever is wrong, in a sentence; nothing that was complete is lost.
        KeyboardInterrupt: the run was asked to stop and has saved where it stands; the same call goes on.
    """
    sections = {"model": model, "data": data, "method": method, "train": train, "seed": seed, "output": output}
    settled = read(recipe, overrides, sections)
    tracking.check(settled)
    folder = RunFolder(settled.output)
    main = first_process()
    console = Console(quiet=not main)
    with folder.locked() if main else nullcontext():
        if main:
            make_room(folder, restart)
        ended = train_in(folder, settled, console)
    if ended.stopped == callbacks.Interrupt.REASON:
        stopped = f"Stopped after step {ended.step}; a checkpoint is saved. The same command goes on from there."
        console.say(stopped)  # here, as the command line ends silently at a KeyboardInterrupt
        raise KeyboardInterrupt(stopped)
    return Run(folder.path)


def first_process() -> bool:
    """Whether this is the only process or the first of those that torchrun started: the one that writes and speaks."""
    return os.environ.get("RANK", "0") == "0"


def train_in(folder: RunFolder, recipe: Recipe, console: Console) -> State:
    """Run a recipe in its folder, from wherever it stands to the end.

    Returns:
        The state of the loop; `stopped` says why when not all steps were done.
    """
    hardware.tune_allocator()
    accelerator = make_accelerator(recipe, folder)
    with accelerator.main_process_first(), console.status("Reading the data"):
        data = prepare(recipe)
    refuse_to_mix(folder, recipe, data.facts)
    if (folder / "model" / MANIFEST).is_file() and (folder / "README.md").is_file():
        console.say(f"The run in {folder.path} is finished already; --restart trains it anew.")
        return State()
    ready = get_ready(recipe, data, accelerator, console)
    if accelerator.is_main_process:
        write_settled(folder, recipe, data.facts, resolve(ready, accelerator))
    accelerator.wait_for_everyone()
    job = make_job(ready, accelerator)
    state = _go_on(folder, job, console)
    tracking.start(accelerator, recipe, folder, state.step)
    run_loop(folder, job, ready, state, console)
    if state.stopped != callbacks.Interrupt.REASON:
        finish(folder, job, ready, state, console)
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return state


def make_accelerator(recipe: Recipe, folder: RunFolder) -> Accelerator:
    """Accelerate's view of devices, processes and precision; all processes take the precision of the first."""
    device = hardware.device(recipe.train.device)
    # Accelerate refuses another device or precision than that of an earlier run in this program
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    processes = PartialState(cpu=device.type == "cpu")
    precision = [""]
    if processes.is_main_process:
        precision = [stored_precision(folder) or hardware.precision(recipe.train.precision, device).name]
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


def make_job(ready: Ready, accelerator: Accelerator) -> Job:
    """Everything the loop needs."""
    settings = ready.recipe.train
    rows = ready.data.rows["train"]
    batches = Batches(len(rows), settings.batch_size * settings.accumulation, ready.recipe.seed)
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


def _go_on(folder: RunFolder, job: Job, console: Console) -> State:
    checkpoints = Checkpoints(folder)
    state, skipped = checkpoints.resume(job)
    for sentence in skipped:
        console.warn(sentence)
    job.accelerator.wait_for_everyone()
    if job.accelerator.is_main_process:
        checkpoints.tidy()
        folder.rewind(state.step)
    if state.step:
        console.say(f"Going on from step {state.step} of {job.steps}.")
    if state.stopped == callbacks.Interrupt.REASON:
        state.stopped = ""
    limits = [limit for limit in (state.max_tokens, job.settings.max_tokens) if limit]
    state.max_tokens = min(limits, default=None)
    return state


def run_loop(folder: RunFolder, job: Job, ready: Ready, state: State, console: Console) -> None:
    """Train with all callbacks around the loop."""
    main = job.accelerator.is_main_process
    writer = folder if main else None
    checkpoints = Checkpoints(folder)
    folder.require_space(3 * size_of(trained_state(job.model)))
    around = [callbacks.Guard(checkpoints), callbacks.Log(writer, console.warn)]
    if "validation" in ready.data.rows:
        scorer = Scorer(job.model, ready.modality, ready.data.target, job.accelerator)
        rows = ready.data.rows["validation"]

        def measure() -> tuple[Scores, dict[str, float]]:
            with console.bar("Validating", len(rows)) as advance:
                scores = scorer(rows, advance)
            return scores, ready.data.target.metrics(rows.targets, scores.probabilities)

        around.append(callbacks.Validate(measure, job.settings, writer, console.say))
    around += [callbacks.Interrupt(), callbacks.Save(checkpoints)]
    with console.training() as bar:
        fit(job, state, [*around, callbacks.Progress(bar)])


def finish(folder: RunFolder, job: Job, ready: Ready, state: State, console: Console) -> None:
    """Take the best weights, save the model, score the held-out rows and write the report."""
    reason = state.stopped or f"all {job.settings.epochs} epochs done"
    if job.settings.keep_best and state.best is not None:
        console.say(Checkpoints(folder).load_best(job, state))
    model = job.accelerator.unwrap_model(job.model)
    scorer = Scorer(job.model, ready.modality, ready.data.target, job.accelerator)
    scores: dict[str, np.ndarray] = {}
    for name in [name for name in ("validation", "test") if name in ready.data.rows]:
        with console.bar(f"Scoring the {name} rows", len(ready.data.rows[name])) as advance:
            scores[name] = scorer(ready.data.rows[name], advance).probabilities
    if not job.accelerator.is_main_process:
        return
    folder.log({"event": "stop", "reason": reason, "step": state.step, "seconds": round(state.seconds, 2)})
    write_predictions(folder, ready.data, scores)
    folder.publish("model", lambda place: save_model(model, ready.modality, place), needed=_model_size(model))
    with console.status("Writing the report"):
        write_report(folder)


def _model_size(model: nn.Module) -> int:
    return sum(one.numel() * one.element_size() for one in model.parameters())
