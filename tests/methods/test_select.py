from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from luthier.build import apply_methods
from luthier.errors import RecipeError
from luthier.models.open import Base, open_model
from luthier.recipe.schema import Recipe


@pytest.fixture
def apply(base: Callable[[str], Path]) -> Callable[..., nn.Module]:
    def applied(family: str, *methods: Any, lr: float | None = None) -> nn.Module:
        opened = open_model(Base("base", str(base(family))), {"num_labels": 3}, 0)
        recipe = Recipe.model_validate({"data": {"files": "x.csv"}, "method": list(methods), "train": {"lr": lr}})
        return apply_methods(opened.model, opened.new, recipe)[0]

    return applied


def trained(model: nn.Module) -> set[str]:
    return {name for name, one in model.named_parameters() if one.requires_grad}


def matching(model: nn.Module, *patterns: str) -> set[str]:
    return {name for name, _ in model.named_parameters() if any(re.match(pattern, name) for pattern in patterns)}


FAMILY_HEADS = {
    "bert": r"classifier\.",
    "roberta": r"classifier\.",
    "distilbert": r"(pre_)?classifier\.",
    "deberta": r"(pooler|classifier)\.",
    "modernbert": r"(head|classifier)\.",
    "llama": r"score\.",
    "gpt2": r"score\.",
}
FAMILY_TOPS = {
    "bert": [r"bert\.encoder\.layer\.[12]\.", r"bert\.pooler\."],
    "roberta": [r"roberta\.encoder\.layer\.[12]\."],
    "distilbert": [r"distilbert\.transformer\.layer\.[12]\."],
    "deberta": [r"deberta\.encoder\.layer\.[12]\."],
    "modernbert": [r"model\.layers\.[12]\.", r"model\.final_norm\."],
    "llama": [r"model\.layers\.[12]\.", r"model\.norm\."],
    "gpt2": [r"transformer\.h\.[12]\.", r"transformer\.ln_f\."],
}


def test_full_trains_every_weight(apply: Callable[..., nn.Module]) -> None:
    model = apply("bert", "full")
    assert trained(model) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize(("family", "head"), FAMILY_HEADS.items(), ids=FAMILY_HEADS)
def test_head_trains_what_is_outside_the_base(family: str, head: str, apply: Callable[..., nn.Module]) -> None:
    model = apply(family, "head")
    assert trained(model) == matching(model, head)


@pytest.mark.parametrize(("family", "parts"), FAMILY_TOPS.items(), ids=FAMILY_TOPS)
def test_top_trains_the_last_blocks_and_what_follows(
    family: str, parts: list[str], apply: Callable[..., nn.Module]
) -> None:
    model = apply(family, "top")
    assert trained(model) == matching(model, *parts, FAMILY_HEADS[family])


def test_top_with_embeddings(apply: Callable[..., nn.Module]) -> None:
    model = apply("bert", {"name": "top", "blocks": 1, "embeddings": True})
    assert trained(model) == matching(model, r"bert\.(embeddings|encoder\.layer\.2|pooler)\.", r"classifier\.")


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "deberta", "gpt2"])
def test_bias_trains_the_biases_and_the_head(family: str, apply: Callable[..., nn.Module]) -> None:
    model = apply(family, "bias")
    assert trained(model) == matching(model, r".*\.bias$", FAMILY_HEADS[family])


def test_pattern_trains_what_matches_and_is_not_frozen(apply: Callable[..., nn.Module]) -> None:
    model = apply("bert", {"name": "pattern", "train": [r"layer\.2\.", "LayerNorm"], "freeze": ["bias$"]})
    expected = {name for name in matching(model, r".*layer\.2\.", ".*LayerNorm") if not name.endswith("bias")}
    assert trained(model) == expected | matching(model, r"classifier\.")


def test_a_new_pooler_belongs_to_the_head(apply: Callable[..., nn.Module]) -> None:
    model = apply("bert without pooler", "head")
    assert trained(model) == matching(model, r"classifier\.", r"bert\.pooler\.")


def test_each_part_has_the_rate_of_the_method_that_trains_it(base: Callable[[str], Path]) -> None:
    opened = open_model(Base("base", str(base("bert"))), {"num_labels": 3}, 0)
    recipe = Recipe.model_validate({"data": {"files": "x.csv"}, "method": ["lora", {"name": "top", "blocks": 1}]})
    _, _, rates = apply_methods(opened.model, opened.new, recipe)
    for name, rate in rates.items():
        inserted = "lora_" in name or "modules_to_save" in name
        assert rate == (4e-4 if inserted else 5e-5), name


def test_too_many_blocks(apply: Callable[..., nn.Module]) -> None:
    with pytest.raises(RecipeError, match=r"^method top: blocks: 4 is more than the 3 blocks that this model has\.$"):
        apply("bert", {"name": "top", "blocks": 4})


def test_no_biases(apply: Callable[..., nn.Module]) -> None:
    # ModernBERT has no bias but in its new head, which is trained anyway
    for family in ("llama", "modernbert"):
        with pytest.raises(RecipeError) as refused:
            apply(family, "bias")
        assert str(refused.value) == (
            "method bias: this model has no biases (many decoders have none). Use lora or top instead."
        )


def test_a_pattern_that_matches_nothing(apply: Callable[..., nn.Module]) -> None:
    with pytest.raises(RecipeError) as refused:
        apply("bert", {"name": "pattern", "train": ["LayerNorm", r"layers\.9"]})
    assert str(refused.value).startswith(
        "method pattern: 'layers\\\\.9' matches no parameter. Some names here: bert.embeddings.word_embeddings.weight, "
    )


@pytest.mark.parametrize("field", ["train", "freeze"])
def test_a_pattern_that_is_none(field: str, apply: Callable[..., nn.Module]) -> None:
    with pytest.raises(RecipeError, match=r"^method pattern: '\(' is not a regular expression: missing \), "):
        apply("bert", {"name": "pattern", "train": ["LayerNorm"]} | {field: ["("]})
