"""One optimiser step: rows, micro-batches, gradients of sums, one division, clipping, AdamW."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
from accelerate.utils import DistributedType
from torch import Tensor

from luthier.recipe.schema import Train
from luthier.training.job import Job, State
from luthier.training.microbatch import CALL_COST, cut, fill
from luthier.training.optimizer import inner

WHATEVER = 1e12
"""A price of a call, in tokens, at which no padding is worth another one."""
Sums = tuple[float, float, float]
"""Of a step over all processes: losses, counts, padded tokens."""


def micro_batches(job: Job, rows: np.ndarray, max_tokens: int | None) -> list[np.ndarray]:
    """This process' share of a step's rows, cut into micro-batches; at least one, so that all processes meet."""
    lengths = job.work.feed.lengths[rows]
    world, rank = job.accelerator.num_processes, job.accelerator.process_index
    mine = rows[np.argsort(-lengths, kind="stable")][rank::world]
    if not len(mine):
        return [rows[:0]]
    own = job.work.feed.lengths[mine]
    return [mine[piece] for piece in _cut(job, own, max_tokens)]


def _cut(job: Job, lengths: np.ndarray, max_tokens: int | None) -> list[np.ndarray]:
    if job.work.together:
        return cut(lengths, WHATEVER, max_tokens)
    if job.work.feed.packed:
        return fill(lengths, min((one for one in (max_tokens, job.work.max_tokens) if one), default=None))
    limits = [limit for limit in (max_tokens, job.work.max_tokens, _accumulation_limit(job.settings, lengths)) if limit]
    return cut(lengths, CALL_COST.get(job.device.type, CALL_COST["cpu"]), min(limits, default=None))


def padded_tokens(job: Job, piece: np.ndarray) -> int:
    """Positions that a micro-batch computes: its rows times the longest of them, or all that are joined."""
    if job.work.feed.packed:
        return int(job.work.feed.lengths[piece].sum())
    return len(piece) * int(job.work.feed.lengths[piece].max(initial=0))


def move(job: Job, state: State, pieces: Sequence[np.ndarray]) -> tuple[float, float, Sums]:
    """Compute the gradient over all micro-batches and move the weights.

    Where loss or gradient is not finite the weights stay; under fp16 that is the scaler's business.

    Args:
        job: model, objective and optimiser.
        state: with the number of the step, from 0, and that of the step at which its stage began.
        pieces: row numbers of each micro-batch of this process.

    Returns:
        Norm of the gradient before clipping, the largest learning rate, and the sums.
    """
    _seed(job, state.step)
    sums = _gradients(job, pieces)
    loss, count, _ = sums
    norm = _scale_and_clip(job, job.accelerator.num_processes / count)
    optimizer, number = job.work.optimizer, state.step - state.began
    factor = job.work.schedule.factor(number)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor
    if math.isfinite(loss) and (math.isfinite(norm) or job.accelerator.scaler is not None):
        _step(job)
        for follower in job.work.followers:
            follower.after_step(number)
    forget_gradients(job)
    return norm, max(group["lr"] for group in optimizer.param_groups), sums


def forget_gradients(job: Job) -> None:
    """Set all gradients to None: `optimizer.zero_grad` without what Accelerate looks up at each call."""
    for one in job.work.parameters:
        one.grad = None


def _accumulation_limit(settings: Train, lengths: np.ndarray) -> int | None:
    """With accumulation, no micro-batch is larger than a batch of the longest rows would be."""
    return settings.batch_size * int(lengths.max()) if settings.accumulation > 1 else None


def _gradients(job: Job, pieces: Sequence[np.ndarray]) -> Sums:
    """Add up the gradients of all micro-batches; processes meet in the last one."""
    loss_sum = count_sum = torch.zeros((), device=job.device)
    for position, piece in enumerate(pieces):
        last = position == len(pieces) - 1
        with nullcontext() if last or _is_plain(job) else job.accelerator.no_sync(job.model):
            loss, count = _piece(job, piece)
            _backward(job, loss)
        loss_sum, count_sum = loss_sum + loss.detach(), count_sum + count
    padded = loss_sum.new_tensor(sum(padded_tokens(job, piece) for piece in pieces))
    own = torch.stack([loss_sum, count_sum, padded])
    alone = job.accelerator.num_processes == 1
    losses, counts, tokens = (own if alone else job.accelerator.reduce(own, reduction="sum")).tolist()
    for follower in job.work.followers:  # the gradients are of sums, divided by the count later on
        _backward(job, follower.penalty() * counts / job.accelerator.num_processes)
    return losses, counts, tokens


def _backward(job: Job, loss: Tensor) -> None:
    """Accelerate's, or without its looking for packages at each call where it would add nothing."""
    if _is_plain(job):
        loss.backward()
    else:
        job.accelerator.backward(loss)


def _step(job: Job) -> None:
    """Move the weights; as `_backward`."""
    (inner(job.work.optimizer) if _is_plain(job) else job.work.optimizer).step()


def _is_plain(job: Job) -> bool:
    """Whether one process trains on a CPU or GPU without a scaler."""
    return job.accelerator.distributed_type == DistributedType.NO and job.accelerator.scaler is None


def _piece(job: Job, piece: np.ndarray) -> tuple[Tensor, Tensor]:
    """Loss sum and count of a micro-batch; an empty one, where a step has fewer rows than processes, counts nothing."""
    if len(piece):
        return job.objective(job.work.model, job.work.feed.batch(piece, job.device))
    loss, count = job.objective(job.work.model, job.work.feed.batch(np.zeros(1, dtype=np.int64), job.device))
    return loss * 0, count * 0


def _scale_and_clip(job: Job, scale: float) -> float:
    """Turn summed gradients into those of the mean and clip them, in one pass; returns their norm before clipping.

    As `torch.nn.utils.clip_grad_norm_` after a multiplication by `scale`.
    """
    if not _is_plain(job):
        job.accelerator.unscale_gradients(job.work.optimizer)
    gradients = [one.grad for one in job.work.parameters if one.grad is not None]
    norm = float(torch.nn.utils.get_total_norm(gradients)) * scale
    clip = min(1.0, job.settings.clip / (norm + 1e-6)) if job.settings.clip else 1.0
    torch._foreach_mul_(gradients, scale * clip)
    return norm


def _seed(job: Job, step: int) -> None:
    """Make dropout a function of seed, step and process, so that nothing of the generator has to be saved.

    Some networks of transformers draw by NumPy (SpecAugment in wav2vec 2.0 and Whisper) or by Python.
    """
    entropy = np.random.SeedSequence([job.seed, step, job.accelerator.process_index])
    seed = int(entropy.generate_state(1, np.uint64)[0] >> 1)
    np.random.seed(seed % 2**32)
    random.seed(seed)
    if job.device.type == "cpu":
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` takes a millisecond to ask for absent devices
    else:
        torch.manual_seed(seed)
