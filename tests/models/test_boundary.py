"""Where the frozen part ends, against a list written by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from luthier.errors import TrainError
from luthier.methods import Context
from luthier.models.anatomy import Anatomy
from luthier.models.boundary import Boundary, find_boundary, real_names
from luthier.models.open import Base, open_model, open_tokenizer
from luthier.recipe.schema import Recipe
from luthier.training.stages import Applied, apply_methods

TOP = {"name": "top", "blocks": 1}
WHOLE: Mapping[str, str] = {
    "bert": "bert",
    "roberta": "roberta",
    "distilbert": "distilbert",
    "modernbert": "model",
    "deberta": "deberta",
    "llama": "model",
    "gpt2": "transformer",
    "qwen3": "model",
    "t5": "transformer",
}
"""What holds all but the head."""
BLOCKS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "bert": ("bert.encoder.layer", ("bert.embeddings",)),
    "bert without pooler": ("bert.encoder.layer", ("bert.embeddings",)),
    "roberta": ("roberta.encoder.layer", ("roberta.embeddings",)),
    "distilbert": ("distilbert.transformer.layer", ("distilbert.embeddings",)),
    "modernbert": ("model.layers", ("model.embeddings",)),
    "deberta": ("deberta.encoder.layer", ("deberta.embeddings",)),
    "llama": ("model.layers", ("model.embed_tokens",)),
    "gpt2": ("transformer.h", ("transformer.wte", "transformer.wpe", "transformer.drop")),
    "qwen3": ("model.layers", ("model.embed_tokens",)),
}
"""List of three blocks, and what is registered before it."""


def applied(model: Path, method: Any) -> Applied:
    base = Base("base", str(model))
    tokenizer = open_tokenizer(base)
    opened = open_model(base, {"num_labels": 2}, tokenizer.pad_token_id)
    recipe = Recipe.model_validate({"data": {"files": "x.csv"}, "method": method})
    return apply_methods(opened.model, opened.new, recipe, Context(tokenizer, ("a", "b")))


def found(model: Path, method: Any) -> Boundary:
    network = applied(model, method)
    return find_boundary(network.model, network.anatomy, network.trained)


@pytest.mark.parametrize("family", WHOLE)
def test_the_head_alone(family: str, tiny: Callable[[str], Path]) -> None:
    base = WHOLE[family]
    boundary = found(tiny(family), "head")
    assert (boundary.kept, boundary.passed, boundary.frozen, boundary.around) == (base, (), (base,), ())


def test_a_new_pooler_inside_the_base_trains_with_the_head(tiny: Callable[[str], Path]) -> None:
    boundary = found(tiny("bert without pooler"), "head")
    assert boundary.kept == "bert.encoder.layer.2"
    assert boundary.passed == ("bert.encoder.layer.0", "bert.encoder.layer.1")
    assert set(boundary.frozen) == {"bert.embeddings", *(f"bert.encoder.layer.{number}" for number in range(3))}


@pytest.mark.parametrize("family", BLOCKS)
@pytest.mark.parametrize("top", [1, 2, 3])
def test_the_last_blocks(family: str, top: int, tiny: Callable[[str], Path]) -> None:
    blocks, before = BLOCKS[family]
    below = tuple(f"{blocks}.{number}" for number in range(3 - top))
    if not below:
        with pytest.raises(TrainError, match=rf"^{blocks}\.0\.\S+ trains, below which nothing costs time$"):
            found(tiny(family), {"name": "top", "blocks": top})
        return
    boundary = found(tiny(family), {"name": "top", "blocks": top})
    assert (boundary.kept, boundary.passed) == (below[-1], below[:-1])
    assert set(boundary.frozen) == {*below, *before}
    holders = blocks.split(".")
    assert boundary.around == tuple(".".join(holders[:count]) for count in range(1, len(holders) + 1))
    assert set(boundary.above) >= {f"{blocks}.{number}" for number in range(3 - top, 3)}


def test_what_holds_the_boundary_rests_and_what_is_above_trains(tiny: Callable[[str], Path]) -> None:
    network = applied(tiny("bert"), TOP)
    network.model.train()
    find_boundary(network.model, network.anatomy, network.trained).settle(network.model)
    training = {name for name, module in network.model.named_modules() if module.training}
    assert {name for name in training if "layer." in name} == {
        name for name, _ in network.model.named_modules() if "layer.2" in name
    }
    assert {"bert", "bert.encoder", "bert.encoder.layer", "bert.embeddings.dropout"}.isdisjoint(training)
    assert {"", "classifier", "dropout", "bert.pooler"} <= training


UPPER = r"\.[2-9]\."
METHODS: Mapping[str, tuple[str, Any, str]] = {
    "bias of the last block": (
        "bert",
        {"name": "pattern", "train": [r"layer\.2\..*bias"]},
        "bert.encoder.layer.1",
    ),
    "lora above": ("bert", {"name": "lora", "rank": 2, "targets": UPPER}, "base_model.model.bert.encoder.layer.1"),
    "lora in a decoder": ("llama", {"name": "lora", "rank": 2, "targets": UPPER}, "base_model.model.model.layers.1"),
    "lora of GPT-2": ("gpt2", {"name": "lora", "rank": 2, "targets": UPPER}, "base_model.model.transformer.h.1"),
    "top and lora below it": (
        "bert",
        [TOP, {"name": "lora", "rank": 2, "targets": r"\.1\."}],
        "base_model.model.bert.encoder.layer.0",
    ),
    "a last norm": ("gpt2", {"name": "pattern", "train": [r"ln_f"]}, "transformer.h.2"),
}


@pytest.mark.parametrize("case", METHODS)
def test_other_methods(case: str, tiny: Callable[[str], Path]) -> None:
    family, method, kept = METHODS[case]
    assert found(tiny(family), method).kept == kept


AT_THE_BEGINNING: Mapping[str, tuple[str, Any]] = {
    "all biases": ("bert", "bias"),
    "everything": ("bert", "full"),
    "lora everywhere": ("bert", {"name": "lora", "rank": 2}),
    "adapter": ("bert", {"name": "adapter", "reduction": 4}),
    "prefix": ("bert", {"name": "prefix", "length": 2}),
    "prompt": ("bert", {"name": "prompt", "length": 2}),
    "the table that every block reads": ("deberta", {"name": "pattern", "train": ["rel_embeddings"]}),
    "top and embeddings": ("bert", {**TOP, "embeddings": True}),
}


@pytest.mark.parametrize("case", AT_THE_BEGINNING)
def test_no_boundary_below_what_trains_at_the_beginning(case: str, tiny: Callable[[str], Path]) -> None:
    family, method = AT_THE_BEGINNING[case]
    with pytest.raises(TrainError, match=r"^\S+ trains, below which nothing costs time$"):
        found(tiny(family), method)


def test_what_is_named_exists_in_the_wrapped_network(tiny: Callable[[str], Path]) -> None:
    network = applied(tiny("bert"), {"name": "lora", "rank": 2, "targets": UPPER})
    boundary = find_boundary(network.model, network.anatomy, network.trained)
    names = {name for name, _ in network.model.named_modules()}
    assert names >= {boundary.kept, *boundary.passed, *boundary.frozen}
    real = real_names(network.model)
    assert real[""] == "base_model.model"
    assert real["bert.encoder.layer.0"] == "base_model.model.bert.encoder.layer.0"


def test_a_network_without_blocks() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    nothing = Anatomy((), (), (), (), (), ())
    with pytest.raises(TrainError, match=r"^1\.weight trains, below which nothing costs time$"):
        find_boundary(network, nothing, ["1.weight"])
