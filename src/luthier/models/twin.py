"""A network without a head as a bi-encoder: both texts of a row become vectors by the same weights, each without seeing the other.

The network stays what it is, so that it is saved as any plain model is. Hooks put the two texts of a row below one another before
a call, and answer with the means of their hidden states (Reimers & Gurevych 2019, "Sentence-BERT", section 3).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput

from luthier.models.pooling import mean

POOLER = "pooler"
"""What transformers calls the layer that BERT puts on its first position: means do not read it, so it would never be trained."""


def read_twins(model: nn.Module) -> None:
    """Let a network answer rows of two texts, (rows, 2, tokens), with vectors as logits, (2 rows, width), in the order of the texts.

    Rows of one text, (rows, tokens), have one vector.
    """
    if model._modules.get(POOLER) is not None:
        setattr(model, POOLER, None)
    model.register_forward_pre_hook(_below_one_another, with_kwargs=True)
    model.register_forward_hook(_as_vectors, with_kwargs=True)


def by_rows(vectors: Tensor) -> Tensor:
    """Both vectors of each row, (rows, 2, width), of what such a network answers."""
    pairs: Tensor = vectors.unflatten(0, (-1, 2))
    return pairs


def _below_one_another(
    module: nn.Module, args: tuple[Any, ...], inputs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, {name: value.flatten(0, -2) for name, value in inputs.items()}


def _as_vectors(module: nn.Module, args: tuple[Any, ...], inputs: dict[str, Any], output: Any) -> Any:
    return SequenceClassifierOutput(logits=mean(output.last_hidden_state, inputs.get("attention_mask")))
