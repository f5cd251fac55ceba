"""Bottleneck adapters as a tuner of PEFT, which has none: small networks behind or beside the layers of a frozen one.

Importing this module registers them, and from then on `PeftModel.from_pretrained` loads a folder that holds them.

behind a linear layer    y + scale * up(act(down(y))), with y = linear(x)          Houlsby et al. 2019, section 2.1
beside a feed-forward    y + scale * up(act(down(x))), with y = last(... first(x))  He et al. 2022, section 3.3
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import get_ident
from typing import Any

from peft import PeftConfig
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from torch import Tensor, nn
from transformers.activations import ACT2FN

from luthier.errors import ModelError
from luthier.models.anatomy import widths

PEFT_TYPE = "LUTHIER_BOTTLENECK"
"""The `peft_type` in adapter_config.json."""


@dataclass
class BottleneckConfig(PeftConfig):  # type: ignore[misc]
    """What PEFT writes to adapter_config.json.

    Attributes:
        target_modules: names of the linear layers whose output is changed.
        inputs: beside a feed-forward, for each target the name of the linear layer whose input the adapter reads; else empty.
        reduction: width over that of the bottleneck.
        activation: a name that transformers' ACT2FN knows.
        scale: factor on what is added; None for one that is learned and starts at 1.
        dropout: in the bottleneck.
        modules_to_save: names of modules that are trained and saved whole.
    """

    target_modules: list[str] | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    reduction: float = 16.0
    activation: str = "gelu"
    scale: float | None = 1.0
    dropout: float = 0.0
    modules_to_save: list[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = PEFT_TYPE


def bottleneck_size(width: int, reduction: float) -> int:
    """Width of the bottleneck in a network of some width, rounded down."""
    return int(width / reduction)


class InputTap(nn.Module, BaseTunerLayer):  # type: ignore[misc]
    """A linear layer that keeps its input until the end of its feed-forward asks for it.

    One input per thread: the same network may answer several requests at a time, and what is recomputed for gradient
    checkpointing is recomputed in autograd's own threads.
    """

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.in_features, self.out_features = widths(base_layer)
        self.kept: dict[int, Tensor] = {}

    def forward(self, rows: Tensor) -> Tensor:
        """Rows of shape (..., in) to (..., out)."""
        self.kept[get_ident()] = rows
        written: Tensor = self.base_layer(rows)
        return written

    def take(self) -> Tensor:
        """The last input in this thread, which is then forgotten."""
        return self.kept.pop(get_ident())


class BottleneckLayer(nn.Module, BaseTunerLayer):  # type: ignore[misc]
    """A linear layer with bottlenecks, by the names that PEFT gives to adapters.

    Args:
        base_layer: `nn.Linear` or GPT-2's `Conv1D`.
        tap: where the bottlenecks take their input from; by default they read what the linear layer writes.
    """

    adapter_layer_names = ("bottleneck_down", "bottleneck_up", "bottleneck_scale")
    other_param_names = ("bottleneck_middle", "bottleneck_factor")

    def __init__(self, base_layer: nn.Module, tap: InputTap | None) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.in_features, self.out_features = widths(base_layer)
        # in a tuple, so that the other layer does not become a submodule of this one as well
        self.taps = () if tap is None else (tap,)
        self.bottleneck_down = nn.ModuleDict()
        self.bottleneck_middle = nn.ModuleDict()
        self.bottleneck_up = nn.ModuleDict()
        self.bottleneck_scale = nn.ParameterDict()
        self.bottleneck_factor: dict[str, float] = {}

    def add(self, adapter: str, config: BottleneckConfig) -> None:
        """Put a new bottleneck in, which changes nothing yet: `up` is zero, `down` is drawn as in LoRA (He et al. 2022)."""
        width = self.taps[0].in_features if self.taps else self.out_features
        down = nn.Linear(width, bottleneck_size(width, config.reduction))
        up = nn.Linear(down.out_features, self.out_features)
        for zero in (down.bias, up.weight, up.bias):
            nn.init.zeros_(zero)
        self.bottleneck_down[adapter] = down
        self.bottleneck_middle[adapter] = nn.Sequential(ACT2FN[config.activation], nn.Dropout(config.dropout))
        self.bottleneck_up[adapter] = up
        if config.scale is None:
            self.bottleneck_scale[adapter] = nn.Parameter(down.weight.new_ones(()))
        else:
            self.bottleneck_factor[adapter] = config.scale
        layer: Any = self  # the type checker knows nothing of PEFT
        layer._move_adapter_to_device_of_base_layer(adapter)
        layer.set_adapter(layer.active_adapters, inference_mode=config.inference_mode)

    def forward(self, rows: Tensor) -> Tensor:
        """Rows of shape (..., in) to (..., out)."""
        # taken before anything can go wrong or be left out, so that nothing stays behind in the tap
        read = [tap.take() for tap in self.taps]
        written: Tensor = self.base_layer(rows)
        layer: Any = self
        active = [] if layer.disable_adapters else layer.active_adapters
        for adapter in [name for name in active if name in self.bottleneck_down]:
            change = self._change(adapter, read[0] if read else written).to(written.dtype)
            written = written.add(change, alpha=self.bottleneck_factor.get(adapter, 1.0))
        return written

    def _change(self, adapter: str, rows: Tensor) -> Tensor:
        down: Any = self.bottleneck_down[adapter]
        narrow = self.bottleneck_middle[adapter](down(rows.to(down.weight.dtype)))
        change: Tensor = self.bottleneck_up[adapter](narrow)
        return change * self.bottleneck_scale[adapter] if adapter in self.bottleneck_scale else change


class BottleneckModel(BaseTuner):  # type: ignore[misc]
    """Exchanges the linear layers that `BottleneckConfig` names."""

    prefix = "bottleneck_"
    tuner_layer_cls = BottleneckLayer
    target_module_mapping: dict[str, list[str]] = {}

    def _check_new_adapter_config(self, config: BottleneckConfig) -> None:
        super()._check_new_adapter_config(config)
        if any(other.inputs != config.inputs for other in self.peft_config.values()):
            raise ModelError(
                "Bottleneck adapters of one network all stand behind its layers or all beside its feed-forwards; this one "
                "differs from those that are there. Load it into a network of its own."
            )

    def _create_and_replace(
        self,
        peft_config: BottleneckConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
    ) -> None:
        if isinstance(target, BottleneckLayer):
            target.add(adapter_name, peft_config)
            return
        source = peft_config.inputs.get(current_key)
        layer = BottleneckLayer(target, self._tap(source) if source else None)
        layer.add(adapter_name, peft_config)
        self._replace_module(parent, target_name, layer, target)

    def _tap(self, name: str) -> InputTap:
        parent, _, own_name = name.rpartition(".")
        linear = self.model.get_submodule(name)
        tap = InputTap(linear)
        self._replace_module(self.model.get_submodule(parent), own_name, tap, linear)
        return tap

    def _check_merge_allowed(self) -> None:
        raise ModelError(
            "Bottleneck adapters are not linear, so no weights of the network below compute the same: they cannot be merged. "
            "Keep the adapter folder and load it with PeftModel.from_pretrained."
        )


# PEFT's own `register_peft_method` takes members of its enum only; its tables are plain dictionaries of texts.
PEFT_TYPE_TO_CONFIG_MAPPING[PEFT_TYPE] = BottleneckConfig
PEFT_TYPE_TO_TUNER_MAPPING[PEFT_TYPE] = BottleneckModel
PEFT_TYPE_TO_PREFIX_MAPPING[PEFT_TYPE] = BottleneckModel.prefix
