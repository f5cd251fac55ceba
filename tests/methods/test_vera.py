from __future__ import annotations

from pathlib import Path

import pytest
import torch
from networks import network
from safetensors.torch import load_file
from torch import nn

from luthier.methods import Context
from luthier.methods.vera import Vera


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_the_update_is_that_of_the_paper(name: str) -> None:
    plain = network(name)
    model = Vera(rank=48).insert(plain.model, plain.anatomy, Context())
    layer = next(one for path, one in model.named_modules() if path.endswith(("intermediate.dense", "c_fc")))
    scale_rank, scale_outputs = layer.vera_lambda_d["default"], layer.vera_lambda_b["default"]
    assert scale_rank.shape == (48,)
    assert not scale_outputs.any()
    nn.init.normal_(scale_outputs)
    rows = torch.randn(5, 32)
    down, up = layer.vera_A["default"][:, :32], layer.vera_B["default"][: len(scale_outputs)]
    update = torch.diag(scale_outputs) @ up @ torch.diag(scale_rank) @ down
    assert torch.allclose(layer(rows), layer.base_layer(rows) + rows @ update.T, atol=1e-4)


def test_the_random_matrices_are_shared_and_not_in_the_file(tmp_path: Path) -> None:
    plain = network("bert")
    model = Vera(rank=8).insert(plain.model, plain.anatomy, Context())
    layers = [one for one in model.modules() if hasattr(one, "vera_lambda_d")]
    assert len({layer.vera_A["default"].data_ptr() for layer in layers}) == 1
    assert not any("vera_A" in name or "vera_B" in name for name in model.state_dict())
    model.save_pretrained(tmp_path)
    head = {"base_model.model.classifier.weight", "base_model.model.classifier.bias"}
    vectors = set(load_file(tmp_path / "adapter_model.safetensors")) - head
    assert len(vectors) == 2 * len(layers)
    assert all("vera_lambda" in name for name in vectors)
