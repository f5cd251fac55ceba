"""Classification by the head that predicts words: the model stays what it is, and its answer is read at one place of each row.

Three changes, none of which alters a name: the base's output is cut to the place of the answer (so the head runs once a row
and not once a token), the last linear layer of the head is exchanged for one that has only the label words, and what comes
out is what transformers' classifiers return.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING
from transformers.modeling_outputs import SequenceClassifierOutput

from luthier.errors import RecipeError


def predicts_masked(config: Any) -> bool:
    """Whether models of this configuration predict words that are masked."""
    return type(config) in MODEL_FOR_MASKED_LM_MAPPING and not config.is_encoder_decoder


def predicts_next(config: Any) -> bool:
    """Whether models of this configuration predict the next word, and are not built to predict masked ones."""
    return type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and not predicts_masked(config) and not config.is_encoder_decoder


@dataclass(frozen=True)
class Place:
    """Where in each row the answer is read."""

    mask: int | None
    """Id of the mask token; None for the last token that is not padding."""
    behind: bool = True
    """Which mask it is, where the text has some of its own: the last or the first."""
    shift: int = 0
    """Positions before it: 1 for causal models, which say at each position what the next one holds."""

    def of(self, ids: Tensor, attention: Tensor | None) -> Tensor:
        """Position in each row, (rows,)."""
        if self.mask is not None:
            here = ids == self.mask
        else:
            here = torch.ones_like(ids, dtype=torch.bool) if attention is None else attention.bool()
        if not self.behind:
            return here.int().argmax(1) - self.shift
        return torch.where(here, torch.arange(ids.shape[1], device=ids.device), -1).amax(1) - self.shift


class LabelWords(nn.Linear):
    """The layer that predicts words, for some of them: (..., width) to (..., labels).

    The mean of the logits of a label's words is the logit of their mean row.

    Args:
        head: predicts every word of the vocabulary; its weight and bias are shared.
        words: of each label the ids of its words.
    """

    words: Tensor
    starts: Tensor

    def __init__(self, head: nn.Linear, words: Sequence[Sequence[int]]) -> None:
        super().__init__(head.in_features, head.out_features, head.bias is not None, device="meta")
        self.weight, self.bias = head.weight, head.bias
        device = head.weight.device
        flat = [one for label in words for one in label]
        starts = [0, *accumulate(len(label) for label in words)][:-1]
        self.register_buffer("words", torch.tensor(flat, device=device), persistent=False)
        self.register_buffer("starts", torch.tensor(starts, device=device), persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        bias = None if self.bias is None else self._means(self.bias[:, None])[:, 0]
        return nn.functional.linear(input, self._means(self.weight), bias)

    def _means(self, table: Tensor) -> Tensor:
        """Mean row of each label's words. A table that is tied gets its gradient as `AddingEmbedding` gives it."""
        adds = table.grad is not None if table.is_leaf else False
        return nn.functional.embedding_bag(
            self.words, table, self.starts, mode="mean", sparse=adds and torch.is_grad_enabled()
        )


def answer_by_words(model: nn.Module, words: Sequence[Sequence[int]], place: Place) -> None:
    """Let a model that predicts words answer with a logit for each label.

    Args:
        model: of transformers, with the head that predicts words.
        words: of each label the ids of its words; its logit is the mean of theirs.
        place: where the words are predicted.

    Raises:
        RecipeError: the head is built in a way of its own.
    """
    whole: Any = model
    head, base = whole.get_output_embeddings(), whole.base_model
    if type(head) is not nn.Linear or head.out_features <= max(map(max, words)) or base is model:
        raise _strange(model)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if child is head:
                setattr(parent, name, LabelWords(head, words))
    base.register_forward_hook(partial(_cut, place=place), with_kwargs=True)
    model.register_forward_hook(partial(_answer, labels=len(words)))


def _cut(module: nn.Module, args: tuple[Any, ...], inputs: Mapping[str, Any], output: Any, *, place: Place) -> Any:
    """Keep of the hidden states, (rows, tokens, width), those at the place of the answer, (rows, 1, width)."""
    ids = inputs["input_ids"] if "input_ids" in inputs else args[0]
    states = output.last_hidden_state
    rows = torch.arange(len(states), device=states.device)
    output.last_hidden_state = states[rows, place.of(ids, inputs.get("attention_mask"))][:, None]
    return output


def _answer(module: nn.Module, args: tuple[Any, ...], output: Any, *, labels: int) -> SequenceClassifierOutput:
    if output.logits.shape[1:] != (1, labels):
        raise _strange(module)
    return SequenceClassifierOutput(logits=output.logits[:, 0])


def _strange(model: nn.Module) -> RecipeError:
    return RecipeError(
        f"method cloze: the part of {type(model).__name__} that predicts words is built in a way of its own, which cannot be cut to the "
        "words of the labels; choose another model or method."
    )
