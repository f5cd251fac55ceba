"""What happens around the steps: log, evaluate, keep the best, stop early, save, show progress, obey Ctrl-C."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from types import FrameType
from typing import Any

import torch

from luthier.errors import DivergedError, RecipeError
from luthier.evaluate.improvement import Evaluated, improves
from luthier.evaluate.judge import Judge
from luthier.evaluate.predict import Scores
from luthier.folder import RunFolder
from luthier.hardware import peak_memory_mb
from luthier.recipe.schema import Train
from luthier.registry import closest
from luthier.training.checkpoint import BEST, Checkpoints, Snapshot, snapshot
from luthier.training.job import Callback, Job, State, Step

Measure = Callable[[], tuple[Scores, dict[str, float]]]


def check_settings(settings: Train, figures: Collection[str]) -> None:
    """Make sure that what steers training will be measured.

    Args:
        settings: of the recipe.
        figures: metrics of the validation rows; empty where there are none.

    Raises:
        RecipeError: an unknown metric, or early stopping or `plateau` without validation rows.
    """
    known = ["loss", *figures]
    if figures and settings.monitor is not None and settings.monitor not in known:
        raise RecipeError(
            f"train.monitor is {settings.monitor!r}, which is not measured on these rows; {closest(settings.monitor, known)}"
        )
    steering = [
        name
        for name, asked in {
            "train.early_stopping": settings.early_stopping is not None,
            "train.schedule: plateau": settings.schedule == "plateau",
        }.items()
        if asked
    ]
    if not figures and steering:
        raise RecipeError(
            f"{steering[0]} looks at validation rows, and there are none: give data.files.validation or a share of the training "
            "rows by data.split.validation, or leave it out."
        )


class Guard(Callback):
    """Stop at once when the loss is NaN, infinite, or has risen far above where it began."""

    WINDOW = 5
    RISE = 4.0

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self._recent: deque[float] = deque(maxlen=self.WINDOW)

    def after_step(self, job: Job, state: State, step: Step) -> None:
        """Look at the loss of this step.

        Raises:
            DivergedError: with the step, and what to do.
        """
        overflows = job.accelerator.scaler is None  # under fp16 the scaler skips such a step and goes on
        if not math.isfinite(step.loss) or (not math.isfinite(step.norm) and overflows):
            raise DivergedError(self._message(job, state, step, f"loss {step.loss}, gradient norm {step.norm}"))
        self._recent.append(step.loss)
        mean = sum(self._recent) / len(self._recent)
        if state.first_loss is None:
            state.first_loss = step.loss
        if len(self._recent) == self.WINDOW and mean > self.RISE * state.first_loss + 1:
            seen = f"mean loss {mean:.3g} over {self.WINDOW} steps, {state.first_loss:.3g} at the start"
            raise DivergedError(self._message(job, state, step, seen))

    def _message(self, job: Job, state: State, step: Step, seen: str) -> str:
        peak = max(group["peak"] for group in job.work.optimizer.param_groups)
        return (
            f"Training diverged at step {state.step} ({seen}; learning rate {step.lr:.2g}). {self.checkpoints.kept()} "
            f"Start again with a lower rate, such as train.lr={peak / 10:.0e} --restart, and look for faulty rows."
        )


class Log(Callback):
    """A line a step in log.jsonl, and what the recipe's trackers are told."""

    EVERY = 0.2
    """Seconds between two looks at the memory."""

    def __init__(self, folder: RunFolder | None, warn: Callable[[str], None]) -> None:
        self.folder = folder
        self.warn = warn
        self._peak, self._asked = 0.0, -math.inf

    def after_step(self, job: Job, state: State, step: Step) -> None:
        """Write the step's figures."""
        record = facts(step, state, job)
        if self.folder:
            self.folder.log({"event": "step", **record, "memory_mb": self._memory(job)}, soon=True)
        if job.accelerator.trackers:
            shown = {name: value for name, value in record.items() if name != "step" and value is not None}
            job.accelerator.log({f"train/{name}": value for name, value in shown.items()}, step=state.step)

    def finish(self, job: Job, state: State) -> None:
        """Write what has waited."""
        if self.folder:
            self.folder.flush_log()

    def _memory(self, job: Job) -> float:
        """Peak memory; asking the system takes as long as a small step, so it is asked a few times a second."""
        if time.monotonic() - self._asked > self.EVERY:
            self._peak, self._asked = round(peak_memory_mb(job.device), 1), time.monotonic()
        return self._peak

    def notice(self, job: Job, state: State, text: str) -> None:
        """Write it down and say it."""
        if self.folder:
            self.folder.log({"event": "note", "step": state.step + 1, "text": text})
        self.warn(text)


def facts(step: Step, state: State, job: Job) -> Mapping[str, float | None]:
    """The figures of a step as log.jsonl has them; None for a gradient norm that fp16 let overflow."""
    return {
        "step": state.step,
        "epoch": round(state.step / job.batches.per_epoch, 4),
        "stage": state.stage,
        "loss": step.loss,
        "lr": step.lr,
        "grad_norm": step.norm if math.isfinite(step.norm) else None,
        "samples_per_second": round(step.rows / step.seconds, 2),
        "tokens_per_second": round(step.tokens / step.seconds, 1),
        "padding": round(step.padded / max(1, step.tokens), 3),
    }


class Validate(Callback):
    """Evaluate at the end of each epoch, or every so many steps; judge improvement; stop when it fails to come."""

    def __init__(
        self, measure: Measure, settings: Train, folder: RunFolder | None, say: Callable[[str], None], judge: Judge
    ) -> None:
        self.measure = measure
        self.settings = settings
        self.monitor = str(settings.monitor)  # the task's own stands in for none, see `build.make_job`
        self.lower_is_better = judge.lower_is_better(self.monitor)
        self.folder = folder
        self.say = say

    def after_step(self, job: Job, state: State, step: Step) -> None:
        """Evaluate if it is time."""
        state.improved = state.evaluated = False
        every = self.settings.evaluate_every or job.batches.per_epoch
        if state.step % every == 0 or state.step == job.end(state):
            self._evaluate(job, state)

    def _evaluate(self, job: Job, state: State) -> None:
        scores, metrics = self.measure()
        figures = {"loss": scores.loss, **metrics}
        epoch = round(state.step / job.batches.per_epoch, 4)
        if self.folder:
            self.folder.log({"event": "evaluate", "split": "validation", "step": state.step, "epoch": epoch, **figures})
        job.accelerator.log({f"validation/{name}": value for name, value in figures.items()}, step=state.step)
        improved = self._judge(figures, state, last=state.stage + 1 == len(job.stages))
        job.work.schedule.observe(worse=not improved)
        state.improved, state.evaluated = improved, True
        mark = "  best so far" if improved else ""
        value = figures[self.monitor]
        self.say(f"epoch {epoch:g}: validation loss {scores.loss:.4f}, {self.monitor} {value:.4f}{mark}")

    def _judge(self, figures: Mapping[str, float], state: State, last: bool) -> bool:
        """Compare with the best so far; enough failures end the run, or the stage where it is not the last."""
        now = Evaluated(figures[self.monitor], figures["loss"])
        best = None if state.best is None else Evaluated(state.best, state.best_loss)
        state.value, stopping = now.value, self.settings.early_stopping
        if improves(now, best, self.lower_is_better, stopping.min_delta if stopping else 0.0):
            state.best, state.best_loss, state.best_step, state.since_best = *now, state.step, 0
            return True
        state.since_best += 1
        if stopping and state.since_best >= stopping.patience:
            reason = (
                f"early stopping: {self.monitor} has not improved on {state.best:.4f} (step {state.best_step}) in "
                f"{state.since_best} evaluations"
            )
            state.stopped, state.over = (reason, "") if last else ("", reason)
        return False


class Save(Callback):
    """Write a checkpoint after each evaluation, every `save_every` steps, and when the run is asked to stop.

    Where a frozen part leaves so little to compute that writing would take longer than training (`Work.quick`), checkpoints at
    evaluations wait for each other: writing takes at most `SHARE` of the time. The best weights wait in memory.
    """

    SHARE = 0.1

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self._free_from = -math.inf
        self._waiting: Snapshot | None = None

    def after_step(self, job: Job, state: State, step: Step) -> None:
        """Save if it is time; only the main process writes."""
        every = job.settings.save_every
        must = bool((every and state.step % every == 0) or state.step == job.end(state) or state.stopped or state.over)
        if state.evaluated or must:
            if job.accelerator.is_main_process:
                self._save(job, state, must or not job.work.quick)
            job.accelerator.wait_for_everyone()

    def finish(self, job: Job, state: State) -> None:
        """Write what still waits where an error has ended the run."""
        if self._waiting is not None:
            self.checkpoints.write(self._waiting, BEST)
            self._waiting = None

    def _save(self, job: Job, state: State, must: bool) -> None:
        now = time.monotonic()
        if not must and now < self._free_from:
            if state.improved:
                self._waiting = snapshot(job, state).copy()
            return
        if self._waiting is not None and not state.improved:
            self.checkpoints.write(self._waiting, BEST)
        self._waiting = None
        self.checkpoints.save(job, state, best=state.improved)
        ended = time.monotonic()
        self._free_from = ended + (ended - now) / self.SHARE


class Interrupt(Callback):
    """Ctrl-C and SIGTERM end the run after the step in progress; a second Ctrl-C ends it at once."""

    REASON = "interrupted"

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[int, Any] = {}

    def start(self, job: Job, state: State) -> None:
        """Take over the signals; only the main thread of a program can."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)

    def after_step(self, job: Job, state: State, step: Step) -> None:
        """Pass the wish on; several processes agree, so that none waits for another that has gone."""
        asked = self._asked
        if job.accelerator.num_processes > 1:
            asked = bool(job.accelerator.reduce(torch.tensor(float(asked), device=job.device), reduction="sum").item())
        if asked and not state.stopped:
            state.stopped = self.REASON

    def finish(self, job: Job, state: State) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True


class Progress(Callback):
    """A progress bar over steps, with loss and speed."""

    def __init__(self, bar: Any) -> None:
        self.bar = bar
        self._task: Any = None

    def start(self, job: Job, state: State) -> None:
        """Open the bar at the step where the run goes on."""
        self._task = self.bar.add_task("Training", total=job.steps(state), completed=state.step, note="")

    def after_step(self, job: Job, state: State, step: Step) -> None:
        """Move on."""
        self.bar.update(
            self._task,
            total=job.steps(state),
            completed=state.step,
            note=f"loss {step.loss:.3f}  {step.rows / step.seconds:.0f} rows/s",
        )
