"""Two pretrained networks as the towers of one: an image and its text become one answer, or vectors in one space.

    towers   `image` and `text`, as they were pretrained, without their heads
    rest     new: what joins them, and the head

What the towers give of a row has one size for all rows, whatever the length of its text, so that it can be kept where they are frozen:
the mean of the text's hidden states, and of the image the states of its places or their mean. The classes are known to
transformers' AutoConfig after `import luthier`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.auto.modeling_auto import (  # from where it is: this module is imported as soon as that is
    AutoModel,
    AutoModelForZeroShotImageClassification,
)

from luthier.models.aligned import Aligned
from luthier.models.cross_attention import GatedCrossAttention, draw
from luthier.models.fused_config import CONCAT, GATED, FusedConfig
from luthier.models.pooling import mean
from luthier.models.twin import POOLER

LAYERS = 2
"""Gated layers, one on the other."""
DROPOUT = 0.1
"""Before the last layer; BERT's."""


class Towers(nn.Module):
    """Both networks, each as it is.

    Args:
        config: of the whole.
        places: whether all places of the image are wanted, or their mean.
    """

    def __init__(self, config: FusedConfig, places: bool) -> None:
        super().__init__()
        self.image, self.text = (body(AutoModel.from_config(one)) for one in (config.image_config, config.text_config))
        self.places = places

    def forward(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """The text's vector, (rows, width), and the image's, (rows, image width), or its places, (rows, places, image width)."""
        read = self.text(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        seen = places_of(self.image(pixel_values=pixel_values).last_hidden_state)
        return mean(read, attention_mask), seen if self.places else seen.mean(dim=1)


def body(network: Any) -> Any:
    """A network as a tower: without the layer on its first position, which means do not read."""
    if network._modules.get(POOLER) is not None and any(True for _ in network._modules[POOLER].parameters()):
        setattr(network, POOLER, None)
    return network


def places_of(hidden: Tensor) -> Tensor:
    """Hidden states of an image, (rows, places, width): transformers have them so, convolutions (rows, width, height, width)."""
    return hidden.flatten(2).transpose(1, 2) if hidden.dim() == 4 else hidden


class Fused(PreTrainedModel):  # type: ignore[misc]
    """Both towers, and what subclasses make of what they say."""

    config_class = FusedConfig
    base_model_prefix = "towers"
    main_input_name = "pixel_values"
    input_modalities = ("image", "text")
    supports_gradient_checkpointing = False
    _supports_sdpa = True

    def _init_weights(self, module: nn.Module) -> None:
        """As transformers do; gates are closed, and the temperature is CLIP's."""
        super()._init_weights(module)
        if isinstance(module, GatedCrossAttention):
            draw(module)
        if isinstance(module, Temperature):
            init.constant_(module.logit_scale, module.start)

    def get_input_embeddings(self) -> nn.Module:
        """Those of the text."""
        embeddings: nn.Module = self.towers.text.get_input_embeddings()
        return embeddings


class FusedForClassification(Fused):
    """One answer for an image and a text."""

    def __init__(self, config: FusedConfig) -> None:
        super().__init__(config)
        self.towers = Towers(config, places=config.fusion == GATED)
        self.joined = FUSIONS[config.fusion](config)
        self.dropout = nn.Dropout(DROPOUT)
        self.classifier = nn.Linear(self.joined.width, config.num_labels)
        self.post_init()

    def forward(
        self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor | None = None
    ) -> SequenceClassifierOutput:
        """Logits, (rows, labels)."""
        read, seen = self.towers(pixel_values, input_ids, attention_mask)
        return SequenceClassifierOutput(logits=self.classifier(self.dropout(self.joined(read, seen))))


class FusedForAlignment(Fused):
    """Vectors of images and of texts in one space, as CLIP makes them."""

    def __init__(self, config: FusedConfig) -> None:
        super().__init__(config)
        self.towers = Towers(config, places=False)
        self.image_projection = nn.Linear(config.image_width, config.projection_dim, bias=False)
        self.text_projection = nn.Linear(text_width(config), config.projection_dim, bias=False)
        self.temperature = Temperature(config.logit_scale_init_value)
        self.post_init()

    def forward(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor | None = None) -> Aligned:
        """The vectors of the images and those of the texts, which may be others in number."""
        read, seen = self.towers(pixel_values, input_ids, attention_mask)
        images = F.normalize(self.image_projection(seen), dim=-1) * self.temperature()
        texts = F.normalize(self.text_projection(read), dim=-1)
        return Aligned(logits=torch.cat([images, texts]), logits_per_image=images @ texts.T)


class Temperature(nn.Module):
    """What cosines are multiplied by, which is learned.

    Args:
        start: its logarithm.
    """

    def __init__(self, start: float) -> None:
        super().__init__()
        self.start = start
        self.logit_scale = nn.Parameter(torch.tensor(start))

    def forward(self) -> Tensor:
        """A number above 0."""
        return self.logit_scale.exp()


class Concatenated(nn.Module):
    """The vectors of image and text, each brought to one scale, side by side through a layer."""

    def __init__(self, config: FusedConfig) -> None:
        super().__init__()
        self.width = text_width(config)
        self.norm_read, self.norm_seen = nn.LayerNorm(self.width), nn.LayerNorm(config.image_width)
        self.dense = nn.Linear(self.width + config.image_width, self.width)

    def forward(self, read: Tensor, seen: Tensor) -> Tensor:
        """(rows, width)."""
        joined: Tensor = F.gelu(self.dense(torch.cat([self.norm_read(read), self.norm_seen(seen)], dim=-1)))
        return joined


class Gated(nn.Module):
    """The text's vector, which looks at the places of the image through gated layers that are closed at the start."""

    def __init__(self, config: FusedConfig) -> None:
        super().__init__()
        self.width = text_width(config)
        self.layers = nn.ModuleList(GatedCrossAttention(self.width, config.image_width) for _ in range(LAYERS))

    def forward(self, read: Tensor, seen: Tensor) -> Tensor:
        """(rows, width)."""
        joined = read[:, None]
        for layer in self.layers:
            joined = layer(joined, seen)
        return joined[:, 0]


def text_width(config: FusedConfig) -> int:
    """Numbers for each token that the text's tower gives."""
    return int(config.get_text_config().hidden_size)


FUSIONS: Mapping[str, Callable[[FusedConfig], Any]] = {CONCAT: Concatenated, GATED: Gated}
"""What joins both towers, by what the recipe calls it."""


AutoModelForZeroShotImageClassification.register(FusedConfig, FusedForAlignment)
