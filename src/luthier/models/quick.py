"""Exchange submodules of a transformers model for ones that compute the same function faster on this machine.

Parameters, buffers, hooks, names and training mode stay the same objects; what is saved is the same.
"""

from typing import TypeVar

from torch import nn
from transformers import PreTrainedModel

from luthier.models import attention
from luthier.models.dropout import CheapDropout
from luthier.models.embedding import AddingEmbedding
from luthier.models.linear import OneDnnLinear, onednn_is_faster

Model = TypeVar("Model", bound=nn.Module)


def quicken(model: Model) -> Model:
    """Exchange dropout, embedding, linear and attention by faster ones, in place.

    The exchanged parts look at each input and fall back to the stock computation on GPUs, when traced or compiled, linear layers
    under autocast too. Subclasses of the stock layers and attention other than `sdpa` stay as they are.

    Returns:
        The same model.
    """
    _exchange_layers(model)
    _exchange_attention(model)
    return model


def _exchange_layers(model: nn.Module) -> None:
    faster = {nn.Dropout: CheapDropout, nn.Embedding: AddingEmbedding}
    if onednn_is_faster():
        faster[nn.Linear] = OneDnnLinear
    made: dict[nn.Module, nn.Module] = {}
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            quick = faster.get(type(child))
            if quick is not None:
                made.setdefault(child, _become(quick, child))
                setattr(parent, name, made[child])


def _become(quick: type[nn.Module], stock: nn.Module) -> nn.Module:
    """A module of class `quick` that shares everything with the stock one."""
    module = quick.__new__(quick)
    module.__dict__.update(stock.__dict__)
    return module


def _exchange_attention(model: nn.Module) -> None:
    for part in model.modules():
        if isinstance(part, PreTrainedModel) and part.config._attn_implementation == "sdpa":
            part.set_attn_implementation(attention.NAME)
