"""Making one network of two that sees and writes: the folder that a recipe's `model: {image: ..., writer: ...}` stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from luthier.errors import ModelError
from luthier.models.captioning import Captioner, looked_at
from luthier.models.captioning_config import CaptionerConfig
from luthier.models.find import Base
from luthier.models.heads import CAUSAL
from luthier.models.join import blank, tower, width, write
from luthier.models.open import architecture, open_model, open_processor, open_tokenizer
from luthier.models.words import predicts_next

TRIED = 4
"""Tokens that the network is tried with."""
TOLERANCE = 1e-3
"""Largest difference of logits between tokens read one by one and together."""
FAILURES = (RuntimeError, ValueError, TypeError, LookupError, AttributeError)
"""How a language model says that it cannot do what is asked: it was not written for that."""


def make(image: Base, writer: Base, every: int, folder: Path) -> None:
    """Write the towers, without what joins them, and what makes their input.

    Args:
        image: reads images.
        writer: a language model.
        every: as in `CaptionerConfig`.
        folder: empty.

    Raises:
        ModelError: one of them is something else, or nothing can be put between the blocks of the language model.
    """
    architecture(image, "image")
    _check_writes(writer)
    processor, tokenizer = open_processor(image, "image"), open_tokenizer(writer)
    seeing, writing = tower(image), open_model(writer, {}, tokenizer.pad_token_id, CAUSAL).model.eval()
    if not looked_at(writing, every):
        raise _unfit(writer, "it is not built of blocks, one behind the other")
    whole = Captioner(_settings(seeing, writing, width(seeing, processor), every, tokenizer)).eval()
    whole.towers.image, whole.towers.text = seeing, writing
    whole.generation_config = _generation(whole)
    _try(whole, writer, processor)
    write(whole, processor, tokenizer, folder)


def _check_writes(writer: Base) -> None:
    """Refuse what is no language model, or has an encoder of its own.

    Raises:
        ModelError: it is none.
    """
    config = architecture(writer, CAUSAL)
    if not predicts_next(config):
        raise ModelError(
            f"model: {writer.name} cannot be the writer: expected a language model that is a decoder alone, such as Llama, Qwen or GPT-2, "
            f"and {config.model_type} has an encoder."
        )


def _settings(seeing: Any, writing: Any, width: int, every: int, tokenizer: PreTrainedTokenizerBase) -> CaptionerConfig:
    begins = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    settings = CaptionerConfig(
        image_config=seeing.config.to_dict(),
        text_config=writing.config.to_dict(),
        image_width=width,
        every=every,
        decoder_start_token_id=begins,
        bos_token_id=begins,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    settings.get_text_config().pad_token_id = tokenizer.pad_token_id
    return settings


def _generation(whole: Captioner) -> GenerationConfig:
    """The language model's own settings of writing, and what every text begins with."""
    config = whole.config
    own = {"decoder_start_token_id": config.decoder_start_token_id, "bos_token_id": config.bos_token_id}
    ends = {"eos_token_id": config.eos_token_id, "pad_token_id": config.get_text_config().pad_token_id}
    return GenerationConfig.from_dict(whole.towers.text.generation_config.to_dict() | own | ends)


def _try(whole: Captioner, writer: Base, processor: Any) -> None:
    """See that every layer is called, and that a text is the same read whole and token by token, as it is written.

    Raises:
        ModelError: it is not so.
    """
    calls: list[int] = []
    handle = whole.looks.register_forward_hook(lambda module, given, output: calls.append(0))
    ids = torch.arange(TRIED).remainder(whole.config.get_text_config().vocab_size)[None]
    try:
        with torch.no_grad():
            encoded = whole.get_encoder()(pixel_values=blank(processor))
            together = whole(decoder_input_ids=ids, encoder_outputs=encoded, use_cache=False).logits
            once, alone = len(calls), _one_by_one(whole, ids, encoded)
    except FAILURES as wrong:
        raise _unfit(writer, f"tried on {TRIED} tokens it says: {type(wrong).__name__}: {wrong}") from wrong
    finally:
        handle.remove()
    if once != len(whole.looked_at) or not torch.allclose(together, alone, atol=TOLERANCE, rtol=TOLERANCE):
        raise _unfit(writer, "tokens read one by one give it something else than tokens read together")


def _one_by_one(whole: Captioner, ids: Tensor, encoded: Any) -> Tensor:
    """Logits, (1, tokens, vocabulary)."""
    cache = EncoderDecoderCache(DynamicCache(config=whole.config.get_text_config()), DynamicCache())
    return torch.cat(
        [
            whole(decoder_input_ids=one, encoder_outputs=encoded, past_key_values=cache, use_cache=True).logits
            for one in ids.split(1, dim=1)
        ],
        dim=1,
    )


def _unfit(writer: Base, why: str) -> ModelError:
    return ModelError(
        f"model: {writer.name} cannot be the writer, as nothing can be put between its blocks: {why}. Take a language model such as Llama, "
        "Qwen or GPT-2."
    )
