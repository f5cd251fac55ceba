"""Folding what PEFT put around a network back into its weights."""

from __future__ import annotations

from typing import Any

from peft.utils.other import ModulesToSaveWrapper
from torch import nn


def merge_adapter(model: nn.Module) -> nn.Module:
    """The plain network that computes the same as one that PEFT wrapped; the wrapped one is used up.

    PEFT's `merge_and_unload` alone fails outside of LoRA where the head is more than one linear layer (RoBERTa, DeBERTa, T5):
    it looks for the weight of the head's copy as a whole. The copies are put in place of the heads before.
    """
    for name, module in list(model.named_modules()):
        if isinstance(module, ModulesToSaveWrapper):
            trained = module.unload_and_optionally_merge_module(merge=True, safe_merge=False, adapter_names=None)
            model.set_submodule(name, trained)
    wrapped: Any = model
    merged: nn.Module = wrapped.merge_and_unload()
    return merged
