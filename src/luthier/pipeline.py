"""The straight line from a recipe to a finished run. Read this file first.

recipe -> data (prepare.py) -> model + method (build.py) -> train (training/loop.py) -> evaluate -> save -> report
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from luthier import described, hardware, increment, tracking, versions
from luthier.advise import disk, fitting
from luthier.advise.allocated import bytes_of
from luthier.build import Ready, get_ready, make_accelerator, make_job, resolve
from luthier.data.batches import EncodedFeed
from luthier.data.clean import left_out
from luthier.evaluate.predict import Scorer, Scores
from luthier.folder import MANIFEST, RunFolder
from luthier.models.quiet import quiet
from luthier.prepare import prepare
from luthier.recipe.reading import read
from luthier.recipe.schema import Recipe
from luthier.run import Run, write_predictions, write_report
from luthier.settled import refuse_other_base, refuse_other_folders, refuse_to_mix, write_settled
from luthier.show import Console
from luthier.training import callbacks
from luthier.training.checkpoint import Checkpoints
from luthier.training.clock import Clock
from luthier.training.frozen import Freeze
from luthier.training.job import Callback, Job, State
from luthier.training.loop import fit

FORCED = "luthier train --force trains all the same."
"""Said where there is no room for a training; a search does not train what has none."""


def train(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    *overrides: str,
    model: str | Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    method: Any = None,
    train: Mapping[str, Any] | None = None,
    output: str | None = None,
    restart: bool = False,
    force: bool = False,
) -> Run:
    """Fine-tune by a recipe, or go on with a run that was interrupted; a finished run is returned as it is.

    Args:
        recipe: a YAML file, a mapping with the same keys, or a `Recipe`.
        overrides: `key=value` texts as on the command line, such as `"train.epochs=5"` or `"seed=3"`.
        model: base model in place of the recipe's: a name, or a mapping that describes a network.
        data: keys laid over the recipe's `data`.
        method: method in place of the recipe's: a name, a mapping or a list.
        train: keys laid over the recipe's `train`.
        output: run folder in place of the recipe's.
        restart: delete the run that the folder holds and begin anew.
        force: train even if it will not fit into memory or on the disk.

    Raises:
        LuthierError: whatever is wrong, in a sentence; nothing that was complete is lost.
        KeyboardInterrupt: the run was asked to stop and has saved where it stands; the same call goes on.
    """
    sections = {"model": model, "data": data, "method": method, "train": train, "output": output}
    settled = read(recipe, overrides, sections)
    tracking.check(settled)
    folder = RunFolder(settled.output)
    main = first_process()
    console = Console(quiet=not main)
    with folder.locked() if main else nullcontext():
        if main:
            refuse_other_folders(folder)
        ended = train_in(folder, settled, console, restart, force)
    if ended.stopped == callbacks.Interrupt.REASON:
        stopped = f"Stopped after step {ended.step}; a checkpoint is saved. The same command goes on from there."
        console.say(stopped)  # typer turns the KeyboardInterrupt into an exit code and drops its text
        raise KeyboardInterrupt(stopped)
    return Run(folder.path)


def first_process() -> bool:
    """Whether this is the only process or the first of those that torchrun started: the one that writes and speaks."""
    return os.environ.get("RANK", "0") == "0"


def train_in(folder: RunFolder, recipe: Recipe, console: Console, restart: bool = False, force: bool = False) -> State:
    """Run a recipe in its folder, from wherever it stands to the end, or from the beginning if it is to `restart`.

    A run that is to be replaced is deleted when data and model of the new one are ready, and not before.

    Returns:
        The state of the loop; `stopped` says why when not all steps were done.
    """
    hardware.tune_allocator()
    accelerator = make_accelerator(recipe, folder, fresh=restart)
    with accelerator.main_process_first():
        data = prepare(recipe, console)
    if not restart:
        refuse_to_mix(folder, recipe, data.facts)
    if not restart and (folder / "model" / MANIFEST).is_file() and (folder / "README.md").is_file():
        console.say(f"The run in {folder.path} is finished already; --restart trains it anew.")
        return State()
    if data.facts["bad_rows"]["rows"]:
        console.warn(left_out(data.facts["bad_rows"]))
    ready = get_ready(recipe, data, accelerator, console)
    if not force:
        fitting.refuse(ready, accelerator, FORCED)
        disk.refuse(ready, FORCED)
    if not restart:
        refuse_other_base(folder, ready.base.sha256)
    if accelerator.is_main_process:
        if restart:
            folder.clear()
        write_settled(folder, recipe, data.facts, resolve(ready, accelerator))
        versions.keep(folder, data)
    accelerator.wait_for_everyone()
    job = make_job(ready, accelerator, console)
    state = go_on(folder, job, console)
    tracking.start(accelerator, recipe, folder, state.step)
    run_loop(folder, job, ready, state, console)
    if state.stopped != callbacks.Interrupt.REASON:
        finish(folder, job, ready, state, console)
    accelerator.wait_for_everyone()
    # A model wrapped for several processes that outlives their group frees it while holding the GIL, which gloo's thread may wait for.
    del job
    accelerator.end_training()
    return state


def go_on(folder: RunFolder, job: Job, console: Console) -> State:
    """Put the newest checkpoint of a run into the job; the state is that of a fresh start where there is none."""
    checkpoints = Checkpoints(folder)
    state, skipped = checkpoints.resume(job)
    for sentence in skipped:
        console.warn(sentence)
    job.accelerator.wait_for_everyone()
    if job.accelerator.is_main_process:
        checkpoints.tidy()
        folder.rewind(state.step)
    if state.step:
        console.say(f"Going on from step {state.step} of {job.steps(state)}.")
    if state.stopped == callbacks.Interrupt.REASON:
        state.stopped = ""
    limits = [limit for limit in (state.max_tokens, job.settings.max_tokens) if limit]
    state.max_tokens = min(limits, default=None)
    return state


def run_loop(
    folder: RunFolder, job: Job, ready: Ready, state: State, console: Console, more: Sequence[Callback] = ()
) -> None:
    """Train with all callbacks around the loop, and some more before what writes checkpoints: it writes where one of them stops."""
    main = job.accelerator.is_main_process
    writer = folder if main else None
    checkpoints = Checkpoints(folder)
    freeze = Freeze(ready.applied.anatomy, job.settings.cache, writer, console)
    around = [freeze, callbacks.Guard(checkpoints), callbacks.Log(writer, console.warn)]
    if "validation" in ready.data.rows:
        around.append(validate(job, ready, writer, console))
    around += [callbacks.Interrupt(), Clock(), *more, callbacks.Save(checkpoints)]
    with quiet(), console.training() as bar:
        fit(job, state, [*around, callbacks.Progress(bar)])


def validate(job: Job, ready: Ready, writer: RunFolder | None, console: Console) -> callbacks.Validate:
    """Scoring of the validation rows while training goes on."""

    def measure() -> tuple[Scores, dict[str, float]]:
        rows = job.work.held["validation"]
        scorer = Scorer(job.work.model, ready.data.target, job.accelerator)
        with console.bar("Validating", len(rows)) as advance:
            scores = scorer(rows, advance)
        return scores, ready.data.target.judge.metrics(rows.targets, scores.per_row)

    return callbacks.Validate(measure, job.settings, writer, console.say, ready.data.target.judge)


def finish(folder: RunFolder, job: Job, ready: Ready, state: State, console: Console) -> None:
    """Take the best weights, save the model, score the held-out rows and write the report."""
    reason = state.stopped or f"all {sum(stage.epochs for stage in job.stages)} epochs done"
    if job.settings.keep_best and state.best is not None:
        console.say(Checkpoints(folder).load_best(job, state))
    # without the wrapper that computes in bf16: scored as it is saved and will be used
    model = job.accelerator.unwrap_model(job.model, keep_fp32_wrapper=False)
    scorer = Scorer(model, ready.data.target, job.accelerator, ready.modality)
    scores: dict[str, np.ndarray] = {}
    seconds: dict[str, float] = {}
    for name in [name for name in ("validation", "test") if name in ready.data.rows]:
        with console.bar(f"Scoring the {name} rows", len(ready.data.rows[name])) as advance:
            rows, began = EncodedFeed(ready.data.rows[name], ready.modality), time.perf_counter()
            scores[name] = scorer(rows, advance).per_row
            seconds[name] = time.perf_counter() - began
    if not job.accelerator.is_main_process:
        return
    for split, one in seconds.items():
        folder.log({"event": "score", "split": split, "rows": len(scores[split]), "seconds": round(one, 4)})
    times = {"seconds": round(state.seconds, 2), "wall_seconds": round(state.wall_seconds, 2)}
    folder.log({"event": "stop", "reason": reason, "step": state.step, **times})
    write_predictions(folder, ready.data, scores)
    described.keep(folder, ready.data, ready.modality)
    folder.publish("model", lambda place: _write_model(place, model, ready), needed=bytes_of(model))
    with console.status("Writing the report"):
        write_report(folder)


def _write_model(place: Path, model: nn.Module, ready: Ready) -> None:
    applied = ready.applied
    how = increment.kind(applied.inserted, ready.recipe.save)
    increment.save(model, applied.inserted, applied.trained, how, ready.base, place)
    ready.modality.save(str(place))
