"""Saving what was trained as a folder that plain transformers or PEFT loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn

from luthier.modalities import Modality
from luthier.models.quiet import quiet


def trained_state(model: nn.Module) -> dict[str, Tensor]:
    """What training changes: parameters with `requires_grad`, and persistent buffers. Tensors share the model's memory."""
    trainable = {name for name, one in model.named_parameters() if one.requires_grad}
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    state: dict[str, Tensor] = model.state_dict()
    return {name: one.detach() for name, one in state.items() if name in trainable or name not in parameters}


def load_trained_state(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Put back what `trained_state` gave.

    Raises:
        ValueError: names or shapes differ from those of this model.
    """
    mine = trained_state(model)
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


def save_model(model: nn.Module, modality: Modality, folder: Path) -> None:
    """Write a Hugging Face folder with the full model and its labels; a PEFT adapter lies in `adapter/` beside it.

    The full model, because an adapter holds neither the labels nor the size of the head: given an adapter alone,
    `AutoModelForSequenceClassification` and `pipeline` fail or answer LABEL_0. The adapter is left out where it does not hold
    all that was trained.

    Args:
        model: as trained; what PEFT inserted is folded into it, so it cannot be trained further.
        modality: whose files go into the folder too.
        folder: an empty folder.
    """
    whole: Any = model
    with quiet():
        _write(whole, folder)
    modality.save(str(folder))


def _write(whole: Any, folder: Path) -> None:
    if isinstance(whole, PeftModel):
        if _adapter_holds_all(whole):
            # PEFT would ask the hub whether the vocabulary has grown
            whole.save_pretrained(str(folder / "adapter"), save_embedding_layers=False)
        whole = whole.merge_and_unload()
    whole.config.architectures = [type(whole).__name__]
    whole.save_pretrained(str(folder))


def size_of(state: dict[str, Tensor]) -> int:
    """Bytes of all tensors."""
    return sum(one.numel() * one.element_size() for one in state.values())


def _adapter_holds_all(model: PeftModel) -> bool:
    from peft import get_peft_model_state_dict

    saved = sum(one.numel() for one in get_peft_model_state_dict(model, save_embedding_layers=False).values())
    trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
    return bool(saved == trained)
