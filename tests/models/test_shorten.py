"""A shorter window for Whisper: against the layers of the whole encoder, run by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    AutoModelForSpeechSeq2Seq,
    Wav2Vec2Config,
    Wav2Vec2ForSequenceClassification,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForAudioClassification,
    WhisperForConditionalGeneration,
    pipeline,
)
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from luthier.data.media.audio import Sound
from luthier.errors import ModelError
from luthier.modalities.audio import Audio
from luthier.models.shorten import shorten


def tiny(kind: Any = WhisperForAudioClassification) -> Any:
    """A random Whisper of two blocks that hears 2 s."""
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=50,
        d_model=16,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_mel_bins=8,
        max_source_positions=100,
        max_target_positions=20,
        classifier_proj_size=8,
        num_labels=3,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        begin_suppress_tokens=None,
        suppress_tokens=None,
    )
    return kind(config).eval()


def by_hand(encoder: WhisperEncoder, features: torch.Tensor) -> torch.Tensor:
    """What the layers of an encoder make of features of any length: its forward pass without the check of the length."""
    hidden = nn.functional.gelu(encoder.conv1(features))
    hidden = nn.functional.gelu(encoder.conv2(hidden)).permute(0, 2, 1)
    hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
    for layer in encoder.layers:
        hidden = layer(hidden, None)
    last: torch.Tensor = encoder.layer_norm(hidden)
    return last


@pytest.mark.parametrize("positions", [1, 30, 99])
def test_hidden_states_are_those_of_the_whole_encoder(positions: int) -> None:
    model, features = tiny(), torch.randn(2, 8, 2 * positions)
    with torch.no_grad():
        expected = by_hand(model.encoder, features)
        shorten(model, positions)
        assert torch.equal(model.encoder(features).last_hidden_state, expected)


def test_a_real_model_hears_real_digits(assets: Path, tmp_path: Path) -> None:
    folder = assets / "models" / "whisper-tiny-en-encoder"
    audio = Audio(AutoFeatureExtractor.from_pretrained(folder), 1)
    batch = audio.collate(
        audio.encode([str(path) for path in sorted(assets.glob("data/spoken_digits/*.wav"))[::500]]).columns
    )
    model = AutoModelForAudioClassification.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        expected = by_hand(model.encoder, batch["input_features"])
        shorten(model, audio.positions)
        assert torch.equal(model.encoder(**batch).last_hidden_state, expected)
        assert expected.shape == (6, 50, 384)
        model.save_pretrained(tmp_path)
        audio.save(str(tmp_path))
        again = AutoModelForAudioClassification.from_pretrained(tmp_path)
        assert torch.equal(again(**batch).logits, model(**batch).logits)


def test_the_saved_model_answers_the_same(tmp_path: Path) -> None:
    model, features = tiny(), torch.randn(2, 8, 60)
    shorten(model, 30)
    model.save_pretrained(tmp_path)
    again = AutoModelForAudioClassification.from_pretrained(tmp_path)
    assert again.config.max_source_positions == 30
    with torch.no_grad():
        assert torch.equal(again(features).logits, model(features).logits)


def test_a_plain_pipeline_hears_the_same(tmp_path: Path) -> None:
    model, audio = tiny(), Audio(WhisperFeatureExtractor(feature_size=8, chunk_length=2), 1)
    shorten(model, audio.positions)
    model.save_pretrained(tmp_path)
    audio.save(str(tmp_path))
    sound = Sound((0.1 * np.random.default_rng(0).normal(size=12000)).astype(np.float32), 16000)
    with torch.no_grad():
        expected = model(**audio.collate(audio.encode([sound]).columns)).logits.softmax(dim=-1)[0]
    found = pipeline("audio-classification", str(tmp_path))({"raw": sound.samples, "sampling_rate": 16000})
    named = {one["label"]: one["score"] for one in found}
    assert [named[f"LABEL_{index}"] for index in range(3)] == pytest.approx(expected.tolist(), abs=1e-6)


def test_an_encoder_decoder_writes_the_same_after_saving(tmp_path: Path) -> None:
    model, features = tiny(WhisperForConditionalGeneration), torch.randn(2, 8, 60)
    shorten(model, 30)
    model.save_pretrained(tmp_path)
    again = AutoModelForSpeechSeq2Seq.from_pretrained(tmp_path)
    words = torch.tensor([[1, 5, 7], [1, 4, 9]])
    with torch.no_grad():
        assert torch.equal(
            again(input_features=features, decoder_input_ids=words).logits,
            model(input_features=features, decoder_input_ids=words).logits,
        )


def test_shortening_twice_is_shortening_once() -> None:
    twice, once = tiny(), tiny()
    for positions in (60, 30, 30):
        shorten(twice, positions)
    shorten(once, 30)
    assert twice.config.to_dict() == once.config.to_dict()
    assert all(torch.equal(one, other) for one, other in zip(twice.parameters(), once.parameters(), strict=True))


@pytest.mark.parametrize("trained", [False, True])
def test_the_table_keeps_its_kind(trained: bool) -> None:
    model = tiny().half()
    model.encoder.embed_positions.requires_grad_(trained)
    shorten(model, 30)
    table = model.encoder.embed_positions.weight
    assert (table.dtype, table.requires_grad, table.shape) == (torch.float16, trained, (30, 16))


def test_the_table_holds_no_more_than_it_shows() -> None:
    model = tiny()
    shorten(model, 30)
    assert model.encoder.embed_positions.weight.untyped_storage().nbytes() == 30 * 16 * 4


def test_a_longer_window_than_the_table_is_refused() -> None:
    with pytest.raises(ModelError) as refused:
        shorten(tiny(), 150)
    assert (
        str(refused.value)
        == "This model hears 2 seconds at most, and rows are to have 3. Set data.max_length to 2 or less."
    )


def test_other_networks_stay_as_they_are() -> None:
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8),
        conv_stride=(5, 4),
        conv_kernel=(10, 8),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        classifier_proj_size=8,
    )
    model = Wav2Vec2ForSequenceClassification(config)
    before = {name: one.clone() for name, one in model.state_dict().items()}
    shorten(model, 30)
    shorten(nn.Linear(2, 2), 30)
    assert model.config.to_dict() == config.to_dict()
    assert all(np.array_equal(one, before[name]) for name, one in model.state_dict().items())
