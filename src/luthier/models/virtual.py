"""Virtual tokens: ids beyond the vocabulary whose vectors are learned, looked up by the word embedding itself.

The network's own code sees one more row of ids, so that positions (RoBERTa's and rotary ones too), pooling at the first, the
last or the end token, and causal masks work as they do for words. What is saved keeps its names: the table's `weight` stays
what and where it was, and the vectors lie beside it as `prompt.vectors`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from luthier.errors import RecipeError
from luthier.modalities import FIRST_VIRTUAL
from luthier.models.embedding import AddingEmbedding

FILLERS = {"attention_mask": 1, "token_type_ids": 0}
"""What stands for a virtual token in the other inputs that have a number for each token."""


class Prompt(nn.Module, ABC):
    """Makes the vectors of the virtual tokens."""

    @abstractmethod
    def forward(self) -> Tensor:
        """(tokens, width)."""


class Vectors(Prompt):
    """The vectors themselves.

    Args:
        start: (tokens, width).
    """

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.vectors = nn.Parameter(start.detach().clone())

    def forward(self) -> Tensor:
        return self.vectors


def add_virtual_tokens(model: nn.Module, prompt: Prompt) -> None:
    """Let the word embedding know the ids from `FIRST_VIRTUAL` on: a row of `prompt` each.

    Wherever the table is used (T5 has it in three places) it is exchanged for one that shares its weight.

    Raises:
        RecipeError: it knows virtual tokens already.
    """
    stock = word_table(model)
    if prompt_in(model) is not None:
        raise RecipeError(
            "method: two methods put learned tokens into the input, and a network takes them from one: choose one of prompt, ptuning "
            "and cloze with {soft}."
        )
    virtual = _extended(stock, prompt.to(device=stock.weight.device))
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Embedding) and child.weight is stock.weight:
                setattr(parent, name, virtual)


def prompt_in(model: nn.Module) -> Prompt | None:
    """What makes the vectors of the virtual tokens of a network, if it has any."""
    return next((module for module in model.modules() if isinstance(module, Prompt)), None)


def exchange_prompt(model: nn.Module, prompt: Prompt) -> None:
    """Let other vectors stand for the virtual tokens."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Prompt):
                setattr(parent, name, prompt)


def word_table(model: nn.Module) -> nn.Embedding:
    """The word embedding.

    Raises:
        RecipeError: the network looks its input up in no table.
    """
    whole: Any = model
    found = whole.get_input_embeddings()
    if not isinstance(found, nn.Embedding):
        raise RecipeError("method: learned tokens need a model that reads tokens, and this one has no word embedding.")
    return found


def prepend(model: nn.Module, tokens: int, at: int) -> None:
    """Put the virtual tokens into every row of ids, behind its first `at` tokens.

    The network has to be called with its inputs by name.
    """
    model.register_forward_pre_hook(partial(_prepend, tokens=tokens, at=at), with_kwargs=True)


def _prepend(
    module: nn.Module, args: tuple[Any, ...], inputs: dict[str, Any], *, tokens: int, at: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    ids = inputs["input_ids"]
    virtual = torch.arange(FIRST_VIRTUAL, FIRST_VIRTUAL + tokens, device=ids.device).expand(len(ids), -1)
    longer = {"input_ids": torch.cat([ids[:, :at], virtual, ids[:, at:]], dim=1)}
    for name, filler in FILLERS.items():
        rows = inputs.get(name)
        if rows is not None:
            longer[name] = torch.cat([rows[:, :at], rows.new_full((len(rows), tokens), filler), rows[:, at:]], dim=1)
    return args, {**inputs, **longer}


def word_vectors(model: nn.Module, ids: Sequence[int | None], tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """Vectors of words, (tokens, width); None is any word of the vocabulary but the special tokens, drawn at random."""
    table = word_table(model).weight.detach()
    words = set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids)
    pool = torch.tensor(sorted(word for word in words if word < len(table)))
    drawn = pool[torch.randint(len(pool), (len(ids),))].tolist()
    picked = [other if one is None else one for one, other in zip(ids, drawn, strict=True)]
    return table[torch.tensor(picked, device=table.device)]


def random_vectors(model: nn.Module, tokens: int) -> Tensor:
    """Normal vectors with the mean and the spread of the word table, (tokens, width)."""
    table = word_table(model).weight.detach()
    return torch.randn(tokens, table.shape[1], device=table.device) * table.std() + table.mean()


def _extended(stock: nn.Embedding, prompt: Prompt) -> nn.Embedding:
    """A module that shares everything with the stock one and has a prompt too."""
    like: Any = AddingEmbedding if type(stock) is nn.Embedding else type(stock)
    kind = _with_virtual_ids(like)
    module = kind.__new__(kind)
    # its own dictionaries: the stock module must not get a child
    module.__dict__.update({name: _own(value) for name, value in stock.__dict__.items()})
    module.prompt = prompt
    return module


def _own(value: Any) -> Any:
    return value.copy() if isinstance(value, dict) else value


@cache
def _with_virtual_ids(stock: Any) -> type[nn.Embedding]:
    """A table like the stock class, which may do more than look up (Gemma's scales), that also knows virtual ids."""

    class VirtualEmbedding(stock):  # type: ignore[misc]
        def forward(self, input: Tensor) -> Tensor:
            virtual = input >= FIRST_VIRTUAL
            words = super().forward(input.masked_fill(virtual, 0))
            rows = self.prompt().to(words.dtype)
            learned = nn.functional.embedding((input - FIRST_VIRTUAL).clamp(min=0), rows)
            return torch.where(virtual[..., None], learned, words)

    return VirtualEmbedding
