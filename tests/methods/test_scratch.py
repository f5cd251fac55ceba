from __future__ import annotations

from pathlib import Path

import pytest
import torch
from networks import NETWORKS, network
from torch import Tensor, nn
from transformers import (
    AutoModelForAudioClassification,
    AutoModelForImageClassification,
    EfficientNetConfig,
    EfficientNetForImageClassification,
)

import own_networks
import tiny_models
from luthier.errors import RecipeError
from luthier.methods import Context
from luthier.methods.scratch import Scratch
from luthier.models.anatomy import Anatomy
from luthier.models.find import find
from luthier.models.open import open_model
from luthier.networks import NETWORKS as OWN
from luthier.networks import Named

NONE = Anatomy((), (), (), (), (), ())


def redrawn(model: nn.Module, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return Scratch().insert(model, NONE, Context())


def copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: one.clone() for name, one in model.state_dict().items()}


@pytest.mark.parametrize("family", NETWORKS)
def test_the_weights_are_those_of_a_new_network(family: str) -> None:
    model = network(family).model
    expected = copied(model)  # drawn with seed 0
    with torch.no_grad():
        for one in model.state_dict().values():
            one.copy_(one + 1)
    found = redrawn(model, seed=0).state_dict()
    assert found.keys() == expected.keys()
    for name, one in found.items():
        assert torch.equal(one, expected[name]), name


@pytest.mark.parametrize("kind", ["resnet", "whisper"])
def test_a_network_that_was_loaded_is_drawn_anew(kind: str, tmp_path: Path) -> None:
    tiny_models.make_perceiving(kind, tmp_path)
    auto = AutoModelForImageClassification if kind == "resnet" else AutoModelForAudioClassification
    model = auto.from_pretrained(tmp_path)
    before = copied(model)
    found = redrawn(model, seed=1).state_dict()
    matrices = [name for name, one in found.items() if one.ndim > 1 and "embed_positions" not in name]  # sinusoids
    assert all(not torch.equal(found[name], before[name]) for name in matrices)


def test_statistics_of_batch_norm_are_forgotten(tmp_path: Path) -> None:
    model = network("resnet").model.train()
    model(pixel_values=torch.randn(4, 3, 32, 32))
    for name, one in redrawn(model, seed=0).named_buffers():
        assert torch.equal(one, torch.ones_like(one) if name.endswith("running_var") else torch.zeros_like(one)), name


def test_a_signal_gets_through_an_efficientnet() -> None:
    """Transformers draws its scales of BatchNorm near 0: the output is then 0 for whatever is seen."""
    config = EfficientNetConfig(image_size=32, num_labels=2)
    model, rows = EfficientNetForImageClassification(config), torch.randn(4, 3, 32, 32)
    assert model.train()(pixel_values=rows).logits.std() < 1e-12
    drawn = redrawn(model, seed=0)
    assert drawn(pixel_values=rows).logits.std(dim=0).min() > 1e-3


def test_a_factory_draws_its_own_batch_norm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a residual branch that begins closed (Goyal et al. 2017, section 5.1)."""
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    beside = own_networks.beside(tmp_path / "recipes")
    closed = "self.norm = nn.BatchNorm2d(width)\n        nn.init.zeros_(self.norm.weight)"
    (beside / "images.py").write_text(own_networks.IMAGES.replace("self.norm = nn.BatchNorm2d(width)", closed))
    described = Named(OWN).build(own_networks.described(beside, "images:cnn"))
    model = open_model(find(described), {}, None, "image").model.train()
    with torch.no_grad():
        for one in model.parameters():
            one.add_(1)
    model(torch.rand(4, 3, 16, 16))
    norms = [one for one in redrawn(model, seed=0).modules() if isinstance(one, nn.BatchNorm2d)]
    assert [one.weight.abs().sum().item() for one in norms] == [0, 0]
    assert [one.running_mean.abs().sum().item() for one in norms] == [0, 0]


def test_everything_trains_and_nothing_new_is_put_in() -> None:
    model = network("bert").model
    parameters = [id(one) for one in model.parameters()]
    assert set(Scratch().chosen(model, NONE)) == {name for name, _ in model.named_parameters()}
    assert [id(one) for one in redrawn(model, seed=0).parameters()] == parameters


def test_what_another_method_has_inserted_stays() -> None:
    model = network("bert").model
    model.bert.add_module("inserted", nn.Linear(2, 2))
    before = model.bert.inserted.weight.clone()
    assert torch.equal(redrawn(model, seed=0).bert.inserted.weight, before)


def test_a_network_outside_of_transformers_resets_its_layers() -> None:
    def make() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))

    model = make()
    model(torch.randn(2, 3, 3, 3))
    found = redrawn(model, seed=0).state_dict()
    for name, one in make().state_dict().items():
        assert torch.equal(found[name], one), name


def test_a_layer_that_cannot_be_drawn_anew_is_refused() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))

    with pytest.raises(RecipeError) as refused:
        redrawn(nn.Sequential(nn.Linear(2, 2), Own()), seed=0)
    assert str(refused.value) == (
        "method scratch: 1 (Own) has no reset_parameters, so its weights cannot be drawn anew. Give it that method, or use full."
    )
