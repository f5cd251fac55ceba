"""A network from a boundary upwards, against the whole network."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from tiny_networks import network, words
from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput

from luthier.errors import TrainError
from luthier.models.above import Above, record
from luthier.models.boundary import Boundary

LAYERS = {
    "bert": "bert.encoder.layer",
    "distilbert": "distilbert.transformer.layer",
    "modernbert": "model.layers",
    "llama": "model.layers",
    "gpt2": "transformer.h",
    "qwen3": "model.layers",
}
BASES = {"bert": "bert", "distilbert": "distilbert", "modernbert": "model", "llama": "model", "gpt2": "transformer"}


def above_of(model: nn.Module, boundary: Boundary, inputs: dict[str, Tensor]) -> tuple[Above, dict[str, Tensor]]:
    """The upper part, and the arguments that hold what was kept for these inputs."""
    with torch.no_grad():
        output = record(model, model, boundary.kept, inputs)
    kept = {f"kept{number}": leaf for number, leaf in enumerate(output.leaves) if leaf is not None}
    return Above(model, model, boundary, output.spec), kept


@pytest.mark.parametrize("family", LAYERS)
def test_above_a_block_the_logits_and_gradients_are_those_of_the_whole(family: str) -> None:
    model, inputs, name = network(family), words(12, 7, 3), LAYERS[family]
    before = model(**inputs).logits
    boundary = Boundary(f"{name}.0", (), (f"{name}.0",))
    above, kept = above_of(model, boundary, inputs)
    logits = above.eval()(**inputs, **kept).logits
    torch.testing.assert_close(logits, before, rtol=0, atol=1e-6)
    (gradient,) = torch.autograd.grad(logits.sum(), [next(model.get_submodule(f"{name}.1").parameters())])
    (expected,) = torch.autograd.grad(before.sum(), [next(model.get_submodule(f"{name}.1").parameters())])
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("family", BASES)
def test_above_the_whole_base(family: str) -> None:
    model, inputs = network(family), words(12, 7, 3)
    above, kept = above_of(model, Boundary(BASES[family], (), (BASES[family],)), inputs)
    torch.testing.assert_close(above.eval()(**inputs, **kept).logits, model(**inputs).logits, rtol=0, atol=1e-6)


def test_what_lies_below_is_not_called() -> None:
    model, inputs = network("bert"), words(12, 7)
    boundary = Boundary("bert.encoder.layer.1", ("bert.encoder.layer.0",), ())
    above, kept = above_of(model, boundary, inputs)
    called = []
    for number in range(2):
        model.bert.encoder.layer[number].register_forward_hook(lambda *_, number=number: called.append(number))
    above(**inputs, **kept)
    assert called == []


def test_the_network_is_whole_again_even_after_an_error() -> None:
    model, inputs = network("bert"), words(12, 7)
    names = [(name, type(module)) for name, module in model.named_modules()]
    above, kept = above_of(model, Boundary("bert.encoder.layer.0", (), ()), inputs)
    with pytest.raises((RuntimeError, TypeError, ValueError)):
        above(**inputs, kept0=kept["kept0"][:, :, :3])
    assert [(name, type(module)) for name, module in model.named_modules()] == names
    assert list(above.model.state_dict()) == list(model.state_dict())
    assert {name.removeprefix("model.") for name in above.state_dict()} == set(model.state_dict())
    twin = copy.deepcopy(above)
    next(model.parameters()).data.zero_()
    assert next(twin.model.parameters()).any()


class Normed(nn.Module):
    """A base of a linear layer, BatchNorm and dropout; a head that reads its only output."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2))
        self.unused = nn.Linear(1, 1)

    def forward(self, x: Tensor) -> Any:
        return SequenceClassifierOutput(logits=self.head(self.base(x)))


def test_training_leaves_batchnorm_and_dropout_below_in_evaluation() -> None:
    model, inputs = Normed().eval(), {"x": torch.randn(5, 4)}
    above, kept = above_of(model, Boundary("base", (), ("base",)), inputs)
    assert torch.equal(kept["kept0"], model.base(inputs["x"]))
    above.train()
    assert not any(module.training for module in model.base.modules())
    assert all(module.training for module in model.head.modules())
    above(**inputs, **kept)
    assert model.base[1].num_batches_tracked == 0


def test_a_module_that_is_never_called() -> None:
    model = Normed().eval()
    with pytest.raises(TrainError, match="the network does not call unused"):
        record(model, model, "unused", {"x": torch.randn(5, 4)})


def test_what_is_no_tensor_of_one_entry_a_row_is_not_kept() -> None:
    model = network("llama")
    output = record(model, model, "model", words(12, 7))
    assert next(tuple(leaf.shape) for leaf in output.leaves if leaf is not None) == (2, 12, 32)
    assert all(leaf is None or leaf.shape[0] == 2 for leaf in output.leaves)
