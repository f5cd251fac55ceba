"""Any torch network as a model of transformers: what saves, loads and takes methods is what there is for all others.

    body     the network as its factory makes it, its head taken out
    head     its last linear layer

Where something follows its last layer (a softmax, a pooling) the head stays inside, and only its name is known. The classes are
known to transformers' Auto classes after `import luthier`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, SequenceClassifierOutput
from transformers.models.auto.modeling_auto import (  # from where it is: this module is imported as soon as that is
    AutoModelForAudioClassification,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
)

from luthier.errors import ModelError
from luthier.models.code import maker
from luthier.models.made_config import AudioNetworkConfig, ImageNetworkConfig, MadeConfig, TextNetworkConfig

LABELS = ("num_labels", "num_outputs", "num_classes")
"""Settings by which factories are told how many outputs there are to be."""
MASK = "attention_mask"


class Body(nn.Module):
    """The network below its head.

    Args:
        network: from the factory, the head taken out where it is apart.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> BaseModelOutput:
        """What the network gives, as (rows, 1, width).

        Args:
            pixel_values: (rows, channels, height, width).
            input_values: samples, (rows, samples).
            input_ids: (rows, tokens).
            attention_mask: 1 where `input_values` or `input_ids` are no padding; handed on to networks that take it.
        """
        given = next(one for one in (pixel_values, input_values, input_ids) if one is not None)
        return BaseModelOutput(last_hidden_state=answer_of(self.network, given, attention_mask)[:, None])


class MadeNetwork(PreTrainedModel):  # type: ignore[misc]
    """A network that a factory makes, with logits for each row."""

    config_class = MadeConfig
    base_model_prefix = "body"

    def __init__(self, config: MadeConfig) -> None:
        super().__init__(config)
        with torch.device("cpu"):  # and not on `meta`, where tensors that are no parameters would be lost
            network = make(config)
        if config.apart:
            head = network.get_submodule(config.head)
            put(network, config.head, nn.Identity())
            self.body, self.head = Body(network), head
        else:
            self.body, self.head = Body(network), nn.Identity()
        self.post_init()

    @property
    def head_names(self) -> tuple[str, ...]:
        """The head where it is no module of its own."""
        return () if self.config.apart else (f"body.network.{self.config.head}",)

    def get_input_embeddings(self) -> None:
        """None: what a network does with its tokens is its own, so no learned tokens can be put beside them."""

    def init_weights(self) -> None:
        """Leave the weights of a new network as the factory has drawn them."""
        self.tie_weights(recompute_mapping=False)

    def _init_weights(self, module: nn.Module) -> None:
        """Give a module that was not loaded what the factory draws; buffers that are not saved get their values back."""
        name = next(name for name, one in self.named_modules() if one is module)
        fresh = type(self)(self.config).get_submodule(name)
        with torch.no_grad():
            for own, drawn in zip(_tensors(module), _tensors(fresh), strict=True):
                if not getattr(own, "_is_hf_initialized", False):
                    own.copy_(drawn)

    def _answer(self, body: BaseModelOutput) -> SequenceClassifierOutput:
        return SequenceClassifierOutput(logits=self.head(body.last_hidden_state)[:, 0])


class ImageNetwork(MadeNetwork):
    """Reads images."""

    config_class = ImageNetworkConfig
    main_input_name = "pixel_values"

    def forward(self, pixel_values: Tensor) -> SequenceClassifierOutput:
        """Logits, (rows, labels), of images, (rows, channels, height, width)."""
        return self._answer(self.body(pixel_values=pixel_values))


class AudioNetwork(MadeNetwork):
    """Reads raw samples."""

    config_class = AudioNetworkConfig
    main_input_name = "input_values"

    def forward(self, input_values: Tensor, attention_mask: Tensor | None = None) -> SequenceClassifierOutput:
        """Logits, (rows, labels), of samples, (rows, samples), padded with zeros."""
        return self._answer(self.body(input_values=input_values, attention_mask=attention_mask))


class TextNetwork(MadeNetwork):
    """Reads tokens."""

    config_class = TextNetworkConfig
    main_input_name = "input_ids"

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> SequenceClassifierOutput:
        """Logits, (rows, labels), of ids, (rows, tokens)."""
        return self._answer(self.body(input_ids=input_ids, attention_mask=attention_mask))


KINDS: Mapping[str, tuple[type[MadeConfig], type[MadeNetwork], Any]] = {
    "image": (ImageNetworkConfig, ImageNetwork, AutoModelForImageClassification),
    "audio": (AudioNetworkConfig, AudioNetwork, AutoModelForAudioClassification),
    "text": (TextNetworkConfig, TextNetwork, AutoModelForSequenceClassification),
}
"""By what rows are: configuration, network, and the Auto class that opens it."""

for _config, _network, _auto in KINDS.values():
    _auto.register(_config, _network)


def make(config: MadeConfig) -> nn.Module:
    """The network as its factory makes it, with as many outputs as the configuration has labels.

    Raises:
        LuthierError: the factory is not there or takes other settings.
        ModelError: it fails, or returns no network.
    """
    factory = maker(config.factory, config.code)
    settings = dict(config.settings or {})
    told = told_outputs(factory)
    if told:
        settings[told] = config.num_labels
    network = _called(factory, config.factory, settings)
    if config.head and not told:
        put(network, config.head, _resized(network.get_submodule(config.head), config.num_labels))
    return network


def told_outputs(factory: Callable[..., Any]) -> str | None:
    """The setting that tells a factory how many outputs there are to be; None where it takes none."""
    known = inspect.signature(factory).parameters
    return next((name for name in LABELS if name in known), None)


def _tensors(module: nn.Module) -> list[Tensor]:
    """Its own parameters and buffers, without those of modules in it."""
    return [*module.parameters(recurse=False), *module.buffers(recurse=False)]


def put(network: nn.Module, name: str, module: nn.Module) -> None:
    """Exchange a module inside a network."""
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)


def answer_of(network: nn.Module, rows: Tensor, mask: Tensor | None = None) -> Tensor:
    """What a network gives for some rows, be it a tensor or an output of transformers with `logits`.

    Args:
        network: from the factory.
        rows: its first argument.
        mask: for networks that take it as `attention_mask`; where it is None they get ones.
    """
    takes = MASK in inspect.signature(network.forward).parameters
    named = {MASK: torch.ones(rows.shape[:2], dtype=torch.long, device=rows.device) if mask is None else mask}
    output = network(rows, **(named if takes else {}))
    found: Tensor = output if isinstance(output, Tensor) else output["logits"]
    return found


def _called(factory: Callable[..., Any], name: str, settings: Mapping[str, Any]) -> nn.Module:
    signature = inspect.signature(factory)
    try:
        signature.bind(**settings)
    except TypeError as wrong:
        raise ModelError(
            f"model: {name} cannot be called with the settings {', '.join(settings) or 'none'}: {wrong}. Its signature is {signature}."
        ) from None
    try:
        network = factory(**settings)
    except (Exception, SystemExit) as wrong:  # whatever the user's code raises
        raise ModelError(f"model: {name} fails: {type(wrong).__name__}: {wrong}") from wrong
    if not isinstance(network, nn.Module):
        raise ModelError(f"model: {name} returns {type(network).__name__}, and a torch.nn.Module is expected.")
    return network


def _resized(head: nn.Module, outputs: int) -> nn.Module:
    """A new layer like the head with another number of outputs.

    Raises:
        ModelError: it is of a kind that cannot be drawn anew.
    """
    if isinstance(head, nn.Linear):
        return nn.Linear(head.in_features, outputs, head.bias is not None)
    if isinstance(head, nn.Conv1d | nn.Conv2d):
        same: Any = {name: getattr(head, name) for name in ("stride", "padding", "dilation", "groups", "padding_mode")}
        kind: Any = type(head)
        resized: nn.Module = kind(head.in_channels, outputs, head.kernel_size, bias=head.bias is not None, **same)
        return resized
    raise ModelError(
        f"model: its head is a {type(head).__name__}, which cannot be drawn anew for other labels. Let the factory take num_labels."
    )
