"""What of a frozen part's output is kept, on networks whose upper parts are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput

from luthier.errors import TrainError
from luthier.models.above import Above, record
from luthier.models.boundary import Boundary
from luthier.training.selection import Probe, Selection, select

LENGTHS = torch.tensor([2, 3, 5])
Upper = Callable[[Any, Tensor, Tensor], Tensor]


class Base(nn.Module):
    """Vectors of tokens, their mean, and the number of positions, as a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 4)

    def forward(self, ids: Tensor) -> dict[str, Any]:
        tokens = self.table(ids)
        return {"tokens": tokens, "pooled": tokens.mean(1), "positions": ids.shape[1]}


class Network(nn.Module):
    """A base, and any function of its output, the tokens and the mask as the head."""

    def __init__(self, upper: Upper) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.base, self.upper = Base(), upper
        self.head = nn.Linear(4, 2)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        return SequenceClassifierOutput(logits=self.head(self.upper(self.base(input_ids), input_ids, attention_mask)))


def chosen(upper: Upper, **probe: Any) -> Selection:
    network = Network(upper).eval()
    mask = (torch.arange(5) < LENGTHS[:, None]).long()
    inputs = {"input_ids": torch.randint(1, 10, (3, 5)) * mask, "attention_mask": mask}
    with torch.no_grad():
        output = record(network, network, "base", inputs)
        above = Above(network, network, Boundary("base", (), ("base",)), output.spec).eval()
        return select(above, output, Probe(inputs, LENGTHS, network(**inputs).logits, **probe))


def last(output: Any, ids: Tensor, mask: Tensor) -> Tensor:
    return output["tokens"][torch.arange(len(ids)), mask.sum(1) - 1]


CASES: dict[str, tuple[Upper, tuple[str, ...], str | None]] = {
    "pooled": (lambda output, ids, mask: output["pooled"], ("none", "row", "none"), "first"),
    "first": (lambda output, ids, mask: output["tokens"][:, 0], ("first", "none", "none"), "first"),
    "last": (last, ("last", "none", "none"), "last"),
    "last and pooled": (
        lambda output, ids, mask: last(output, ids, mask) + output["pooled"],
        ("last", "row", "none"),
        "last",
    ),
    "mean": (
        lambda output, ids, mask: (output["tokens"] * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True),
        ("whole", "none", "none"),
        None,
    ),
    "first, and how many tokens there are": (
        lambda output, ids, mask: output["tokens"][:, 0] * mask.sum(1, keepdim=True),
        ("whole", "row", "none"),
        None,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_least_that_gives_the_same_logits(case: str) -> None:
    upper, parts, position = CASES[case]
    selection = chosen(upper)
    assert (selection.parts, selection.position) == (parts, position)


def test_a_way_that_is_not_to_be_tried_is_not_taken() -> None:
    selection = chosen(last, ways=("first",))
    assert (selection.parts, selection.position) == (("whole", "none", "none"), None)


def test_an_upper_part_that_needs_more_than_tensors() -> None:
    with pytest.raises(TrainError) as refused:
        chosen(lambda output, ids, mask: output["pooled"] * output["positions"])
    assert str(refused.value) == "its upper part needs more of the lower part than its output"


def test_an_upper_part_that_stumbles_over_less_gets_more() -> None:
    def upper(output: Any, ids: Tensor, mask: Tensor) -> Tensor:
        return output["pooled"] + 0 * ids[:, [1]]  # an IndexError with one position

    assert chosen(upper).parts == ("whole", "row", "none")  # least would be the pooled vector alone


def test_what_is_kept_of_each_leaf() -> None:
    leaf = torch.arange(3 * 5 * 4.0).view(3, 5, 4)
    kept = {part: Selection((part,)).keep([leaf], LENGTHS)[0] for part in ("none", "first", "last", "whole", "row")}
    assert all(one is not None for one in kept.values())
    assert torch.equal(kept["first"], leaf[:, :1])
    assert torch.equal(kept["last"], torch.stack([leaf[0, 1:2], leaf[1, 2:3], leaf[2, 4:5]]))
    assert torch.equal(kept["whole"], leaf)
    assert torch.equal(kept["row"], leaf)
    assert kept["none"].shape == (3, 1, 4)
    assert not kept["none"].any()


@pytest.mark.parametrize(("part", "places"), [("first", [0, 0, 0]), ("last", [1, 2, 4]), ("row", [0, 0, 0])])
def test_the_inputs_of_one_position(part: str, places: list[int]) -> None:
    ids = torch.arange(15).view(3, 5)
    short = Selection((part,)).inputs({"input_ids": ids}, LENGTHS)["input_ids"]
    assert torch.equal(short, ids[torch.arange(3), places].unsqueeze(1))
