"""Which directions of AdaLoRA's updates are kept, decided step by step (Zhang et al. 2023, algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from luthier.methods import Follower


class Allocation(Follower):
    """PEFT's RankAllocator, step by step.

    Which directions are left is kept here and not in PEFT's configuration: there it would make `save_pretrained` leave out all
    others, also where an earlier, better state of the weights is saved. They are zero, so that the outputs are the same.
    """

    def __init__(self, tuner: Any) -> None:
        self._tuner = tuner
        self._allocator = tuner.rankallocator
        self._config = tuner.peft_config["default"]
        self._left: dict[str, list[bool]] = {}

    def penalty(self) -> Tensor:
        """Mean over all P and Q of their distance from orthogonality, the Frobenius norm of Q Q^T - I, times its weight."""
        factors = [
            one.T if ".lora_B." in name else one
            for name, one in self._tuner.named_parameters()
            if ".lora_A." in name or ".lora_B." in name
        ]
        distances = [torch.linalg.norm(one @ one.T - torch.eye(len(one)).to(one)) for one in factors]
        weight: float = self._config.orth_reg_weight
        return weight * torch.stack(distances).mean()

    def after_step(self, step: int) -> None:
        """Weigh each direction by its gradient, and set the unimportant ones to zero (algorithm 1)."""
        done, last = step + 1, self._config.total_step - self._config.tfinal
        if done > last:
            self._allocator.mask_using_rank_pattern(self._tuner.model, self._left)
            return
        self._fill_gradients()
        if (
            done == last and not self._allocator.ipt
        ):  # a run of one step: PEFT cuts in the last step without weighing it
            self._allocator.update_ipt(self._tuner.model)
        _, left = self._allocator.update_and_allocate(self._tuner.model, done, force_mask=done == last)
        if done == last:
            self._left = left
            self._allocator.reset_ipt()

    def _fill_gradients(self) -> None:
        """A layer that was passed over in this step (wav2vec 2 drops whole blocks) has no gradient; PEFT expects one.

        Where one has overflowed (fp16 begins with steps that the scaler takes back) the weight counts as unchanged, too: PEFT's averages
        would never be numbers again.
        """
        for name, one in self._tuner.named_parameters():
            if ".lora_" not in name or not one.requires_grad:
                continue
            if one.grad is None:
                one.grad = torch.zeros_like(one)
            one.grad.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)

    def state(self) -> dict[str, Tensor]:
        """Importance and uncertainty of each weight, and the directions that are left once that is decided."""
        averages = {
            f"{kind}/{name}": value for kind, values in self._averages.items() for name, value in values.items()
        }
        return averages | {f"left/{name}": torch.tensor(rows) for name, rows in self._left.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self._allocator.reset_ipt()
        devices = {name: one.device for name, one in self._tuner.model.named_parameters()}
        for key, value in state.items():
            kind, _, name = key.partition("/")
            if kind in self._averages:
                self._averages[kind][name] = value.to(devices[name])
            else:
                self._left[name] = value.tolist()

    @property
    def _averages(self) -> dict[str, dict[str, Tensor]]:
        return {kind: getattr(self._allocator, kind) for kind in ("ipt", "exp_avg_ipt", "exp_avg_unc")}
