"""(IA)^3: vectors that scale keys, values and the inside of each feed-forward (Liu et al. 2022, section 3.3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from luthier.errors import RecipeError
from luthier.methods import Rate
from luthier.methods.peft import Layer, Peft, within_attention

if TYPE_CHECKING:
    from peft import IA3Config

    from luthier.models.anatomy import Anatomy

KEYS_AND_VALUES = re.compile(r"^(k|v|key|value)(_|$)|kv|c_attn|query_key_value|in_proj", re.IGNORECASE)
"""Last part of the names that transformers gives to the layers which make keys or values, or all three at once: key (BERT),
k_lin (DistilBERT), k_proj (Llama, ViT, Whisper), key_proj (DeBERTa), k (T5), c_attn (GPT-2), Wqkv (ModernBERT),
query_key_value (BLOOM, NeoX), qkv_proj (Phi-3), kv_b_proj (DeepSeek)."""


class Ia3(Peft):
    """Keys, values and the inputs of each feed-forward's last layer, multiplied by trained vectors that start at one.

    Where one layer makes queries, keys and values, the queries are scaled too.
    """

    name: ClassVar[str] = "ia3"
    rate: ClassVar[Rate] = Rate(
        1e-2,
        "Liu et al. 2022 (T-Few) take 3e-3 for 1,000 steps; MiniLM on 480 rows of SST-2, 2 epochs: 0.56 at 3e-3, 0.71 at 1e-2",
    )

    targets: str = "paper"
    """`paper`: keys, values and the feed-forward's last layer; else `linear`, `attention` or a regular expression searched in
    the names of linear layers."""

    def chosen_layers(self, anatomy: Anatomy) -> Sequence[str]:
        """Those of the paper, unless `targets` says otherwise."""
        if self.targets != Ia3.model_fields["targets"].default:
            return super().chosen_layers(anatomy)
        inside = within_attention(anatomy)
        found = {name for name in inside if KEYS_AND_VALUES.search(name.rpartition(".")[2])}
        if inside and not found:
            raise RecipeError(
                f"method ia3: none of the attention's layers is known to make keys and values ({', '.join(inside[:4])}). "
                "Write targets as a regular expression for those that do."
            )
        found.update(anatomy.feedforward_outputs)
        return [name for name in anatomy.linears if name in found]

    def config(self, layers: Sequence[Layer], anatomy: Anatomy) -> IA3Config:
        """PEFT's settings: a feed-forward's last layer has its inputs scaled, any other its outputs."""
        from peft import IA3Config

        return IA3Config(
            feedforward_modules=[layer.name for layer in layers if layer.name in set(anatomy.feedforward_outputs)]
        )
