"""What every PEFT method must keep on networks for text, images and sound."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers as tf
from networks import NETWORKS, Network, network
from peft import PeftModel
from torch import nn

from luthier.errors import RecipeError
from luthier.methods import Context, Method
from luthier.methods.adalora import AdaLora
from luthier.methods.adapter import Adapter
from luthier.methods.ia3 import Ia3
from luthier.methods.lora import Dora, Lora, LoraPlus, RsLora
from luthier.methods.oft import Oft
from luthier.methods.peft import Peft
from luthier.methods.vera import Vera
from luthier.models.anatomy import Anatomy, examine
from luthier.models.insert import insert_all

MEMBERS: Mapping[str, Peft] = {
    "lora": Lora(rank=4),
    "lora with dropout": Lora(rank=4, dropout=0.1),
    "dora": Dora(rank=4),
    "rslora": RsLora(rank=4),
    "lora+": LoraPlus(rank=4),
    "adalora": AdaLora(rank=2, initial_rank=4),
    "ia3": Ia3(),
    "vera": Vera(rank=8),
    "oft": Oft(),
}
REFUSED = {("oft", "gpt2"), ("oft", "convnext"), *((member, "resnet") for member in MEMBERS)}
CASES = [
    pytest.param(member, name, id=f"{name}: {member}")
    for name in NETWORKS
    for member in MEMBERS
    if (member, name) not in REFUSED
]
every_case = pytest.mark.parametrize(("member", "name"), CASES)


def inserted(member: str, plain: Network) -> nn.Module:
    return MEMBERS[member].insert(plain.model, plain.anatomy, Context())


def trained_names(model: nn.Module) -> set[str]:
    return {name for name, one in model.named_parameters() if one.requires_grad}


def train(model: nn.Module, plain: Network, steps: int = 3) -> set[str]:
    """Some steps without dropout; returns the names of the parameters that had a gradient other than zero in any."""
    wanted = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(wanted, lr=0.01)
    reached: set[str] = set()
    for _ in range(steps):
        torch.nn.functional.cross_entropy(plain.logits(model), torch.tensor([1, 2])).backward()
        reached |= {name for name, one in model.named_parameters() if one.grad is not None and one.grad.abs().sum() > 0}
        optimizer.step()
        optimizer.zero_grad()
    return reached


@every_case
def test_a_member_on_a_network(member: str, name: str, tmp_path: Path) -> None:
    plain = network(name)
    untouched, expected = copy.deepcopy(plain.model), plain.logits()
    names = set(plain.model.state_dict())
    model = inserted(member, plain)

    with torch.no_grad():
        assert torch.allclose(plain.logits(model), expected, atol=1e-6), "unchanged at the start"

    other = copy.deepcopy(model)
    silent = trained_names(model) - train(model, plain)
    # softmax does not see the bias of the keys, and rank 4 of 16 dimensions may rest; nothing else may
    assert not {one for one in silent if "modules_to_save" not in one}, "every inserted parameter learns"

    with torch.no_grad():
        after = plain.logits(model)
        assert not torch.allclose(after, expected, atol=1e-4), "training changes something"
        assert torch.allclose(plain.logits(other), expected, atol=1e-6), "a deep copy is independent"

        model.save_pretrained(tmp_path)  # type: ignore[operator]
        loaded = PeftModel.from_pretrained(untouched, tmp_path)
        assert torch.allclose(plain.logits(loaded), after, atol=1e-6), "plain PEFT loads it, head included"

        merged = MEMBERS[member].merge(model)
        assert torch.allclose(plain.logits(merged), after, atol=1e-5), "merging keeps the logits"
        assert set(merged.state_dict()) == names, "merged, it is the plain network again"


@pytest.mark.parametrize("member", MEMBERS)
def test_only_what_was_inserted_and_the_head_train(member: str) -> None:
    plain = network("bert")
    frozen = {id(one) for one in plain.model.parameters()}
    model = inserted(member, plain)
    assert trained_names(model)
    assert not {name for name, one in model.named_parameters() if one.requires_grad and id(one) in frozen}


@pytest.mark.parametrize("member", MEMBERS)
def test_a_network_without_linears_offers_nothing_to_adapt(member: str) -> None:
    assert "linears" in MEMBERS[member].needs - network("resnet").anatomy.offers


def test_all_members_are_tried() -> None:
    assert {type(one) for one in MEMBERS.values()} == _concrete(Peft)


def _concrete(kind: type[Method]) -> set[type[Method]]:
    below = set().union(*(_concrete(one) for one in kind.__subclasses__()))
    return below | (set() if kind.__abstractmethods__ or "name" not in kind.__dict__ else {kind})


class Odd(nn.Module):
    """Blocks with torch's own attention, and a linear layer that two blocks share."""

    class Block(nn.Module):
        def __init__(self, shared: nn.Linear) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.linear = nn.Linear(8, 8)
            self.shared = shared

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return self.shared(self.linear(self.attention(rows, rows, rows)[0]))

    def __init__(self) -> None:
        super().__init__()
        shared = nn.Linear(8, 8)
        self.blocks = nn.ModuleList([self.Block(shared), self.Block(shared)])

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            rows = block(rows)
        return rows


class Encoder(nn.Module):
    """Torch's own blocks, whose evaluation mode reads weights past what stands around their layers."""

    def __init__(self) -> None:
        super().__init__()
        block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 3)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(rows).mean(1))


@pytest.mark.parametrize("method", [Lora(rank=2), Adapter(reduction=4)], ids=["lora", "adapter"])
def test_blocks_of_torch_answer_with_what_was_inserted(method: Method) -> None:
    torch.manual_seed(0)
    model = Encoder().requires_grad_(False)
    wrapped, added = insert_all(model, examine(model), [method], Context())
    for name in added[0].names:
        wrapped.get_parameter(name).data.normal_(std=0.5)
    rows = torch.randn(2, 5, 16)
    trained = wrapped.train()(rows)
    with torch.no_grad():
        assert torch.allclose(wrapped.eval()(rows), trained, atol=1e-5)
    trained.sum().backward()
    assert all(wrapped.get_parameter(name).grad is not None for name in added[0].names)


class Heads(nn.Module):
    """A layer in each block has a name that ends as the head's."""

    def __init__(self) -> None:
        super().__init__()
        block = {"proj": nn.Linear(8, 8), "subhead": nn.Linear(8, 8)}
        self.blocks = nn.ModuleList([nn.ModuleDict(copy.deepcopy(block)) for _ in range(2)])
        self.head = nn.Linear(8, 3)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            rows = block["subhead"](block["proj"](rows))  # type: ignore[index]
        return self.head(rows)


def heads() -> tuple[nn.Module, Anatomy]:
    torch.manual_seed(0)
    model = Heads().requires_grad_(False)
    linears = tuple(f"blocks.{number}.{name}" for number in range(2) for name in ("proj", "subhead"))
    return model, replace(examine(model), head=("head",), linears=linears)


def test_only_the_head_trains_as_the_head_and_plain_peft_loads_it(tmp_path: Path) -> None:
    model, anatomy = heads()
    untouched = copy.deepcopy(model)
    wrapped, added = insert_all(model, anatomy, [Lora(rank=2, targets="proj")], Context())
    whole = {name for name in added[0].names if "lora_" not in name}
    assert whole == {f"base_model.model.head.modules_to_save.default.{one}" for one in ("weight", "bias")}
    assert {name for name, one in wrapped.named_parameters() if one.requires_grad} == set(added[0].names)
    for name in added[0].names:
        wrapped.get_parameter(name).data.normal_()
    wrapped.save_pretrained(tmp_path)  # type: ignore[operator]
    rows = torch.randn(2, 8)
    assert torch.allclose(PeftModel.from_pretrained(untouched, tmp_path)(rows), wrapped(rows), atol=1e-5)


def test_what_peft_cannot_take_for_the_head_and_adapt_is_refused() -> None:
    model, anatomy = heads()
    with pytest.raises(
        RecipeError, match=r"^method lora: PEFT does not adapt a layer of this model .* with targets, or take"
    ):
        Lora(rank=2).insert(model, anatomy, Context())


def test_a_layer_that_peft_does_not_adapt_is_named() -> None:
    widths = {"hidden_size": 32, "state_size": 4, "num_hidden_layers": 1, "vocab_size": 20, "time_step_rank": 4}
    mamba = tf.MambaForCausalLM(tf.MambaConfig(**widths))
    with pytest.raises(RecipeError, match=r"^method lora: PEFT does not adapt a layer of this model \(.*Mamba"):
        Lora(rank=2).insert(mamba, replace(examine(mamba), head=()), Context())


def test_layers_that_are_never_called_or_shared_are_left_alone() -> None:
    torch.manual_seed(0)
    model = Odd().eval()
    anatomy = replace(examine(model), head=())
    assert "blocks.0.attention.out_proj" in anatomy.linears
    wrapped = Lora(rank=2).insert(model, anatomy, Context())
    adapted = {name.partition(".lora_A")[0] for name, _ in wrapped.named_parameters() if ".lora_A" in name}
    assert adapted == {f"base_model.model.blocks.{block}.linear" for block in range(2)}
    rows = torch.randn(2, 3, 8)
    before = wrapped(rows)
    before.sum().backward()
    assert all(one.grad is not None for one in wrapped.parameters() if one.requires_grad)
    assert torch.allclose(Lora().merge(wrapped)(rows), before, atol=1e-6)


@pytest.mark.parametrize("member", [Lora, Dora, RsLora, LoraPlus])
def test_a_rank_larger_than_a_layer(member: type[Lora]) -> None:
    plain = network("llama")
    with pytest.raises(RecipeError) as refused:
        member(rank=17).insert(plain.model, plain.anatomy, Context())
    assert str(refused.value) == (
        f"method {member.name}: rank 17 is larger than the layer model.layers.0.self_attn.k_proj, which has 32 inputs and "
        "16 outputs. Take 16 at most, or leave the layer out with targets."
    )
