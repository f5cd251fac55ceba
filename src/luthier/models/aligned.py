"""Networks that make vectors of images and of texts in one space, as CLIP does (Radford et al. 2021, https://arxiv.org/abs/2103.00020).

The network stays what it is, so that it is saved as any plain model is. A hook answers with the vectors as logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import ModelOutput

from luthier.errors import ModelError

SCALE, BIAS = "logit_scale", "logit_bias"
"""What transformers calls the logarithm of what cosines are multiplied by, and what SigLIP adds to them."""
PADDED = frozenset({"siglip", "siglip2"})
"""Kinds of configuration whose texts are read at the limit's last position, padding or not (Zhai et al. 2023; transformers'
documentation of SigLIP: "the model was trained with padding=max_length")."""


@dataclass
class Aligned(ModelOutput):  # type: ignore[misc]
    """What such a network answers."""

    logits: Tensor | None = None
    """(images + texts, width): vectors of length 1 of the texts, behind those of the images, whose length is what cosines are multiplied
    by; so that their products are the network's own scores, but for the bias."""
    bias: Tensor | None = None
    """What is added to the products; None for networks that learn by a softmax and have none."""
    logits_per_image: Tensor | None = None
    """(images, texts): the products, for transformers' pipelines; only where nobody else makes them."""


def answer_vectors(model: nn.Module) -> None:
    """Let a network answer with its vectors.

    Raises:
        ModelError: it has no temperature that is called as in CLIP.
    """
    if SCALE not in dict(model.named_parameters()):
        raise ModelError(
            f"A {type(model).__name__} cannot be used here: expected a network with the parameter {SCALE}, such as CLIP or SigLIP."
        )
    model.register_forward_hook(_as_vectors)


def split_up(vectors: Tensor, images: int) -> tuple[Tensor, Tensor]:
    """The vectors of the images and those of the texts, of what such a network answers."""
    return vectors[:images], vectors[images:]


def _as_vectors(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
    parameters = module._parameters
    scale = parameters[SCALE]
    assert scale is not None
    vectors = torch.cat([output.image_embeds * scale.exp(), output.text_embeds])
    return Aligned(logits=vectors, bias=parameters.get(BIAS))
