"""Sound: against the extractors of transformers, run over a whole batch at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import soundfile
import soxr
import torch
from transformers import (
    ASTFeatureExtractor,
    AutoFeatureExtractor,
    SeamlessM4TFeatureExtractor,
    SpeechT5FeatureExtractor,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForSequenceClassification,
    WhisperFeatureExtractor,
)

from luthier.data.media.audio import Sound
from luthier.modalities.audio import Audio

RATE = 16000
SECONDS = (0.4, 1.0, 0.61, 0.05, 1.3001)


def whisper() -> Any:
    return WhisperFeatureExtractor(feature_size=8, chunk_length=2)


def spectrogram_transformer() -> Any:
    return ASTFeatureExtractor(num_mel_bins=16, max_length=128)


FAMILIES: dict[str, Any] = {
    "whisper": whisper,
    "whisper, masked": lambda: WhisperFeatureExtractor(feature_size=8, chunk_length=2, return_attention_mask=True),
    "wav2vec2, masked": lambda: Wav2Vec2FeatureExtractor(return_attention_mask=True),
    "wav2vec2, as it is": lambda: Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=False),
    "wav2vec2, on the left": lambda: Wav2Vec2FeatureExtractor(
        return_attention_mask=True, padding_side="left", do_normalize=False
    ),
    "speecht5": SpeechT5FeatureExtractor,
    "seamless": lambda: SeamlessM4TFeatureExtractor(num_mel_bins=16, feature_size=16),
    "ast": spectrogram_transformer,
}


@pytest.fixture(scope="module")
def sounds() -> list[Sound]:
    draw = np.random.default_rng(0)
    return [Sound((0.1 * draw.normal(size=round(one * RATE)) + 0.02).astype(np.float32), RATE) for one in SECONDS]


def one_pass(extractor: Any, sounds: list[Sound]) -> dict[str, torch.Tensor]:
    """The extractor over all rows: padded to the longest, or to its window where it has one."""
    padding = "max_length" if isinstance(extractor, WhisperFeatureExtractor) else True
    return dict(
        extractor([sound.samples for sound in sounds], sampling_rate=RATE, padding=padding, return_tensors="pt")
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_is_what_the_extractor_makes_of_all_rows(family: str, sounds: list[Sound]) -> None:
    modality, expected = Audio(FAMILIES[family]()), one_pass(FAMILIES[family](), sounds)
    batch = modality.collate(modality.encode(sounds).columns)
    assert set(batch) == set(expected)
    for name, tensor in expected.items():
        assert batch[name].dtype == tensor.dtype
        torch.testing.assert_close(batch[name], tensor, rtol=0, atol=1e-6)


def test_without_a_mask_a_row_is_normalised_alone(sounds: list[Sound]) -> None:
    """transformers' own batch would take the padding of the longest neighbour into each row's mean and deviation."""
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=False)
    modality = Audio(extractor)
    batch = modality.collate(modality.encode(sounds).columns)
    assert list(batch) == ["input_values"]
    for row, sound in zip(batch["input_values"], sounds, strict=True):
        alone = one_pass(extractor, [sound])["input_values"][0]
        assert torch.equal(row[: len(alone)], alone)
        assert not row[len(alone) :].any()


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_survive_arrow(family: str, sounds: list[Sound]) -> None:
    modality = Audio(FAMILIES[family]())
    columns = modality.encode(sounds).columns
    stored = datasets.Dataset.from_dict(dict(columns))
    kinds = {name: feature.feature.dtype for name, feature in stored.features.items()}
    assert kinds.pop(modality.extractor.model_input_names[0]) == "float32"
    assert set(kinds.values()) <= {"uint8"}
    read = {name: [row[name] for row in stored.with_format("numpy")] for name in columns}
    once, again = modality.collate(columns), modality.collate(read)
    assert all(torch.equal(once[name], again[name]) for name in once)


def test_a_padded_row_answers_as_it_does_alone(sounds: list[Sound]) -> None:
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8, 8),
        conv_stride=(5, 8, 8),
        conv_kernel=(10, 8, 8),
        num_feat_extract_layers=3,
        feat_extract_norm="layer",
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        classifier_proj_size=8,
    )
    model = Wav2Vec2ForSequenceClassification(config).eval()
    modality = Audio(Wav2Vec2FeatureExtractor(return_attention_mask=True))
    with torch.no_grad():
        together = model(**modality.collate(modality.encode(sounds).columns)).logits
        alone = [model(**modality.collate(modality.encode([sound]).columns)).logits[0] for sound in sounds]
    torch.testing.assert_close(together, torch.stack(alone))


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_files_are_resampled(rate: int, tmp_path: Path) -> None:
    samples = (0.1 * np.random.default_rng(0).normal(size=rate)).astype(np.float32)
    path = tmp_path / "sound.wav"
    soundfile.write(path, samples, rate, subtype="FLOAT")
    modality = Audio(whisper())
    batch = modality.collate(modality.encode([str(path)]).columns)
    expected = one_pass(whisper(), [Sound(soxr.resample(samples, rate, RATE), RATE)])
    assert torch.equal(batch["input_features"], expected["input_features"])


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_cutting_equals_resampling_everything_and_cutting_then(rate: int) -> None:
    samples = (0.1 * np.random.default_rng(0).normal(size=5 * rate)).astype(np.float32)
    modality = Audio(Wav2Vec2FeatureExtractor(do_normalize=False), 2)
    batch = modality.collate(modality.encode([Sound(samples, rate)]).columns)
    expected = soxr.resample(samples, rate, RATE)[: 2 * RATE]
    np.testing.assert_allclose(batch["input_values"][0].numpy(), expected, atol=1e-6)


def test_lengths_count_twenty_milliseconds(sounds: list[Sound]) -> None:
    encoded = Audio(Wav2Vec2FeatureExtractor(), 1).encode(sounds)
    assert encoded.lengths == [20, 50, 31, 3, 50]
    assert encoded.full_lengths == [20, 50, 31, 3, 66]


def test_rows_that_fill_a_window_are_equally_long(sounds: list[Sound]) -> None:
    encoded = Audio(whisper(), 1).encode(sounds)
    assert encoded.lengths == [50] * 5
    assert encoded.full_lengths == [50, 50, 50, 50, 66]


def test_a_window_that_cannot_shrink_stays_and_rows_are_cut(sounds: list[Sound]) -> None:
    modality = Audio(spectrogram_transformer(), 1)
    encoded = modality.encode(sounds)
    window = -(-(127 * 160 + 400) * 50 // RATE)
    assert encoded.lengths == [window] * 5
    assert encoded.full_lengths == [window] * 4 + [window + 16]
    cut = [Sound(sound.samples[:RATE], RATE) for sound in sounds]
    expected = one_pass(spectrogram_transformer(), cut)["input_values"]
    torch.testing.assert_close(modality.collate(encoded.columns)["input_values"], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("samples", "lost"), [(127 * 160 + 400, False), (127 * 160 + 400 + 320, True)])
def test_what_the_spectrogram_transformer_does_not_hear_is_counted(samples: int, lost: bool) -> None:
    sound = Sound((0.1 * np.random.default_rng(0).normal(size=samples)).astype(np.float32), RATE)
    encoded = Audio(spectrogram_transformer()).encode([sound])
    assert (encoded.full_lengths[0] > encoded.lengths[0]) == lost


def test_the_window_of_whisper_is_that_of_its_constructor(sounds: list[Sound], tmp_path: Path) -> None:
    modality = Audio(WhisperFeatureExtractor(), 1)
    modality.save(str(tmp_path))
    again = AutoFeatureExtractor.from_pretrained(tmp_path)
    assert again.to_dict() | {"feature_extractor_type": ""} == (
        WhisperFeatureExtractor(chunk_length=1).to_dict() | {"feature_extractor_type": ""}
    )
    expected = one_pass(again, sounds)["input_features"]
    assert torch.equal(modality.collate(modality.encode(sounds).columns)["input_features"], expected)
    assert expected.shape[-1] == again.nb_max_frames == 2 * modality.positions


@pytest.mark.parametrize(
    ("family", "seconds", "kept", "positions"),
    [
        ("whisper", None, 2, 100),
        ("whisper", 1.2, 2, 100),
        ("whisper", 0.3, 1, 50),
        ("whisper", 7, 2, 100),
        ("seamless", None, 30, 1500),
        ("seamless", 7.5, 7.5, 375),
        ("seamless", 90, 90, 4500),
        ("ast", None, (127 * 160 + 400) / RATE, 65),
        ("ast", 1, 1, 65),
    ],
)
def test_the_longest_row(family: str, seconds: float | None, kept: float, positions: int) -> None:
    modality = Audio(FAMILIES[family](), seconds)
    assert (modality.limit, modality.positions) == (kept, positions)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_click_is_filled_up_with_silence(family: str) -> None:
    click = Sound(np.full(7, 0.5, dtype=np.float32), RATE)
    filled = Sound(np.pad(click.samples, (0, 800 - 7)), RATE)
    modality = Audio(FAMILIES[family]())
    batch, expected = (modality.collate(modality.encode([one]).columns) for one in (click, filled))
    assert all(torch.equal(batch[name], expected[name]) and batch[name].isfinite().all() for name in expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_silence_gives_numbers(family: str) -> None:
    modality = Audio(FAMILIES[family]())
    batch = modality.collate(modality.encode([Sound(np.zeros(RATE, dtype=np.float32), RATE)]).columns)
    assert all(tensor.isfinite().all() for tensor in batch.values())


def test_no_rows() -> None:
    encoded = Audio(whisper()).encode([])
    assert (list(encoded.lengths), list(encoded.columns["input_features"])) == ([], [])


def test_the_fingerprint_follows_settings_and_not_places(tmp_path: Path) -> None:
    prints = []
    for name in ("one", "two"):
        whisper().save_pretrained(tmp_path / name)
        prints.append(Audio(AutoFeatureExtractor.from_pretrained(tmp_path / name)).fingerprint)
    assert prints[0] == prints[1]
    others = [
        Audio(whisper(), 1),
        Audio(WhisperFeatureExtractor(feature_size=9, chunk_length=2)),
        Audio(spectrogram_transformer()),
        Audio(spectrogram_transformer(), 1),
        Audio(Wav2Vec2FeatureExtractor(), 1),
        Audio(Wav2Vec2FeatureExtractor(), 2),
        Audio(Wav2Vec2FeatureExtractor(do_normalize=False), 2),
    ]
    assert len({prints[0], *(one.fingerprint for one in others)}) == 8


def test_real_digits(assets: Path) -> None:
    extractor = AutoFeatureExtractor.from_pretrained(assets / "models" / "whisper-tiny-en-encoder")
    paths = [str(path) for path in sorted(assets.glob("data/spoken_digits/*.wav"))[::300]]
    read = [soundfile.read(path, dtype="float32") for path in paths]
    sounds = [Sound(soxr.resample(samples, rate, RATE), RATE) for samples, rate in read]
    modality = Audio(extractor, 1)
    expected = one_pass(WhisperFeatureExtractor(chunk_length=1), sounds)["input_features"]
    assert torch.equal(modality.collate(modality.encode(paths).columns)["input_features"], expected)
