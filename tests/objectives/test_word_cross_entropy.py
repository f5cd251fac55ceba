from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForTokenClassification, DataCollatorForTokenClassification

import tiny_models
from luthier.modalities.tokens import Tokens
from luthier.objectives.tokens import WordCrossEntropy, word_probabilities

TAGS = 5
ROWS = [
    ["good", "unheard", "the", "film"],
    ["bad"],
    ["the phone", "is", "very bad film", "not", "good"],  # words of several pieces
    ["battery"] * 7,
]


@pytest.fixture(scope="module")
def bert() -> BertForTokenClassification:
    torch.manual_seed(0)
    config = BertConfig(**tiny_models.WIDTHS, vocab_size=len(tiny_models.word_tokenizer()), num_labels=TAGS)
    return BertForTokenClassification(config).eval()


def targets() -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.integers(TAGS, size=len(row)) for row in ROWS]


def batch(rows: list[list[str]], tags: list[np.ndarray], limit: int | None = None) -> dict[str, Tensor]:
    modality = Tokens(tiny_models.word_tokenizer(), limit)
    padded = np.full((len(rows), max(map(len, rows))), -100)
    for line, row in zip(padded, tags, strict=True):
        line[: len(row)] = row
    return modality.collate(modality.encode(rows).columns) | {"target": torch.from_numpy(padded)}


def transformers_batch(limit: int | None) -> dict[str, Tensor]:
    """The usual recipe: is_split_into_words, the label at each word's first piece, -100 elsewhere."""
    tokenizer = tiny_models.word_tokenizer()
    encoded = tokenizer(ROWS, is_split_into_words=True, truncation=True, max_length=limit or 64)
    rows = []
    for number, tags in enumerate(targets()):
        words = encoded.word_ids(number)
        first = [word is not None and word not in words[:place] for place, word in enumerate(words)]
        labels = [int(tags[word]) if new else -100 for word, new in zip(words, first, strict=True)]
        ids, mask = encoded["input_ids"][number], encoded["attention_mask"][number]
        rows.append({"input_ids": ids, "attention_mask": mask, "labels": labels})
    return dict(DataCollatorForTokenClassification(tokenizer)(rows))


@pytest.mark.parametrize("limit", [None, 6, 4])
def test_the_loss_is_that_of_transformers(limit: int | None, bert: nn.Module) -> None:
    loss, count = WordCrossEntropy()(bert, batch(ROWS, targets(), limit))
    reference = transformers_batch(limit)
    assert count.item() == (reference["labels"] != -100).sum()
    torch.testing.assert_close(loss / count, bert(**reference).loss)


def test_label_smoothing_is_that_of_torch(bert: nn.Module) -> None:
    loss, count = WordCrossEntropy(0.2)(bert, batch(ROWS, targets()))
    reference = transformers_batch(None)
    labels = reference.pop("labels")
    logits = bert(**reference).logits
    expected = nn.CrossEntropyLoss(label_smoothing=0.2)(logits.flatten(0, 1), labels.flatten())
    torch.testing.assert_close(loss / count, expected)


def test_micro_batches_add_up_to_the_whole(bert: nn.Module) -> None:
    objective, tags = WordCrossEntropy(0.1), targets()
    loss, count = objective(bert, batch(ROWS, tags))
    parts = [objective(bert, batch(ROWS[at], tags[at])) for at in (slice(0, 1), slice(1, 3), slice(3, 4))]
    torch.testing.assert_close(torch.stack([part[0] for part in parts]).sum(), loss)
    assert sum(part[1].item() for part in parts) == count.item() == sum(map(len, ROWS))


class Longer(nn.Module):
    """A network into which a method has put virtual tokens, behind the first token."""

    def __init__(self, logits: Tensor, virtual: int) -> None:
        super().__init__()
        nothing = torch.full((len(logits), virtual, TAGS), torch.nan)
        self.logits = torch.cat([logits[:, :1], nothing, logits[:, 1:]], dim=1)

    def forward(self, **inputs: Tensor) -> Any:
        assert not [name for name in inputs if name.startswith("target")]
        return SimpleNamespace(logits=self.logits)


def test_places_count_from_behind_virtual_tokens(bert: nn.Module) -> None:
    made = batch(ROWS, targets())
    logits = bert(input_ids=made["input_ids"], attention_mask=made["attention_mask"]).logits
    longer = Longer(logits, 3)
    torch.testing.assert_close(WordCrossEntropy()(longer, made)[0], WordCrossEntropy()(bert, made)[0])
    for ours, expected in zip(word_probabilities(longer.logits, made), word_probabilities(logits, made), strict=True):
        torch.testing.assert_close(ours, expected)


def slow_probabilities(logits: Tensor, made: Mapping[str, Tensor], row: int) -> Tensor:
    words = [place for place in made["target_places"][row].tolist() if place != -100]
    return torch.stack([logits[row, place].softmax(-1) if place >= 0 else torch.zeros(TAGS) for place in words])


@pytest.mark.parametrize("limit", [None, 5])
def test_probabilities_are_a_row_s_words(limit: int | None, bert: nn.Module) -> None:
    made = batch(ROWS, targets(), limit)
    logits = bert(input_ids=made["input_ids"], attention_mask=made["attention_mask"]).logits.detach()
    found = word_probabilities(logits.bfloat16(), made)
    assert [len(one) for one in found] == [len(row) for row in ROWS]
    for row, one in enumerate(found):
        torch.testing.assert_close(one, slow_probabilities(logits.bfloat16().float(), made, row))
    cut = sum(int((one.sum(-1) == 0).sum()) for one in found)
    assert (cut > 0) == (limit is not None)
