"""Checkpoints: everything that a run needs to go on exactly, written whole or not at all.

    checkpoints/last            the newest
    checkpoints/best            the best evaluation so far
    checkpoints/step-000120     older ones, as many as `train.keep` asks for

Each holds weights.safetensors (what is trained, and buffers), optimizer.safetensors, state.json and a manifest with hashes.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from luthier.errors import CheckpointError
from luthier.folder import RunFolder, verify
from luthier.models.save import load_trained_state, size_of, trained_state
from luthier.training.job import Job, State
from luthier.training.optimizer import inner
from luthier.training.work import enter

LAST, BEST = "checkpoints/last", "checkpoints/best"
OTHER_MODEL = "The model's folder has changed since the run began: give another output=..., or --restart to begin anew."


@dataclass(frozen=True)
class Snapshot:
    """What a checkpoint holds of a job. The tensors share the job's memory."""

    weights: dict[str, Tensor]
    moments: dict[str, Tensor]
    content: dict[str, Any]

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return size_of(self.weights) + size_of(self.moments)

    def copy(self) -> Snapshot:
        """The same with tensors of its own, in main memory."""
        weights, moments = (
            {name: one.detach().cpu().clone() for name, one in part.items()} for part in (self.weights, self.moments)
        )
        return Snapshot(weights, moments, self.content)


def snapshot(job: Job, state: State) -> Snapshot:
    """What must be written to go on from here."""
    scaler = job.accelerator.scaler.state_dict() if job.accelerator.scaler is not None else {}
    return Snapshot(
        weights=trained_state(job.accelerator.unwrap_model(job.model), job.trained),
        moments=_optimizer_state(job),
        content=asdict(state) | {"schedule": job.work.schedule.state(), "scaler": scaler},
    )


class Checkpoints:
    """The checkpoints of one run folder."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def save(self, job: Job, state: State, best: bool) -> None:
        """Write `last`, and `best` with the same content if this is the best evaluation; keep older ones as asked.

        `best` is written before `last`: were the process killed between the two, the newest checkpoint would be the best one,
        which knows of itself, and not a `last` that speaks of a `best` yet to come.
        """
        self._retire(job.settings.keep)
        self.write(snapshot(job, state), BEST if best else LAST)
        if best:
            self.folder.duplicate(BEST, LAST)

    def write(self, taken: Snapshot, name: str) -> None:
        """Write what was taken of a job as the checkpoint of this name."""

        def fill(temporary: Path) -> None:
            save_file(_contiguous(taken.weights), temporary / "weights.safetensors")
            save_file(_contiguous(taken.moments), temporary / "optimizer.safetensors")
            (temporary / "state.json").write_text(json.dumps(taken.content, indent=1), encoding="utf-8")

        self.folder.flush_log()
        self.folder.publish(name, fill, needed=taken.size)

    def resume(self, job: Job) -> tuple[State, list[str]]:
        """Put the newest undamaged checkpoint into the job; returns its state and what was passed over.

        With no usable checkpoint the state is that of a fresh start.

        Raises:
            CheckpointError: the newest undamaged checkpoint belongs to another model.
        """
        damaged = []
        for folder in self._newest_first():
            try:
                verify(folder)
            except CheckpointError as damage:
                damaged.append(str(damage))
                continue
            state = self._load(folder, job)
            return state, damaged and [*damaged, f"Falling back to {folder}, of step {state.step}."]
        return State(), damaged and [*damaged, "No other checkpoint is left: training starts from the beginning."]

    def tidy(self) -> None:
        """Remove what a crash has left between `last` and `best`; for one process only."""
        for name in (LAST, BEST):
            self.folder.tidy(name)

    def load_best(self, job: Job, state: State) -> str:
        """Put the weights of the best evaluation into the model; returns a sentence on which weights the model has now."""
        damaged = []
        for folder in self._newest_first():
            if _step_of(folder) != state.best_step:
                continue
            try:
                verify(folder)
            except CheckpointError as damage:
                damaged.append(str(damage))
                continue
            _load_weights(folder, job)
            return (
                f"Keeping the weights of step {state.best_step}, the best by {job.settings.monitor} ({state.best:.4f})."
            )
        why = (
            " ".join(damaged)
            or f"There is no checkpoint of step {state.best_step}, the best by {job.settings.monitor}."
        )
        return f"{why} Keeping the weights of step {state.step}, the last."

    def kept(self) -> str:
        """A sentence on the newest checkpoint."""
        found = [folder for folder in self._newest_first() if _step_of(folder) < math.inf]
        if not found:
            return "No checkpoint had been written yet."
        return f"The last good checkpoint, of step {_step_of(found[0])}, is kept in {found[0]}."

    def _newest_first(self) -> list[Path]:
        """Checkpoints by step; those that do not say theirs come first, to be found damaged and reported."""
        standing = (self.folder.standing(name) for name in (LAST, BEST))
        places = [*filter(Path.is_dir, standing), *(self.folder / "checkpoints").glob("step-*")]
        return sorted(places, key=_step_of, reverse=True)

    def _retire(self, keep: int) -> None:
        """Put `last` aside under its step's name, and remove what is more than `keep`."""
        last = self.folder / LAST
        step = _step_of(last)
        if keep and last.is_dir() and step < math.inf:
            aside = last.with_name(f"step-{step:06.0f}")
            if not aside.exists():
                last.rename(aside)
        older = sorted(last.parent.glob("step-*"), key=lambda folder: int(folder.name.removeprefix("step-")))
        for old in older[: max(0, len(older) - keep)]:
            self.folder.remove(f"checkpoints/{old.name}")

    def _load(self, folder: Path, job: Job) -> State:
        content = _read_state(folder)
        schedule, scaler = content.pop("schedule"), content.pop("scaler")
        _load_weights(folder, job)
        enter(job, content["stage"])
        _load_optimizer(folder, job)
        job.work.schedule.load(schedule)
        if scaler and job.accelerator.scaler is not None:
            job.accelerator.scaler.load_state_dict(scaler)
        return State(**content)


def _read_state(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    return content


def _step_of(folder: Path) -> float:
    """Step of a checkpoint that may be damaged; infinite where it does not say."""
    try:
        return int(_read_state(folder)["step"])
    except (OSError, ValueError, KeyError):
        return math.inf


def _load_weights(folder: Path, job: Job) -> None:
    """Put the saved weights into the model.

    Raises:
        CheckpointError: they are those of another model.
    """
    weights = load_file(folder / "weights.safetensors")
    model = job.accelerator.unwrap_model(job.model)
    mine = trained_state(model, job.trained)
    for name in sorted(mine.keys() & weights.keys()):
        if mine[name].shape != weights[name].shape:
            raise CheckpointError(
                f"{folder} belongs to another model: {name} has the shape {tuple(weights[name].shape)} there and "
                f"{tuple(mine[name].shape)} here. {OTHER_MODEL}"
            )
    try:
        load_trained_state(model, weights, job.trained)
    except ValueError as other:
        raise CheckpointError(f"{folder} belongs to another model: {other}. {OTHER_MODEL}") from None


def _names(job: Job) -> dict[int, str]:
    model = job.accelerator.unwrap_model(job.model)
    return {id(one): name for name, one in model.named_parameters()}


def _optimizer_state(job: Job) -> dict[str, Tensor]:
    """AdamW's moments as `parameter name|moment`, none before the first step; what followers keep as `#number|name`."""
    names, moments = _names(job), inner(job.work.optimizer).state
    state = {f"{names[id(one)]}|{key}": value for one, slots in moments.items() for key, value in slots.items()}
    for number, follower in enumerate(job.work.followers):
        state |= {f"#{number}|{key}": value for key, value in follower.state().items()}
    return state


def _load_optimizer(folder: Path, job: Job) -> None:
    names, moments = _names(job), inner(job.work.optimizer).state
    by_name = {names[id(one)]: one for one in job.work.parameters}
    followed: list[dict[str, Tensor]] = [{} for _ in job.work.followers]
    moments.clear()
    for key, value in load_file(folder / "optimizer.safetensors").items():
        if key.startswith("#"):
            number, _, name = key.removeprefix("#").partition("|")
            followed[int(number)][name] = value
            continue
        name, _, moment = key.rpartition("|")
        one = by_name[name]
        moments[one][moment] = value.to(one.device)
    for follower, state in zip(job.work.followers, followed, strict=True):
        follower.load(state)


def _contiguous(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: one.contiguous() for name, one in state.items()}
