"""Speech encoders for clips shorter than the window they were trained with."""

from __future__ import annotations

from torch import nn
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from luthier.errors import ModelError

PER_SECOND = 50
"""Positions of 20 ms a second: Whisper (mel frames every 10 ms, and a convolution of stride 2), wav2vec 2.0 and wav2vec2-BERT."""


def shorten(model: nn.Module, positions: int) -> None:
    """Cut the position table of a Whisper encoder, in place; other networks stay as they are.

    Whisper reads windows of 30 s only, and a clip of one second is 29 of silence: attention over 1,500 positions where 50 would do.
    The first rows of its sinusoidal table (https://arxiv.org/abs/2212.04356, section 2.2) are those of a shorter window. The answers are
    not those of the padded window, whose silence the layers see; with the shorter one the network is trained and served.

    Args:
        model: with a Whisper encoder inside, or without.
        positions: of 20 ms in what the model is to get: `Audio.positions`.

    Raises:
        ModelError: the table has fewer positions.
    """
    for encoder in [module for module in model.modules() if isinstance(module, WhisperEncoder)]:
        table: nn.Embedding = encoder.embed_positions
        _check_room(table.num_embeddings, positions)
        rows = table.weight.detach()[:positions].clone()
        encoder.embed_positions = nn.Embedding.from_pretrained(rows, freeze=not table.weight.requires_grad)
        encoder.max_source_positions = positions
        # one object for the encoder and the model around it
        encoder.config.max_source_positions = positions


def _check_room(room: int, positions: int) -> None:
    if positions > room:
        raise ModelError(
            f"This model hears {room / PER_SECOND:g} seconds at most, and rows are to have {positions / PER_SECOND:g}. Set data.max_length "
            f"to {room // PER_SECOND} or less."
        )
