from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from peft import IA3Config, LoraConfig, get_peft_model
from transformers import RobertaConfig, RobertaForSequenceClassification

from luthier.models.merge import merge_adapter


@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(target_modules=["query", "value"], modules_to_save=["classifier"], init_lora_weights=False),
        IA3Config(
            target_modules=["key", "value"],
            feedforward_modules=[],
            modules_to_save=["classifier"],
            init_ia3_weights=False,
        ),
    ],
    ids=["lora", "ia3"],
)
def test_a_head_of_several_layers_is_merged_too(config: Any) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    plain = RobertaForSequenceClassification(RobertaConfig(**sizes, vocab_size=40)).eval()
    names, kept = set(plain.state_dict()), copy.deepcopy(plain)
    model = get_peft_model(plain, config).eval()
    torch.nn.init.normal_(model.base_model.model.classifier.modules_to_save["default"].dense.weight)
    batch = {"input_ids": torch.tensor([[5, 6, 7, 8]])}
    with torch.no_grad():
        expected = model(**batch).logits
        assert not torch.allclose(expected, kept(**batch).logits, atol=1e-3)
        merged = merge_adapter(model)
        assert torch.allclose(merged(**batch).logits, expected, atol=1e-5)
    assert set(merged.state_dict()) == names
