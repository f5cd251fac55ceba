"""Where answers begin and end: the loss against transformers' own, and the best span against run_qa's search written plainly."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertForQuestionAnswering

import tiny_models
from luthier.data.batches import padded
from luthier.evaluate.answers import pack
from luthier.modalities.windows import SIZES, Windows
from luthier.models.both_ends import read_ends
from luthier.objectives.spans import SpanCrossEntropy, best, of_tokens, places

DRAW = random.Random(1)
LIMIT = 16


def drawn(words: int) -> str:
    return " ".join(DRAW.choices(tiny_models.WORDS, k=words))


def marked(text: str) -> list[tuple[str, int]]:
    """A stretch of words of a text, or none."""
    words = text.split()
    if DRAW.random() < 0.2:
        return []
    first = DRAW.randrange(len(words))
    answer = " ".join(words[first : first + DRAW.randrange(1, 5)])
    return [(answer, len(" ".join([*words[:first], ""])) if first else 0)]


ROWS = [(drawn(DRAW.randrange(1, 5)), drawn(DRAW.randrange(1, 40))) for _ in range(40)]
ANSWERS = [marked(text) for _, text in ROWS]


def modality() -> Windows:
    return Windows(tiny_models.word_tokenizer(), LIMIT, None)


def network() -> BertForQuestionAnswering:
    torch.manual_seed(0)
    tokenizer = tiny_models.word_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=1.0,
    )
    return BertForQuestionAnswering(config).eval()


def targets() -> np.ndarray:
    packed = np.empty(len(ROWS), dtype=object)
    for row, answers in enumerate(ANSWERS):
        packed[row] = pack([text for text, _ in answers], [start for _, start in answers])
    return packed


def batch_of(rows: np.ndarray) -> dict[str, Tensor]:
    one = modality()
    encoded = one.encode([ROWS[row] for row in rows])
    return one.collate(encoded.columns) | {"target": torch.from_numpy(padded(targets()[rows]))}


def test_the_answers_of_this_file_stand_in_their_texts() -> None:
    assert all(
        text[start:].startswith(answer) for (_, text), one in zip(ROWS, ANSWERS, strict=True) for answer, start in one
    )
    assert any(not one for one in ANSWERS)


def plain_features(row: int) -> list[dict[str, Any]]:
    """What transformers' run_qa prepares of a row (prepare_train_features), window by window."""
    tokenizer, (question, text) = tiny_models.word_tokenizer(), ROWS[row]
    stride = (LIMIT - tokenizer.num_special_tokens_to_add(pair=True)) // 4
    options: dict[str, Any] = {"return_overflowing_tokens": True, "return_offsets_mapping": True}
    encoded = tokenizer(question, text, truncation="only_second", max_length=LIMIT, stride=stride, **options)
    features = []
    for window, offsets in enumerate(encoded["offset_mapping"]):
        ids, parts = encoded["input_ids"][window], encoded.sequence_ids(window)
        start_position = end_position = 0
        if ANSWERS[row]:
            answer, start = ANSWERS[row][0]
            end = start + len(answer)
            first = parts.index(1)
            last = len(parts) - 1 - parts[::-1].index(1)
            if offsets[first][0] <= start and offsets[last][1] >= end:
                while first < len(offsets) and parts[first] == 1 and offsets[first][0] <= start:
                    first += 1
                start_position = first - 1
                while offsets[last][1] >= end and parts[last] == 1:
                    last -= 1
                end_position = last + 1
        inside = [place if part == 1 else None for place, part in zip(offsets, parts, strict=True)]
        features.append({"ids": ids, "offsets": inside, "start": start_position, "end": end_position})
    return features


def test_places_are_those_of_run_qa() -> None:
    batch = batch_of(np.arange(len(ROWS)))
    expected = [[one["start"], one["end"]] for row in range(len(ROWS)) for one in plain_features(row)]
    assert places(batch).tolist() == expected
    assert len(expected) > len(ROWS) > sum(start > 0 for start, _ in expected) > 10


def test_the_loss_is_that_of_transformers() -> None:
    model = network()
    expected = []
    for row in range(len(ROWS)):
        for one in plain_features(row):
            given = {"start_positions": torch.tensor([one["start"]]), "end_positions": torch.tensor([one["end"]])}
            expected.append(float(model(torch.tensor([one["ids"]]), **given).loss.detach()))
    read_ends(model)
    loss, count = SpanCrossEntropy()(model, batch_of(np.arange(len(ROWS))))
    assert count.item() == len(expected)
    assert loss.item() == pytest.approx(sum(expected), rel=1e-5)


def test_sums_do_not_hang_on_how_rows_are_cut() -> None:
    model = network()
    read_ends(model)
    whole = SpanCrossEntropy()(model, batch_of(np.arange(len(ROWS))))
    pieces = [
        SpanCrossEntropy()(model, batch_of(rows)) for rows in np.array_split(np.arange(len(ROWS))[::-1].copy(), 7)
    ]
    assert sum(loss.item() for loss, _ in pieces) == pytest.approx(whole[0].item(), rel=1e-5)
    assert sum(count.item() for _, count in pieces) == whole[1].item()


def plain_best(row: int, features: list[dict[str, Any]], logits: Tensor, most: int) -> tuple[str, float, float]:
    """run_qa's postprocess_qa_predictions with as many candidates as there are tokens: text, its score, and that of no answer."""
    best_score, best_text, null = -math.inf, "", math.inf
    for feature, (starts, ends) in zip(features, logits.unbind(0), strict=False):
        null = min(null, float(starts[0] + ends[0]))
        for start in range(len(feature["ids"])):
            for end in range(len(feature["ids"])):
                if feature["offsets"][start] is None or feature["offsets"][end] is None:
                    continue
                if end < start or end - start + 1 > most:
                    continue
                score = float(starts[start] + ends[end])
                if score > best_score:
                    place = feature["offsets"][start][0], feature["offsets"][end][1]
                    best_score, best_text = score, ROWS[row][1][slice(*place)]
    return best_text, best_score, null


@pytest.mark.parametrize("most", [1, 3, 30])
def test_the_best_span_is_that_of_run_qa(most: int) -> None:
    model = network()
    plain = {row: [model(torch.tensor([one["ids"]])) for one in plain_features(row)] for row in range(len(ROWS))}
    read_ends(model)
    batch = batch_of(np.arange(len(ROWS)))
    with torch.no_grad():
        logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    found = best(logits, batch, most)
    for row in range(len(ROWS)):
        width = max(one.start_logits.shape[1] for one in plain[row])
        ends = [torch.stack([one.start_logits[0], one.end_logits[0]]) for one in plain[row]]
        own = torch.stack([torch.nn.functional.pad(one, (0, width - one.shape[1])) for one in ends]).detach()
        text, score, null = plain_best(row, plain_features(row), own, most)
        assert ROWS[row][1][int(found.begins[row]) : int(found.ends[row])] == text
        assert found.scores[row].item() == pytest.approx(score, abs=1e-4)
        assert found.null[row].item() == pytest.approx(null, abs=1e-4)


def test_the_mass_is_that_of_all_spans() -> None:
    batch = batch_of(np.arange(6))
    logits = torch.randn(*batch["input_ids"].shape, 2)
    found = best(logits, batch, 3)
    inside = batch["target_ends"] > batch["target_begins"]
    for row in range(6):
        sums = [
            float(logits[window, first, 0] + logits[window, last, 1])
            for window in (batch["target_rows"] == row).nonzero()[:, 0].tolist()
            for first in inside[window].nonzero()[:, 0].tolist()
            for last in range(first, min(first + 3, inside.shape[1]))
            if inside[window, last]
        ]
        assert found.mass[row].item() == pytest.approx(float(np.logaddexp.reduce(sums)), abs=1e-4)


def test_a_text_of_nothing_has_no_answer() -> None:
    one = modality()
    batch = one.collate(one.encode([("good", ""), ("bad", "the film")]).columns)
    found = best(torch.zeros(*batch["input_ids"].shape, 2), batch, 5)
    assert found.begins.tolist() == [-1, 0]
    assert found.ends.tolist() == [-1, 3]


def test_virtual_tokens_before_the_input_are_passed_over() -> None:
    batch: Mapping[str, Tensor] = batch_of(np.arange(3))
    logits = torch.randn(*batch["input_ids"].shape, 2)
    assert torch.equal(of_tokens(torch.cat([torch.zeros(len(logits), 4, 2), logits], dim=1), batch), logits)


def test_an_answer_in_bytes_begins_at_its_first_and_ends_at_its_last() -> None:
    """Byte-level tokenizers write a Chinese character as several tokens of the same place."""
    begins = torch.tensor([[0, 0, 0, 0, 1, 1, 2]])
    ends = torch.tensor([[0, 1, 1, 1, 2, 2, 3]])
    batch = {"target_begins": begins, "target_ends": ends, "target_rows": torch.zeros(1, dtype=torch.long)}
    batch |= {"target_null": torch.zeros(1, dtype=torch.long), "target": torch.tensor([[0, 1, 99]])}
    assert places(batch).tolist() == [[1, 3]]
    batch["target"] = torch.tensor([[1, 2, 99, 98]])
    assert places(batch).tolist() == [[4, 6]]


def test_rows_are_as_long_as_what_is_computed_of_them() -> None:
    encoded = modality().encode(ROWS)
    for length, sizes in zip(encoded.lengths, encoded.columns[SIZES], strict=True):
        assert length == len(sizes) * max(sizes)
