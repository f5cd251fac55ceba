"""Prompts and answers for networks with an encoder and a decoder: the loss, the ids and the texts are those of plain transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, MBart50Tokenizer, MBartTokenizer

import tiny_models
from luthier.data.batches import IGNORED
from luthier.errors import RecipeError
from luthier.modalities.languages import Language, set_languages
from luthier.modalities.seq2seq import Seq2Seq
from luthier.objectives import Answered
from luthier.objectives.next_token import NextToken, row_sums

ROWS = [("the film is good", "good film"), ("bad", "the room is very very awful"), ("not great", "bad")]
FAMILIES = tuple(tiny_models.ANSWERING)


@pytest.fixture(params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tiny_models.make_answering(request.param, tmp_path / request.param)


def opened(folder: Path, max_length: int | None = None, wording: str | None = None) -> tuple[Seq2Seq, Any]:
    network = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    start = network.config.decoder_start_token_id
    return Seq2Seq(AutoTokenizer.from_pretrained(folder), max_length, tiny_models.POSITIONS, start, wording), network


def test_loss_and_logits_are_those_of_transformers_with_padded_batches(folder: Path) -> None:
    modality, network = opened(folder)
    tokenizer = modality.tokenizer
    batch = modality.collate(modality.encode(ROWS).columns) | {"target": torch.zeros(3)}
    plain = tokenizer([row[0] for row in ROWS], return_tensors="pt", padding=True)
    labels = tokenizer(text_target=[row[1] for row in ROWS], return_tensors="pt", padding=True)["input_ids"]
    labels = labels.masked_fill(labels == tokenizer.pad_token_id, IGNORED)
    with torch.no_grad():
        expected = network(input_ids=plain["input_ids"], attention_mask=plain["attention_mask"], labels=labels)
        objective = NextToken()
        outputs = objective.outputs(network, batch)
        loss, count = objective(Answered(outputs), batch)
        sums = row_sums(outputs.logits, batch)
    assert torch.equal(batch["labels"], labels)
    assert torch.allclose(outputs.logits, expected.logits, atol=1e-6)
    assert float(loss / count) == pytest.approx(float(expected.loss), rel=1e-5)
    assert sums[:, 1].tolist() == (labels != IGNORED).sum(1).tolist()
    assert sums[:, 0].sum() == pytest.approx(float(loss), rel=1e-5)
    right = (expected.logits.argmax(-1) == labels).sum(1)
    assert sums[:, 2].tolist() == right.tolist()


def test_rows_do_not_depend_on_their_neighbours(folder: Path) -> None:
    modality, network = opened(folder)
    objective = NextToken()

    def sums(rows: list[Any]) -> torch.Tensor:
        batch = modality.collate(modality.encode(rows).columns)
        with torch.no_grad():
            return row_sums(objective.outputs(network, batch).logits, batch)

    assert torch.allclose(sums(ROWS), torch.cat([sums([row]) for row in ROWS]), atol=1e-5)


def test_it_writes_what_generate_does(folder: Path) -> None:
    modality, network = opened(folder, wording="the {prompt} is")
    network.generation_config.update(num_beams=4, min_length=7, no_repeat_ngram_size=1)  # found for other texts
    batch = modality.collate(modality.encode([modality.given(row[0]) for row in ROWS]).columns)
    written = modality.write(network, batch, 6)
    for text, (prompt, _) in zip(written, ROWS, strict=True):
        asked = modality.tokenizer(f"the {prompt} is", return_tensors="pt")
        made = network.generate(
            input_ids=asked["input_ids"],
            attention_mask=asked["attention_mask"],
            **{"max_new_tokens": 6, "do_sample": False, "num_beams": 1, "min_length": 0, "no_repeat_ngram_size": 0},
        )
        assert text == modality.tokenizer.decode(made[0], skip_special_tokens=True).strip()
    assert network.generation_config.num_beams == 4, "the checkpoint's own settings stay"


def test_answers_end_and_what_is_cut_is_counted(folder: Path) -> None:
    modality, _ = opened(folder, max_length=5)
    encoded = modality.encode([("good " * 9, "bad " * 8), ("good", "bad")])
    ids, labels = encoded.columns["input_ids"], encoded.columns["labels"]
    end = modality.tokenizer.eos_token_id
    assert len(ids[0]) == len(labels[0]) == 5
    assert labels[0][-1] == labels[1][-1] == end
    own = 2 if labels[0][0] == modality.tokenizer.bos_token_id else 1
    assert encoded.lengths[0] == 10
    assert encoded.full_lengths[0] == 9 + 2 + 8 + own
    assert encoded.lengths[1] == encoded.full_lengths[1]


def test_an_end_is_put_where_the_tokenizer_writes_none(tmp_path: Path) -> None:
    modality, _ = opened(tiny_models.make_answering("t5", tmp_path))
    modality.tokenizer.backend_tokenizer.post_processor = None
    assert modality.encode([("good", "bad film")]).columns["labels"][0].tolist() == [
        *modality.tokenizer.convert_tokens_to_ids(["bad", "film"]),
        modality.tokenizer.eos_token_id,
    ]


def test_what_the_decoder_begins_with_is_no_label(tmp_path: Path) -> None:
    """Whisper's tokenizer writes it, and transformers puts it there once more."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_models.make_answering("bart", tmp_path))
    begins = tokenizer.bos_token_id
    encoded = Seq2Seq(tokenizer, None, None, begins).encode([("good", "bad")])
    assert encoded.columns["labels"][0].tolist() == [tokenizer.convert_tokens_to_ids("bad"), tokenizer.eos_token_id]


def test_a_conversation_is_read_up_to_its_last_answer(tmp_path: Path) -> None:
    modality, _ = opened(tiny_models.make_answering("t5", tmp_path))
    talk = [
        {"role": "user", "content": "good"},
        {"role": "assistant", "content": "bad"},
        {"role": "user", "content": "film"},
    ]
    whole = modality.encode([[*talk, {"role": "assistant", "content": "room"}]]).columns
    asked = modality.encode([modality.given(talk)]).columns
    assert asked["input_ids"] == whole["input_ids"]
    assert "film" in modality.tokenizer.decode(asked["input_ids"][0])
    assert not len(asked["labels"][0])
    assert modality.collate(asked)["labels"].tolist() == [[IGNORED]]


def test_packing_and_templates_are_refused(tmp_path: Path) -> None:
    folder = tiny_models.make_answering("t5", tmp_path)
    with pytest.raises(
        RecipeError, match="joins rows of one sequence each, and this model has an encoder and a decoder"
    ):
        opened(folder)[0].pack({})
    with pytest.raises(RecipeError, match=r"task.template must have \{prompt\} once"):
        opened(folder, wording="Summarise:")


def vocabulary() -> list[tuple[str, float]]:
    return [(piece, -float(place)) for place, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", "▁good", "▁gut"])]


@pytest.mark.parametrize("kind", [MBartTokenizer, MBart50Tokenizer])
def test_languages(kind: Any) -> None:
    tokenizer = kind(vocab=vocabulary())
    told = set_languages(tokenizer, {"source_language": "en_XX", "target_language": "de_DE"}, "it")
    german = tokenizer.convert_tokens_to_ids("de_DE")
    begins = kind is MBartTokenizer
    assert told == Language(german, begins)
    assert told.settings == {"decoder_start_token_id" if begins else "forced_bos_token_id": german}
    modality = Seq2Seq(tokenizer, 6, None, tokenizer.eos_token_id, None, told)
    row = modality.encode([("good", "gut " * 9)]).columns
    english = tokenizer.convert_tokens_to_ids("en_XX")
    assert english in row["input_ids"][0]
    assert (row["labels"][0] == german).sum() == 1, "what stands behind the end is not cut"
    assert tokenizer.eos_token_id in row["labels"][0]
    assert len(row["labels"][0]) == 6
    assert modality.fingerprint != Seq2Seq(tokenizer, 6, None, tokenizer.eos_token_id).fingerprint
    assert isinstance(row["labels"][0], np.ndarray)


def test_languages_that_are_not_known_are_refused(tmp_path: Path) -> None:
    several = MBart50Tokenizer(vocab=vocabulary())
    with pytest.raises(RecipeError, match=r"knows several languages: say task.target_language, such as en_XX"):
        set_languages(several, {"source_language": "en_XX"}, "it")
    with pytest.raises(RecipeError, match=r"task.target_language: the tokenizer of it knows no language 'german'"):
        set_languages(several, {"source_language": "en_XX", "target_language": "german"}, "it")
    single = AutoTokenizer.from_pretrained(tiny_models.make_answering("t5", tmp_path))
    with pytest.raises(RecipeError, match=r"task.target_language: the tokenizer of t5 knows no languages"):
        set_languages(single, {"target_language": "de"}, "t5")
    assert set_languages(single, {}, "t5") is None
