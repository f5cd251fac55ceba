from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn
from transformers import AutoModelForSequenceClassification

from luthier.models.anatomy import Anatomy, examine, parameters_of

BERT_LINEARS = (
    *(f"attention.self.{name}" for name in ("query", "key", "value")),
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
EXPECTED = {
    "bert": Anatomy(
        head=("classifier",),
        blocks=("bert.encoder.layer.{}",),
        after=("bert.pooler",),
        embeddings=("bert.embeddings",),
        linears=tuple(f"bert.encoder.layer.{{}}.{name}" for name in BERT_LINEARS),
        attentions=("bert.encoder.layer.{}.attention", "bert.encoder.layer.{}.attention.self"),
    ),
    "roberta": Anatomy(
        head=("classifier",),
        blocks=("roberta.encoder.layer.{}",),
        after=(),
        embeddings=("roberta.embeddings",),
        linears=tuple(f"roberta.encoder.layer.{{}}.{name}" for name in BERT_LINEARS),
        attentions=("roberta.encoder.layer.{}.attention", "roberta.encoder.layer.{}.attention.self"),
    ),
    "distilbert": Anatomy(
        head=("pre_classifier", "classifier"),
        blocks=("distilbert.transformer.layer.{}",),
        after=(),
        embeddings=("distilbert.embeddings",),
        linears=(
            *(f"distilbert.transformer.layer.{{}}.attention.{name}_lin" for name in ("q", "k", "v", "out")),
            *(f"distilbert.transformer.layer.{{}}.ffn.lin{number}" for number in (1, 2)),
        ),
        attentions=("distilbert.transformer.layer.{}.attention",),
    ),
    "deberta": Anatomy(
        head=("pooler", "classifier"),
        blocks=("deberta.encoder.layer.{}",),
        after=(),  # its relative positions and their norm stand behind the blocks, and every block reads them
        embeddings=("deberta.embeddings", "deberta.encoder.rel_embeddings"),
        linears=(
            *(
                f"deberta.encoder.layer.{{}}.attention.self.{name}"
                for name in ("query_proj", "key_proj", "value_proj", "pos_key_proj", "pos_query_proj")
            ),
            *(f"deberta.encoder.layer.{{}}.{name}" for name in BERT_LINEARS[3:]),
        ),
        attentions=("deberta.encoder.layer.{}.attention", "deberta.encoder.layer.{}.attention.self"),
    ),
    "modernbert": Anatomy(
        head=("head", "classifier"),
        blocks=("model.layers.{}",),
        after=("model.final_norm",),
        embeddings=("model.embeddings",),
        linears=tuple(f"model.layers.{{}}.{name}" for name in ("attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo")),
        attentions=("model.layers.{}.attn",),
    ),
    "llama": Anatomy(
        head=("score",),
        blocks=("model.layers.{}",),
        after=("model.norm",),
        embeddings=("model.embed_tokens",),
        linears=(
            *(f"model.layers.{{}}.self_attn.{name}_proj" for name in "qkvo"),
            *(f"model.layers.{{}}.mlp.{name}_proj" for name in ("gate", "up", "down")),
        ),
        attentions=("model.layers.{}.self_attn",),
    ),
    "gpt2": Anatomy(
        head=("score",),
        blocks=("transformer.h.{}",),
        after=("transformer.ln_f",),
        embeddings=("transformer.wte", "transformer.wpe"),
        linears=tuple(
            f"transformer.h.{{}}.{name}" for name in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
        ),
        attentions=("transformer.h.{}.attn",),
    ),
}
"""By transformers' source of each family, for one block; `{}` is its number."""


def for_blocks(names: tuple[str, ...], blocks: int = 3) -> set[str]:
    return {name.format(number) for name in names for number in range(blocks)}


@pytest.mark.parametrize("family", EXPECTED)
def test_parts_of_known_families(family: str, tiny: Callable[[str], Path]) -> None:
    found, expected = examine(AutoModelForSequenceClassification.from_pretrained(tiny(family))), EXPECTED[family]
    assert found.head == expected.head
    assert found.after == expected.after
    assert found.embeddings == expected.embeddings
    assert found.blocks == tuple(expected.blocks[0].format(number) for number in range(3))
    assert set(found.linears) == for_blocks(expected.linears)
    assert set(found.attentions) == for_blocks(expected.attentions)
    assert found.offers == {"blocks", "embeddings", "linears", "attentions"}


def test_parts_do_not_overlap_and_hold_every_parameter_of_the_base(tiny: Callable[[str], Path]) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(tiny("bert"))
    parts = examine(model)
    names = [
        name
        for part in (parts.head, parts.blocks, parts.after, parts.embeddings)
        for name, _ in parameters_of(model, part)
    ]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())


def test_what_the_checkpoint_lacks_belongs_to_the_head(tiny: Callable[[str], Path]) -> None:
    model, report = AutoModelForSequenceClassification.from_pretrained(
        tiny("bert without pooler"), output_loading_info=True
    )
    assert examine(model).head == ("classifier",)
    assert examine(model, report["missing_keys"]).head == ("classifier", "bert.pooler.dense")


def test_new_weights_inside_a_block_are_no_head(tiny: Callable[[str], Path]) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(tiny("bert"))
    assert examine(model, ["bert.encoder.layer.1.output.dense.weight"]).head == ("classifier",)


def test_a_model_that_is_no_transformer_offers_what_it_has() -> None:
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2))
    found = examine(model)
    assert found.offers == {"embeddings"}
    assert found.embeddings == ("0",)


def test_parameters_of_takes_modules_and_parameters() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ModuleDict({"0": nn.Linear(2, 2)}))
    assert [name for name, _ in parameters_of(model, ["1"])] == ["1.0.weight", "1.0.bias"]
    assert [name for name, _ in parameters_of(model, ["0.bias"])] == ["0.bias"]
