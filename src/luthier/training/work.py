"""Entering a stage: what trains is switched on, and gets its optimiser, schedule and followers."""

from __future__ import annotations

from torch import nn

from luthier.models.batch_norm import mixes_rows
from luthier.training.job import Job, Work
from luthier.training.microbatch import FEW, FEW_TOKENS
from luthier.training.optimizer import adamw, inner, schedule
from luthier.training.stages import Stage, switch


def enter(job: Job, number: int) -> None:
    """Make a stage the one at work; nothing happens where it is already.

    The optimiser's moments are carried on for the weights that train in the stage before, too.
    """
    if job.at == number:
        return
    stage = job.stages[number]
    bare = job.accelerator.unwrap_model(job.model, keep_fp32_wrapper=False)
    moments = dict(inner(job.work.optimizer).state) if job.at >= 0 else {}
    switch(bare, stage.rates)
    if job.at >= 0:
        job.accelerator.free_memory()  # it would hold on to the optimiser of each stage
    job.model, optimizer = job.accelerator.prepare(bare, adamw(bare, stage.rates, job.settings.weight_decay))
    job.work = _work(job, bare, stage, optimizer)
    kept = {id(one) for one in job.work.parameters}
    inner(optimizer).state.update({one: slots for one, slots in moments.items() if id(one) in kept})
    job.at = number


def _work(job: Job, bare: nn.Module, stage: Stage, optimizer: object) -> Work:
    steps = stage.epochs * job.batches.per_epoch
    followers = (method.follow(bare, steps) for method in stage.methods)
    return Work(
        optimizer=optimizer,
        schedule=schedule(job.settings, steps),
        model=job.model,
        feed=job.feed,
        held=dict(job.held),
        followers=tuple(follower for follower in followers if follower is not None),
        max_tokens=FEW_TOKENS.get(job.device.type) if _few(bare) else None,
        together=mixes_rows(bare) or job.objective.together,
    )


def _few(model: nn.Module) -> bool:
    """Whether only a small share of the weights trains."""
    sizes = [(one.numel(), one.requires_grad) for one in model.parameters()]
    return sum(size for size, trains in sizes if trains) < FEW * sum(size for size, _ in sizes)
