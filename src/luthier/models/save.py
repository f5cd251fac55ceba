"""Saving what was trained as a folder that plain transformers or PEFT loads."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn

from luthier.models.merge import merge_adapter


def trained_state(model: nn.Module, trained: Collection[str] | None = None) -> dict[str, Tensor]:
    """What training changes: some parameters, and persistent buffers. Tensors share the model's memory.

    Args:
        model: the network.
        trained: names of the parameters; default: those with `requires_grad`.
    """
    if trained is None:
        trained = {name for name, one in model.named_parameters() if one.requires_grad}
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    state: dict[str, Tensor] = model.state_dict()
    return {name: one.detach() for name, one in state.items() if name in trained or name not in parameters}


def load_trained_state(model: nn.Module, state: dict[str, Tensor], trained: Collection[str] | None = None) -> None:
    """Put back what `trained_state` gave for the same `trained`.

    Raises:
        ValueError: names or shapes differ from those of this model.
    """
    mine = trained_state(model, trained)
    if mine.keys() != state.keys():
        difference = sorted(mine.keys() ^ state.keys())
        raise ValueError(f"the saved weights and the model differ in {len(difference)} names, such as {difference[0]}")
    with torch.no_grad():
        for name, one in mine.items():
            if one.shape != state[name].shape:
                raise ValueError(
                    f"the saved {name} has shape {tuple(state[name].shape)}, the model's {tuple(one.shape)}"
                )
            one.copy_(state[name])


def save_whole(model: nn.Module, folder: Path, trained: Collection[str]) -> None:
    """Write a Hugging Face folder with the full model and its labels; a PEFT adapter lies in `adapter/` beside it.

    The full model, because an adapter holds neither the labels nor the size of the head: given an adapter alone,
    `AutoModelForSequenceClassification` and `pipeline` fail or answer LABEL_0. The adapter is left out where it does not hold
    all that was trained.

    Args:
        model: as trained; what PEFT inserted is folded into it, so it cannot be trained further.
        folder: an empty folder.
        trained: names of all parameters that were trained.
    """
    whole: Any = model
    if isinstance(whole, PeftModel):
        if adapter_holds_all(whole, trained):
            save_adapter(whole, folder / "adapter")
        whole = merge_adapter(whole)
    whole.config.architectures = [type(whole).__name__]
    whole.save_pretrained(str(folder))


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Write a PEFT folder."""
    # PEFT would ask the hub whether the vocabulary has grown
    model.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink()  # PEFT's template with nothing filled in; the run has a card


def size_of(state: dict[str, Tensor]) -> int:
    """Bytes of all tensors."""
    return sum(one.numel() * one.element_size() for one in state.values())


def adapter_holds_all(model: PeftModel, trained: Collection[str]) -> bool:
    """Whether a PEFT folder would hold everything that was trained."""
    from peft import get_peft_model_state_dict

    saved = sum(one.numel() for one in get_peft_model_state_dict(model, save_embedding_layers=False).values())
    return bool(saved == sum(one.numel() for name, one in model.named_parameters() if name in trained))
