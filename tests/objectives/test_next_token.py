"""The loss of answers: transformers' own, with logits only where an answer's token is next."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

import tiny_models
from luthier.objectives.next_token import CHUNK, NextToken, answer_tokens, before_answers, row_sums, token_losses

WORDS = 18


@pytest.fixture(params=["llama", "qwen3", "gpt2"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(tiny_models.make_speaking(request.param, tmp_path)).eval()


@pytest.fixture
def batch() -> dict[str, Tensor]:
    """Three rows of different length, padded on the right; two turns are answers in the last."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor([9, 5, 12])
    mask = (torch.arange(12) < lengths[:, None]).long()
    ids = torch.randint(1, WORDS, (3, 12), generator=generator) * mask
    learned = torch.zeros(3, 12, dtype=torch.bool)
    learned[0, 4:9] = learned[1, 2:5] = learned[2, 3:5] = learned[2, 9:12] = True
    targets = torch.where(learned, ids, -100)
    return {"input_ids": ids, "attention_mask": mask, "target_tokens": targets, "target": torch.zeros(3, 1)}


def test_equals_transformers_loss(model: torch.nn.Module, batch: dict[str, Tensor]) -> None:
    reference = model(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["target_tokens"]
    ).loss
    loss, count = NextToken()(model, batch)
    assert count == 5 + 3 + 2 + 3
    torch.testing.assert_close(loss / count, reference, rtol=0, atol=1e-5)


def test_gradients_equal_those_of_transformers_loss(model: torch.nn.Module, batch: dict[str, Tensor]) -> None:
    loss, count = NextToken()(model, batch)
    (loss / count).backward()
    own = {name: one.grad.clone() for name, one in model.named_parameters()}
    model.zero_grad()
    model(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["target_tokens"]
    ).loss.backward()
    for name, one in model.named_parameters():
        torch.testing.assert_close(own[name], one.grad, rtol=1e-4, atol=1e-6)


def test_logits_stand_only_where_a_token_of_an_answer_is_next(model: torch.nn.Module, batch: dict[str, Tensor]) -> None:
    whole = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    kept = NextToken().outputs(model, batch).logits
    assert kept.shape == (13, WORDS + 1)
    rows, places = (batch["target_tokens"] != -100).nonzero(as_tuple=True)
    torch.testing.assert_close(kept, whole[rows, places - 1], rtol=1e-4, atol=1e-5)
    assert answer_tokens(batch).tolist() == batch["input_ids"][rows, places].tolist()


def test_sums_of_rows_add_up_to_the_loss(model: torch.nn.Module, batch: dict[str, Tensor]) -> None:
    with torch.no_grad():
        logits = NextToken().outputs(model, batch).logits
        sums = row_sums(logits, batch)
        loss, count = NextToken()(model, batch)
    assert sums[:, 1].tolist() == [5, 3, 5]
    assert sums[:, 0].sum().item() == pytest.approx(loss.item(), rel=1e-6)
    assert sums[:, 1].sum().item() == count.item()
    right = logits.argmax(-1) == answer_tokens(batch)
    assert sums[:, 2].tolist() == [int(right[:5].sum()), int(right[5:8].sum()), int(right[8:].sum())]


def test_a_row_without_an_answer_counts_nothing(model: torch.nn.Module, batch: dict[str, Tensor]) -> None:
    batch["target_tokens"][1] = -100
    with torch.no_grad():
        sums = row_sums(NextToken().outputs(model, batch).logits, batch)
    assert sums[1].tolist() == [0, 0, 0]
    batch["target_tokens"][:] = -100
    with torch.no_grad():
        loss, count = NextToken()(model, batch)
    assert (loss.item(), count.item()) == (0, 0)


def test_smoothing_and_chunks_are_torchs() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2 * CHUNK + 7, 11, generator=generator)
    tokens = torch.randint(11, (len(logits),), generator=generator)
    reference = torch.nn.functional.cross_entropy(logits, tokens, label_smoothing=0.1, reduction="none")
    with torch.no_grad():
        torch.testing.assert_close(token_losses(logits, tokens, 0.1), reference)
    torch.testing.assert_close(token_losses(logits, tokens, 0.1), reference)


def test_the_first_token_of_a_row_is_never_predicted(batch: dict[str, Tensor]) -> None:
    batch["target_tokens"][0] = batch["input_ids"][0].masked_fill(batch["attention_mask"][0] == 0, -100)
    assert before_answers(batch)[0].tolist() == [True] * 8 + [False] * 4
    assert answer_tokens(batch)[:8].tolist() == batch["input_ids"][0, 1:9].tolist()
