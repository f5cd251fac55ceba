from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import Network, network
from peft import PeftModel
from pydantic import ValidationError
from torch import Tensor, nn

from luthier.errors import RecipeError
from luthier.methods import Context, Follower
from luthier.methods.adalora import AdaLora

METHOD = AdaLora(rank=2, initial_rank=4, warmup=0.2, final=0.3)
LABELS = torch.tensor([1, 2])


class Run:
    """A training by hand, of which each step can be taken alone."""

    def __init__(self, steps: int, name: str = "bert", method: AdaLora = METHOD) -> None:
        self.plain: Network = network(name)
        self.untouched = copy.deepcopy(self.plain.model)
        self.method = method
        self.model: Any = method.insert(self.plain.model, self.plain.anatomy, Context())
        self.follower: Follower = method.follow(self.model, steps)
        self.optimizer = torch.optim.AdamW([one for one in self.model.parameters() if one.requires_grad], lr=0.01)

    def step(self, number: int) -> None:
        loss = nn.functional.cross_entropy(self.plain.logits(self.model), LABELS)
        (loss + self.follower.penalty()).backward()
        self.optimizer.step()
        self.follower.after_step(number)
        self.optimizer.zero_grad()

    def train(self, first: int, last: int) -> Run:
        for number in range(first, last):
            self.step(number)
        return self

    def ranks(self) -> list[int]:
        """Directions of each layer that are not zero."""
        return [int(one.count_nonzero()) for name, one in self.model.named_parameters() if ".lora_E." in name]

    def weights(self) -> dict[str, Tensor]:
        return {name: one.detach().clone() for name, one in self.model.named_parameters() if one.requires_grad}


def test_ranks_end_at_the_budget_and_differ_between_layers() -> None:
    run = Run(20)
    run.step(0)
    assert set(run.ranks()) == {4}
    run.train(1, 20)
    ranks = run.ranks()
    assert sum(ranks) == 2 * len(ranks)
    assert len(set(ranks)) > 1


def test_it_takes_the_steps_of_peft_itself() -> None:
    """PEFT's own loop, on a loss to which its own forward has added the regulariser; doubles, as Adam magnifies rounding."""
    ours, theirs = Run(12), Run(12)
    for run in (ours, theirs):
        run.model.double()
    ours.train(0, 12)
    tuner: Any = theirs.model.base_model.eval()
    for number in range(12):
        outputs = tuner(**theirs.plain.batch, labels=LABELS)
        outputs.loss.backward()
        theirs.optimizer.step()
        tuner.update_and_allocate(number + 1)
        theirs.optimizer.zero_grad()
    expected = theirs.weights()
    assert all(torch.allclose(one, expected[name], atol=1e-9) for name, one in ours.weights().items())


@pytest.mark.parametrize("at", [3, 8, 17])
def test_it_goes_on_exactly_from_its_state(at: int) -> None:
    through = Run(20).train(0, 20)
    begun = Run(20).train(0, at)
    resumed = Run(20)
    resumed.model.load_state_dict(begun.model.state_dict())
    resumed.optimizer.load_state_dict(begun.optimizer.state_dict())
    resumed.follower.load({name: one.clone() for name, one in begun.follower.state().items()})
    resumed.train(at, 20)
    expected = through.weights()
    assert all(torch.equal(one, expected[name]) for name, one in resumed.weights().items())


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_short_runs(steps: int) -> None:
    run = Run(steps).train(0, steps)
    assert sum(run.ranks()) <= 2 * len(run.ranks())
    assert all(one.isfinite().all() for one in run.weights().values())


@pytest.mark.parametrize("steps", [1, 7, 20])
def test_plain_peft_gives_the_same_logits_at_every_point(steps: int, tmp_path: Path) -> None:
    run = Run(20).train(0, steps)
    with torch.no_grad():
        expected = run.plain.logits(run.model)
        run.model.save_pretrained(tmp_path)
        loaded = PeftModel.from_pretrained(run.untouched, tmp_path)
        assert torch.allclose(run.plain.logits(loaded), expected, atol=1e-6)
        assert torch.allclose(run.plain.logits(run.method.merge(run.model)), expected, atol=1e-5)


def test_a_layer_that_was_passed_over_is_weighed_as_unchanged() -> None:
    run = Run(10)
    loss = nn.functional.cross_entropy(run.plain.logits(run.model), LABELS)
    loss.backward()
    silent = run.model.get_parameter("base_model.model.bert.encoder.layer.0.output.dense.lora_A.default")
    silent.grad = None
    run.follower.after_step(0)
    kept = "left" if "left" in run.follower.state() else "exp_avg_ipt"
    found = run.follower.state()[f"{kept}/bert.encoder.layer.0.output.dense.lora_A.default"]
    assert not found.any()


@pytest.mark.parametrize("at", [0, 3, 13])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_ranks_are_cut_where_a_step_overflowed(at: int, value: float) -> None:
    """Such a step leaves the weights as they are; the last cut is in step 13, counted from 0."""
    run = Run(20).train(0, at)
    nn.functional.cross_entropy(run.plain.logits(run.model), LABELS).backward()
    for one in run.model.parameters():
        if one.grad is not None:
            one.grad.fill_(value)
    run.follower.after_step(at)
    run.optimizer.zero_grad()
    ranks = run.train(at + 1, 20).ranks()
    assert sum(ranks) == 2 * len(ranks)
    assert len(set(ranks)) > 1


def test_the_penalty_is_the_mean_distance_from_orthogonality() -> None:
    run = Run(10)
    distances = []
    for module in run.model.modules():
        if type(module).__name__ == "SVDLinear":
            for factor in (module.lora_A["default"], module.lora_B["default"].T):
                gram = factor @ factor.T
                distances.append(((gram - torch.eye(4)) ** 2).sum().sqrt())
    assert torch.allclose(run.follower.penalty(), 0.5 * sum(distances) / len(distances))


def test_a_rank_larger_than_a_layer() -> None:
    plain = network("qwen3")
    with pytest.raises(RecipeError) as refused:
        AdaLora(rank=8, initial_rank=17).insert(plain.model, plain.anatomy, Context())
    assert str(refused.value).startswith(
        "method adalora: rank 17 is larger than the layer model.layers.0.self_attn.k_proj, which has 32 inputs and 16 outputs."
    )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"rank": 12}, "rank 12 must be smaller than initial_rank 12, from which it is cut"),
        ({"warmup": 0.5, "final": 0.5}, "warmup and final must leave a share of the steps between them"),
    ],
)
def test_settings_that_contradict_each_other(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        AdaLora(**settings)
