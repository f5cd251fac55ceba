from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from torch import nn
from transformers import AutoModelForImageClassification

import tiny_models
from luthier.errors import RecipeError
from luthier.methods import METHODS, Context
from luthier.methods.select import Pattern
from luthier.models.open import Base, open_model
from luthier.recipe.schema import Recipe
from luthier.training.stages import apply_methods


@pytest.fixture
def apply(base: Callable[[str], Path]) -> Callable[..., nn.Module]:
    def applied(family: str, *methods: Any, lr: float | None = None) -> nn.Module:
        opened = open_model(Base("base", str(base(family))), {"num_labels": 3}, 0)
        recipe = Recipe.model_validate({"data": {"files": "x.csv"}, "method": list(methods), "train": {"lr": lr}})
        return apply_methods(opened.model, opened.new, recipe, Context()).model

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
    rates = apply_methods(opened.model, opened.new, recipe, Context()).stages[0].rates
    for name, rate in rates.items():
        inserted = "lora_" in name or "modules_to_save" in name
        assert rate == (METHODS["lora"] if inserted else METHODS["top"]).rate.value, name


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


def test_a_frozen_pattern_that_matches_nothing(apply: Callable[..., nn.Module]) -> None:
    with pytest.raises(RecipeError, match=r"^method pattern: 'pooller' matches no parameter\. Some names here: "):
        apply("bert", {"name": "pattern", "freeze": ["pooller"]})


def test_what_is_frozen_alone_leaves_the_rest(apply: Callable[..., nn.Module]) -> None:
    model = apply("bert", {"name": "pattern", "freeze": [r"embeddings\."]})
    assert trained(model) == {name for name, _ in model.named_parameters()} - matching(model, r"bert\.embeddings\.")


def frozen_by_the_idiom(module: nn.Module, count: int) -> set[int]:
    """Ids of what the loop of torchvision's tutorials freezes."""
    return {id(one) for child in list(module.children())[:count] for one in child.parameters()}


@pytest.mark.parametrize(("family", "of", "count"), [("resnet", "resnet.encoder.stages", 1), ("resnet", "resnet", 1)])
def test_the_first_children_stay_frozen(family: str, of: str, count: int, tmp_path: Path) -> None:
    model = perceiving(family, tmp_path, {"name": "pattern", "freeze_children": count, "of": of})
    frozen = frozen_by_the_idiom(model.get_submodule(of), count)
    assert frozen
    assert {id(one) for one in model.parameters() if not one.requires_grad} == frozen


def test_children_and_patterns_together(apply: Callable[..., nn.Module]) -> None:
    some = {"name": "pattern", "train": [r"layer\."], "freeze_children": 2, "of": "bert.encoder.layer"}
    model = apply("bert", some)
    assert trained(model) == matching(model, r"bert\.encoder\.layer\.2\.", r"classifier\.")


def perceiving(family: str, folder: Path, method: Any) -> nn.Module:
    model = AutoModelForImageClassification.from_pretrained(tiny_models.make_perceiving(family, folder))
    recipe = Recipe.model_validate({"data": {"files": "x.csv"}, "method": method})
    return apply_methods(model, (), recipe, Context()).model


def test_more_children_than_there_are(apply: Callable[..., nn.Module]) -> None:
    with pytest.raises(RecipeError) as refused:
        apply("bert", {"name": "pattern", "freeze_children": 7})
    assert str(refused.value) == (
        "method pattern: freeze_children: 7, and the whole network has 3: bert, dropout, classifier. Write fewer, or name another "
        "module with of."
    )
    with pytest.raises(RecipeError) as refused:
        apply("bert", {"name": "pattern", "freeze_children": 4, "of": "bert.encoder.layer"})
    assert "freeze_children: 4, and bert.encoder.layer has 3: bert.encoder.layer.0, " in str(refused.value)


def test_children_of_a_module_that_is_none(apply: Callable[..., nn.Module]) -> None:
    with pytest.raises(RecipeError) as refused:
        apply("bert", {"name": "pattern", "freeze_children": 1, "of": "bert.encoder.stages"})
    assert str(refused.value) == (
        "method pattern: of: 'bert.encoder.stages' is no module of this model. Some with children: bert, bert.embeddings, "
        "bert.encoder.layer, bert.encoder.layer.0, bert.encoder.layer.0.attention, bert.encoder.layer.0.attention.self, ...."
    )


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "write train, freeze or freeze_children: nothing says what to choose"),
        ({"train": ["x"], "of": "bert"}, "of names whose children to freeze; write freeze_children: 1 or more too"),
    ],
)
def test_a_pattern_that_says_too_little(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Pattern(**fields)


@pytest.mark.parametrize("field", ["train", "freeze"])
def test_a_pattern_that_is_none(field: str, apply: Callable[..., nn.Module]) -> None:
    with pytest.raises(RecipeError, match=r"^method pattern: '\(' is not a regular expression: missing \), "):
        apply("bert", {"name": "pattern", "train": ["LayerNorm"]} | {field: ["("]})


NOTHING_LEFT = (
    "method pattern: train, freeze and freeze_children leave no weight of the base to train. Let train name some that the others do "
    "not freeze, or use head, which trains the task head alone."
)


def refusal(apply: Callable[..., nn.Module], *methods: Any, family: str = "bert") -> str:
    with pytest.raises(RecipeError) as refused:
        apply(family, *methods)
    return str(refused.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"train": [r"layer\.1\."], "freeze": [r"layer\."]},
        {"freeze": ["."]},
        {"freeze_children": 1},  # bert, before dropout and classifier
        {"freeze_children": 3},
        {"train": ["classifier"]},
    ],
    ids=str,
)
def test_a_pattern_that_leaves_nothing_of_the_base(fields: dict[str, Any], apply: Callable[..., nn.Module]) -> None:
    assert refusal(apply, {"name": "pattern", **fields}) == NOTHING_LEFT
    assert refusal(apply, "lora", {"name": "pattern", **fields}) == NOTHING_LEFT


def test_a_pattern_that_leaves_nothing_where_there_is_no_new_head(base: Callable[[str], Path]) -> None:
    model = open_model(Base("base", str(base("stories260k"))), {}, 0, head="causal").model
    recipe = Recipe.model_validate({"data": {"files": "x.csv"}, "method": {"name": "pattern", "freeze": ["."]}})
    with pytest.raises(RecipeError, match=r"Let train name some that the others do not freeze\.$"):
        apply_methods(model, (), recipe, Context(head="causal"))


@pytest.mark.parametrize(
    ("family", "fields", "named"),
    [
        ("bert", {"train": [r"layer\.1\."], "freeze": ["classifier"]}, "freeze: 'classifier' names only .* classifier.weight"),
        ("bert", {"freeze": ["embeddings", r"classifier\.bias"]}, r"freeze: 'classifier\\\\\.bias' names only .* classifier.bias"),
        ("bert without pooler", {"freeze": ["pooler"]}, "freeze: 'pooler' names only .* bert.pooler.dense.weight"),
        ("roberta", {"freeze_children": 1, "of": "classifier"}, "freeze_children: 1 names only .* classifier.dense.weight"),
    ],
)  # fmt: skip
def test_a_pattern_that_freezes_the_head(
    family: str, fields: dict[str, Any], named: str, apply: Callable[..., nn.Module]
) -> None:
    said = refusal(apply, {"name": "pattern", **fields}, family=family)
    assert re.match(
        f"method pattern: {named}, and the task head always trains. Take it out, or name weights of the", said
    )


def test_a_loaded_pooler_is_no_head_and_can_be_frozen(apply: Callable[..., nn.Module]) -> None:
    model = apply("bert", {"name": "pattern", "freeze": ["pooler", "bias$"]})
    kept = matching(model, r"bert\.pooler\.", r"bert\..*bias$")
    assert trained(model) == {name for name, _ in model.named_parameters()} - kept


@pytest.mark.parametrize(
    ("methods", "one", "weight"),
    [
        (["full", {"name": "pattern", "freeze": ["embeddings"]}], "full", "bert.embeddings.LayerNorm.bias"),
        ([{"name": "pattern", "freeze_children": 1, "of": "bert.encoder.layer"}, "bias"], "bias", "bert.encoder.layer.0."),
        ([{"name": "pattern", "train": [r"layer\.1\."], "freeze": ["LayerNorm"]}, "norm", "lora"], "norm", "bert.embeddings."),
        (
            [{"name": "pattern", "freeze": [r"layer\.0\."]}, {"name": "pattern", "train": [r"layer\.[01]\."]}],
            "pattern",
            "bert.encoder.layer.0.",
        ),
    ],
    ids=["full", "bias", "norm", "another pattern"],
)  # fmt: skip
def test_a_method_that_trains_what_a_pattern_beside_it_freezes(
    methods: list[Any], one: str, weight: str, apply: Callable[..., nn.Module]
) -> None:
    said = refusal(apply, *methods)
    assert said.startswith(f"method {one} trains {weight}")
    assert said.endswith(
        ", which method pattern beside it keeps frozen. Leave one of them out, or let pattern freeze less."
    )


def test_methods_train_beside_a_pattern_that_freezes_other_weights(apply: Callable[..., nn.Module]) -> None:
    frozen = {"name": "pattern", "train": ["embeddings"], "freeze": [r"embeddings.*bias"]}
    model = apply("bert", frozen, {"name": "top", "blocks": 1})
    tables = {name for name in matching(model, r"bert\.embeddings\.") if not name.endswith("bias")}
    assert trained(model) == tables | matching(model, r"bert\.(encoder\.layer\.2|pooler)\.", r"classifier\.")


def test_updates_go_around_layers_that_a_pattern_freezes(apply: Callable[..., nn.Module]) -> None:
    model = apply("bert", {"name": "pattern", "freeze": [r"layer\."]}, "lora")
    inside = {name for name in trained(model) if ".layer." in name}
    assert len(inside) == 2 * 6 * 3
    assert all(".lora_" in name for name in inside)


def test_a_later_stage_may_train_what_a_pattern_froze_before(base: Callable[[str], Path]) -> None:
    opened = open_model(Base("base", str(base("bert"))), {"num_labels": 3}, 0)
    stages = [{"method": {"name": "pattern", "freeze": ["embeddings"]}}, {"method": "full"}]
    recipe = Recipe.model_validate({"data": {"files": "x.csv"}, "stages": stages})
    first, second = apply_methods(opened.model, opened.new, recipe, Context()).stages
    assert second.rates.keys() - first.rates.keys() == matching(opened.model, r"bert\.embeddings\.")
