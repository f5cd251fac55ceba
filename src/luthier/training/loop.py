"""The training loop: it knows no method, task or modality by name.

for each stage           its weights are switched on                            (stages.py, work.py)
for each step            rows are a function of (seed, epoch, step)
    rows -> micro-batches of similar length
        objective -> loss sum and count; gradients of sums add up exactly
    divide by the count, clip, step                                             (step.py)
    callbacks            log, evaluate, keep the best, stop early, save         (callbacks.py)
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from accelerate.utils.memory import clear_device_cache

from luthier.errors import TrainError
from luthier.models.batch_norm import rest
from luthier.training.job import Callback, Job, State, Step
from luthier.training.memory import out_of_memory
from luthier.training.step import forget_gradients, micro_batches, move, padded_tokens
from luthier.training.work import enter


def fit(job: Job, state: State, callbacks: Sequence[Callback]) -> None:
    """Train from `state.step` to the end, or until a callback fills in `state.stopped`."""
    try:
        for callback in callbacks:
            callback.start(job, state)
        _run_stage(job, state, callbacks)
        while not state.stopped and state.stage + 1 < len(job.stages):
            state.stage, state.began, state.over, state.since_best = state.stage + 1, state.step, "", 0
            _run_stage(job, state, callbacks)
    finally:
        for callback in callbacks:
            callback.finish(job, state)


def _run_stage(job: Job, state: State, callbacks: Sequence[Callback]) -> None:
    enter(job, state.stage)
    job.work.model.train()
    for callback in callbacks:
        callback.enter(job, state)
    rest(job.work.model)  # a callback may have put the stage to work on a part of the network
    while state.step < job.end(state) and not state.stopped and not state.over:
        step = _fitting_step(job, state, callbacks)
        state.step += 1
        state.seconds += step.seconds
        for callback in callbacks:
            callback.after_step(job, state, step)


def _fitting_step(job: Job, state: State, callbacks: Sequence[Callback]) -> Step:
    """One step; when memory runs out, the same rows again in smaller micro-batches."""
    started = time.perf_counter()
    rows = job.batches.at(state.step)
    job.work.feed.begin(rows, state.step // job.batches.per_epoch)
    if state.step + 1 < job.end(state):
        job.work.feed.expect(job.batches.at(state.step + 1), (state.step + 1) // job.batches.per_epoch)
    while True:
        pieces = micro_batches(job, rows, state.max_tokens)
        try:
            norm, lr, (loss, count, padded) = move(job, state, pieces)
        except (RuntimeError, MemoryError) as wrong:
            if not out_of_memory(wrong):
                raise
        else:
            tokens = int(job.work.feed.lengths[rows].sum())
            return Step(loss / count, norm, lr, len(rows), tokens, int(padded), time.perf_counter() - started)
        state.max_tokens = _smaller(job, pieces)  # outside of `except`, whose traceback holds the activations
        for callback in callbacks:
            callback.notice(job, state, _said(state, len(rows)))


def _smaller(job: Job, pieces: Sequence[np.ndarray]) -> int:
    """Let go of what the step had computed; returns half the size of its largest micro-batch, in padded tokens.

    Raises:
        TrainError: that was a single row already, or other processes would not follow.
    """
    forget_gradients(job)
    clear_device_cache(garbage_collection=True)
    largest = max(pieces, key=lambda piece: padded_tokens(job, piece))
    tokens = padded_tokens(job, largest)
    if job.accelerator.num_processes > 1:
        raise TrainError(
            f"Out of memory in one of {job.accelerator.num_processes} processes: run again with train.max_tokens={tokens // 2}."
        )
    if len(largest) == 1:
        raise TrainError(
            f"Out of memory with a single row of {tokens} tokens: lower data.max_length, set train.gradient_checkpointing=true, "
            "or choose a smaller model or a method that trains fewer weights (lora, head)."
        )
    return tokens // 2


def _said(state: State, rows: int) -> str:
    return (
        f"Out of memory in step {state.step + 1}: micro-batches now hold at most {state.max_tokens} tokens. A step still "
        f"learns from the same {rows} rows."
    )
