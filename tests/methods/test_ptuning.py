from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import nn

from luthier.methods import Context
from luthier.methods.ptuning import PTuning
from luthier.modalities.text import Text
from luthier.models.anatomy import examine
from luthier.models.open import Base, open_model, open_tokenizer
from luthier.models.prompt_encoder import ENCODERS
from luthier.models.virtual import Vectors, prompt_in
from luthier.tasks.classify import Classes

LABELS = Classes(("bad", "good"), False).model_config
TEXTS = ["the film is good", "bad", "the room is very bad the service not good"]


def opened(folder: Path, method: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    base = Base("base", str(folder))
    tokenizer = open_tokenizer(base)
    torch.manual_seed(0)
    plain = open_model(base, LABELS, tokenizer.pad_token_id)
    plain.model.requires_grad_(False)
    model = method.insert(plain.model, examine(plain.model, plain.new), Context(tokenizer))
    modality = Text(tokenizer)
    return model.eval(), modality.collate(modality.encode(TEXTS).columns)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("family", ["bert", "llama"])
def test_merged_it_is_a_prompt_with_the_same_logits(
    family: str, encoder: Literal["lstm", "mlp"], base: Callable[[str], Path]
) -> None:
    method = PTuning(length=5, encoder=encoder)
    model, batch = opened(base(family), method)
    expected = model(**batch).logits
    merged = method.merge(model)
    assert isinstance(prompt_in(merged), Vectors)
    assert torch.allclose(merged(**batch).logits, expected, atol=1e-6)
    # what `folded` inserts has the same names, and takes the vectors over
    again, _ = opened(base(family), method.folded)
    assert again.state_dict().keys() == merged.state_dict().keys()
    again.load_state_dict(merged.state_dict())
    assert torch.allclose(again(**batch).logits, expected, atol=1e-6)
    assert method.merge(merged) is merged


@pytest.mark.parametrize("encoder", ENCODERS)
def test_it_moves_the_answer_of_a_frozen_network(encoder: Literal["lstm", "mlp"], tiny_bert: Path) -> None:
    model, batch = opened(tiny_bert, PTuning(length=8, encoder=encoder))
    with torch.no_grad():
        nn.init.normal_(model.classifier.weight)
        for layer in model.bert.encoder.layer:  # as drawn, hardly anything comes from other tokens
            layer.attention.self.value.weight.mul_(20)
            layer.attention.output.dense.weight.mul_(20)
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=PTuning.rate.value)
    losses = []
    for _ in range(40):
        loss = nn.functional.cross_entropy(model(**batch).logits, torch.tensor([1, 1, 1]))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
