"""Recordings and what is said in them: loss, labels and texts are those of plain transformers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from transformers import AutoModelForSpeechSeq2Seq, WhisperTokenizer
from transformers.models.whisper.tokenization_whisper import LANGUAGES

import perceiving
from luthier.data.batches import IGNORED
from luthier.data.media import MEDIA
from luthier.errors import ModelError, RecipeError
from luthier.inputs import Asked, entrance
from luthier.modalities.languages import spoken
from luthier.models.find import find
from luthier.models.shorten import shorten
from luthier.objectives import Answered
from luthier.objectives.next_token import NextToken


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return perceiving.recogniser(tmp_path_factory.mktemp("whisper") / "model")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    place = perceiving.spoken(tmp_path_factory.mktemp("sounds") / "said", 2)
    table = pd.read_csv(place / "metadata.csv")
    return [(str(place / name), text) for name, text in zip(table["file_name"], table["sentence"], strict=True)]


def opened(folder: Path, seconds: float | None = 1) -> tuple[Any, Any]:
    opening = entrance("speech", Asked(find(str(folder)), limit=seconds))
    network = AutoModelForSpeechSeq2Seq.from_pretrained(folder).eval()
    assert opening.context.positions is not None
    shorten(network, opening.context.positions)
    return opening.modality, network


def test_loss_is_that_of_transformers_with_padded_batches(folder: Path, rows: list[tuple[str, str]]) -> None:
    modality, network = opened(folder)
    rows = [*rows, (rows[0][0], "good")]
    batch = modality.collate(modality.encode(rows).columns) | {"target": torch.zeros(len(rows))}
    extractor, tokenizer = modality.perceived.extractor, modality.tokenizer
    sounds = [MEDIA["audio"].open(file).at(extractor.sampling_rate).samples for file, _ in rows]
    features = extractor(sounds, sampling_rate=extractor.sampling_rate, return_tensors="pt")["input_features"]
    labels = tokenizer([text for _, text in rows], return_tensors="pt", padding=True)["input_ids"][:, 1:]
    labels = labels.masked_fill(labels == tokenizer.pad_token_id, IGNORED)
    assert torch.equal(batch["labels"], labels), "transformers puts the first token there itself"
    objective = NextToken()
    with torch.no_grad():
        expected = network(input_features=features, labels=labels)
        outputs = objective.outputs(network, batch)
        loss, count = objective(Answered(outputs), batch)
    assert torch.allclose(outputs.logits, expected.logits, atol=1e-5)
    assert float(loss / count) == pytest.approx(float(expected.loss), rel=1e-5)


def test_it_writes_what_generate_does(folder: Path, rows: list[tuple[str, str]]) -> None:
    modality, network = opened(folder)
    with torch.no_grad():
        good = network.get_input_embeddings().weight[modality.tokenizer.convert_tokens_to_ids("good")]
        network.model.decoder.layer_norm.bias.add_(50 * good)  # so that it has something to say
    batch = modality.collate(modality.encode([modality.given(file) for file, _ in rows]).columns)
    assert batch["labels"].tolist() == [[IGNORED]] * len(rows), "nobody has said what a person asks about"
    written = modality.write(network, batch, 5)
    made = network.generate(input_features=batch["input_features"], max_new_tokens=5, do_sample=False, num_beams=1)
    assert written == [text.strip() for text in modality.tokenizer.batch_decode(made, skip_special_tokens=True)]
    assert any(written)


def test_lengths_are_of_the_recordings_and_cut_words_count(folder: Path, rows: list[tuple[str, str]]) -> None:
    modality, _ = opened(folder)
    modality.tokenizer.model_max_length = 8
    modality, _ = opened(folder)
    encoded = modality.encode([rows[0], (rows[1][0], "good " * 600)])
    assert encoded.lengths == [50, 50], "Whisper fills rows up to the window, which is of one second"
    assert encoded.full_lengths[0] == 50
    assert encoded.full_lengths[1] > 50
    assert modality.sizes(torch.tensor(encoded.lengths).numpy()).tolist() == [1.0, 1.0]
    assert len(encoded.columns["labels"][1]) == modality._text.limit


def test_other_models_are_refused(tmp_path: Path) -> None:
    classifier = perceiving.network("wav2vec2", tmp_path / "wav2vec2")
    with pytest.raises(ModelError, match="task transcribe needs a model that hears and writes, and wav2vec2 is none"):
        entrance("speech", Asked(find(str(classifier))))


def whisper_tokenizer(languages: Iterable[str]) -> WhisperTokenizer:
    words = [
        "good",
        "<|startoftranscript|>",
        *(f"<|{one}|>" for one in languages),
        "<|translate|>",
        "<|transcribe|>",
        "<|notimestamps|>",
        "<|endoftext|>",
    ]
    tokenizer = WhisperTokenizer(vocab={word: place for place, word in enumerate(words)}, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": words[1:]})
    return tokenizer


@pytest.mark.parametrize("said", ["French", "fr"])
def test_a_language_is_put_before_what_is_said(said: str) -> None:
    tokenizer = whisper_tokenizer(LANGUAGES)
    assert spoken(tokenizer, {"language": said}, "it") == {"language": "fr", "task": "transcribe"}
    written = tokenizer.convert_ids_to_tokens(tokenizer("good")["input_ids"])
    assert written[:4] == ["<|startoftranscript|>", "<|fr|>", "<|transcribe|>", "<|notimestamps|>"]
    assert written[-1] == "<|endoftext|>"


def test_a_language_that_is_not_known_is_refused(folder: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"task.language: it knows no language 'klingon'; say it in English or as its code"
    ):
        spoken(whisper_tokenizer(LANGUAGES), {"language": "Klingon"}, "it")
    with pytest.raises(RecipeError, match=r"task.language: it knows one language. Leave it out."):
        spoken(whisper_tokenizer(()), {"language": "en"}, "it")
    with pytest.raises(RecipeError, match="knows one language"):
        entrance("speech", Asked(find(str(folder)), languages={"language": "en"}))
    assert spoken(whisper_tokenizer(LANGUAGES), {}, "it") == {}
