"""What a training will take: memory by its parts, time and disk.

Bytes of weights, gradients, moments and outputs of frozen parts follow from the network and the rows. Activations and time are
measured on a few real steps (probe.py); nothing here knows a method, task or modality by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from accelerate import Accelerator
from torch import nn

from luthier import hardware
from luthier.advise import disk
from luthier.advise.allocated import bytes_of
from luthier.advise.machine import Machine, here
from luthier.advise.probe import Stage, probe
from luthier.advise.sample import Plan, plan
from luthier.build import Ready
from luthier.data.batches import EncodedFeed
from luthier.errors import TrainError
from luthier.show import Console
from luthier.training import keeping


@dataclass(frozen=True)
class Memory:
    """Bytes at the peak of a training, by what they are for."""

    process: int
    """Python, libraries and rows; on a GPU its driver's."""
    weights: int
    gradients: int
    optimiser: int
    activations: int
    """And all else that a step or an evaluation holds for a while."""
    kept: int
    """Outputs of frozen parts."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.process + self.weights + self.gradients + self.optimiser + self.activations + self.kept


@dataclass(frozen=True)
class Forecast:
    """What a training will take on a machine."""

    method: str
    trained: int
    """Weights that train in some stage."""
    memory: Memory
    """Of the stage that takes most."""
    first: float | None
    """Seconds of the first epoch, with what is computed once; None for another machine than this one."""
    epoch: float | None
    """Seconds of a later one, of the stage that takes longest."""
    seconds: float | None
    """Of the whole training with its evaluations, without writing checkpoints."""
    disk: int
    """Bytes of checkpoints, the saved model and what is kept of frozen parts."""


@dataclass(frozen=True)
class Cost:
    """A training that was measured on a few steps."""

    ready: Ready
    plan: Plan
    stages: Sequence[Stage]
    process: int
    """Bytes that the process held at the peak beside all tensors: libraries, rows, and what kernels need inside. Right for the first
    training that is measured in a process; later ones find what the first has left."""

    def on(self, machine: Machine) -> Forecast:
        """What it takes on a machine."""
        times = [self._times(number) for number in range(len(self.stages))] if machine.here else []
        return Forecast(
            method=", then ".join(" + ".join(one.name for one in stage.methods) for stage in self.plan.job.stages),
            trained=sum(one.numel() for name, one in self._parameters.items() if name in self.plan.job.trained),
            memory=max((self._memory(stage, machine) for stage in self.stages), key=lambda one: one.total),
            first=times[0][0] + times[0][1] if times else None,
            epoch=max(epoch for _, epoch in times) if times else None,
            seconds=sum(
                once + stage.epochs * epoch for (once, epoch), stage in zip(times, self.plan.job.stages, strict=True)
            )
            if times
            else None,
            disk=self._disk(),
        )

    @property
    def _parameters(self) -> dict[str, nn.Parameter]:
        return dict(self.ready.model.named_parameters())

    def _memory(self, stage: Stage, machine: Machine) -> Memory:
        size = self._kept(stage)
        more = self.plan.positions_on(machine.kind) / self.plan.positions
        return Memory(
            process=machine.process,
            weights=bytes_of(self.ready.model),
            gradients=stage.gradients,
            optimiser=stage.optimiser,
            activations=int(stage.activations * more),
            kept=size if self._place(size) == "memory" else 0,
        )

    def _kept(self, stage: Stage) -> int:
        """Bytes of the outputs of frozen parts of all rows that a stage looks at."""
        return sum(shape.size(lengths) * shape.dtype.itemsize for shape in stage.kept for lengths in self._lengths())

    def _place(self, size: int) -> str:
        try:
            return keeping.place(self.plan.job.settings.cache, size) if size else ""
        except TrainError:
            return ""

    def _lengths(self) -> list[np.ndarray]:
        """Positions of all sequences of the rows that train, and of those that are scored meanwhile."""
        rows = [self.ready.data.rows[name] for name in ("train", *self.plan.job.held)]
        feeds = [EncodedFeed(one, self.ready.modality) for one in rows]
        return [feed.sequences(np.arange(len(feed))).lengths for feed in feeds]

    def _times(self, number: int) -> tuple[float, float]:
        """Seconds of what a stage computes once, and of each of its epochs."""
        stage, job = self.stages[number], self.plan.job
        steps = job.batches.per_epoch
        every = min(job.settings.evaluate_every or steps, steps * job.stages[number].epochs)
        held = [int(feed.lengths.sum()) for feed in job.held.values()]
        once = stage.prepared + stage.cold + stage.filled * (sum(held) + int(job.feed.lengths.sum()))
        return once, steps * stage.step + steps / every * stage.scored * sum(held)

    def _disk(self) -> int:
        """Checkpoints that stay and the one being written, the saved model, and what is kept in files."""
        files = [size for size in map(self._kept, self.stages) if self._place(size) == "disk" or size <= keeping.SHARED]
        return disk.written(self.ready, max(stage.optimiser for stage in self.stages)) + sum(files)


def measure(ready: Ready, accelerator: Accelerator, console: Console) -> Cost:
    """Compute a few steps of a training; its model is worth nothing afterwards.

    Args:
        ready: data and model.
        accelerator: as for training.
        console: to show progress.
    """
    planned = plan(ready, accelerator)
    with console.status("Measuring a few steps"):
        cost = _probed(ready, planned, planned.job.settings.cache, console)
        sizes = [cost._kept(stage) for stage in cost.stages]
        if any(size and not cost._place(size) for size in sizes):  # all rows find no room, though these few did
            cost = _probed(ready, planned, "off", console)
    return cost


def _probed(ready: Ready, planned: Plan, choice: keeping.Choice, console: Console) -> Cost:
    hardware.reset_peak_memory()
    stages = probe(ready, planned, choice, console)
    peak = int(hardware.peak_memory_mb(planned.job.device) * 2**20)
    tensors = max(stage.gradients + stage.optimiser + stage.activations for stage in stages)
    return Cost(ready, planned, stages, max(0, peak - bytes_of(ready.model) - tensors))


def this_machine(ready: Ready, accelerator: Accelerator) -> Machine:
    """The machine that this process runs on; what the process holds beside the model counts as taken."""
    return here(accelerator.device, max(0, hardware.resident_memory() - bytes_of(ready.model)))
