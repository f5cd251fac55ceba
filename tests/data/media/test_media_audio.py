"""Sounds as people have them: every format and number of channels, and what is wrong with those that cannot be used."""

from __future__ import annotations

import io
import sys
import wave
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as some

from luthier.data.media import MEDIA
from luthier.data.media.audio import Sound
from luthier.errors import DataError, ExtraError

AUDIO = MEDIA["audio"]


def tone(seconds: float = 0.5, rate: int = 16_000, channels: int = 1, hertz: float = 440) -> np.ndarray:
    """A sine, (samples,) or (samples, channels) of different loudness."""
    wave_of_one = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return wave_of_one if channels == 1 else wave_of_one[:, None] * np.linspace(0.2, 1, channels)


def encoded(samples: np.ndarray, rate: int = 16_000, kind: str = "WAV", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def held(data: bytes) -> dict[str, Any]:
    return {"bytes": data, "path": None}


def refusal(value: Any) -> str:
    with pytest.raises(DataError) as error:
        AUDIO.open(value)
    return str(error.value)


def test_samples_are_those_that_the_standard_library_reads(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(encoded(tone()))
    with wave.open(str(tmp_path / "a.wav")) as file:
        expected = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / 32768
    for value in (str(tmp_path / "a.wav"), held((tmp_path / "a.wav").read_bytes())):
        sound = AUDIO.open(value)
        assert sound.samples.dtype == np.float32
        assert sound.rate == 16_000
        np.testing.assert_array_equal(sound.samples, expected.astype(np.float32))
    assert AUDIO.open(sound) is sound
    assert sound.seconds == 0.5


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3", "AIFF"])
def test_formats(kind: str) -> None:
    sound = AUDIO.open(held(encoded(tone(), kind=kind)))
    assert sound.rate == 16_000
    assert len(sound.samples) == 8_000
    loud = np.abs(sound.samples[1000:-1000]).max()
    assert 0.45 < loud < 0.55


def test_content_is_that_of_the_samples() -> None:
    steps = np.round(tone() * 32767).astype(np.int16)
    wav, flac = (AUDIO.look(held(encoded(steps, kind=kind))) for kind in ("WAV", "FLAC"))
    assert wav == flac
    assert wav.alike is None
    assert wav.facts == {"seconds": 0.5, "rate": 16_000, "channels": 1}
    other_rate = AUDIO.look(held(encoded(tone(), rate=8_000)))
    assert len({wav.content, other_rate.content, AUDIO.look(held(encoded(tone(hertz=441)))).content}) == 3


@pytest.mark.parametrize("channels", [2, 8])
def test_channels_are_averaged(channels: int) -> None:
    samples = tone(channels=channels).astype(np.float32)
    look = AUDIO.look(held(encoded(samples, subtype="FLOAT")))
    assert look.remark == f"has {channels} channels: averaged"
    assert look.facts["channels"] == channels
    sound = AUDIO.open(held(encoded(samples, subtype="FLOAT")))
    np.testing.assert_allclose(sound.samples, samples.mean(axis=1), atol=1e-7)


def test_long_sounds_are_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    from luthier.data.media import audio

    value = held(encoded(tone(channels=2)))
    whole = AUDIO.open(value).samples
    monkeypatch.setattr(audio, "BLOCK", 333)
    np.testing.assert_array_equal(AUDIO.open(value).samples, whole)


def test_a_second_at_192_khz() -> None:
    sound = AUDIO.open(held(encoded(tone(1, 192_000), 192_000)))
    assert (sound.rate, len(sound.samples)) == (192_000, 192_000)
    low = sound.at(16_000)
    assert (low.rate, len(low.samples), low.samples.dtype) == (16_000, 16_000, np.dtype(np.float32))
    np.testing.assert_allclose(low.samples[500:-500], tone(1, 16_000)[500:-500], atol=1e-3)
    assert low.at(16_000) is low


def test_a_silent_sound_is_remarked() -> None:
    assert AUDIO.look(held(encoded(np.zeros(8_000)))).remark == "is silent"
    assert AUDIO.look(held(encoded(np.zeros((8_000, 2))))).remark == "has 2 channels: averaged; is silent"
    assert AUDIO.look(held(encoded(tone() * 0.01))).remark == ""


def test_a_sound_without_samples_is_refused() -> None:
    assert refusal(held(encoded(np.zeros(0)))) == "is empty: it has no samples"


def test_a_wav_that_is_cut_short_is_refused() -> None:
    whole = encoded(tone())
    assert refusal(held(whole[:8044])) == "is cut short: its header says 16,000 bytes of sound, and 8,000 are there"


def test_a_wav_from_a_pipe_does_not_know_its_length() -> None:
    whole = encoded(tone())
    at = whole.index(b"data") + 4
    piped = whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :]
    np.testing.assert_array_equal(AUDIO.open(held(piped)).samples, AUDIO.open(held(whole)).samples)


@pytest.mark.parametrize("kind", ["FLAC", "OGG"])
def test_other_formats_that_are_cut_short_are_refused(kind: str) -> None:
    whole = encoded(tone(), kind=kind)
    assert refusal(held(whole[: len(whole) // 2])).startswith(("is damaged: ", "is cut short: "))


def first_frame(mp3: bytes) -> int:
    """Bytes of the frame that counts the others."""
    return mp3.index(mp3[:2], 4)


def test_an_mp3_that_counts_its_frames_and_is_cut_short_is_refused() -> None:
    whole = encoded(tone(2), kind="MP3")
    tagged = b"ID3\x04\x00\x00\x00\x00\x02\x01" + bytes(257) + whole
    assert len(AUDIO.open(held(tagged)).samples) == 32_000
    for start, file in ((0, whole), (267, tagged)):
        said = refusal(held(file[: start + len(whole) // 2]))
        assert said.startswith("is cut short: its header says 32,000 samples, and ")


def test_of_an_mp3_that_does_not_count_its_frames_all_that_is_there_is_used() -> None:
    whole = encoded(np.concatenate([np.zeros(160_000), np.random.default_rng(0).normal(0, 0.3, 80_000)]), kind="MP3")
    uncounted = whole[first_frame(whole) :]
    assert b"Info" not in uncounted
    assert b"Xing" not in uncounted
    with soundfile.SoundFile(io.BytesIO(uncounted)) as file:
        assert file.frames > 250_000  # guessed
    assert len(AUDIO.open(held(uncounted)).samples) == pytest.approx(240_000, abs=3_000)


def test_a_corrupt_wav_is_refused() -> None:
    assert refusal(held(encoded(tone())[:20])).startswith("is damaged: Error in WAV")


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.flac", "a.ogg"])
def test_what_is_no_sound_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("These are words, and no sound.\n" * 100)
    assert refusal(str(tmp_path / name)) == "is no sound that can be read"
    (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(5_000))
    assert refusal(str(tmp_path / name)) == "is no sound that can be read"
    (tmp_path / name).write_bytes(b"")
    assert refusal(str(tmp_path / name)) == "is empty: it has 0 bytes"
    assert refusal(str(tmp_path / f"b{name}")) == "there is no such file"


def test_samples_that_are_no_numbers_are_refused() -> None:
    samples = tone().astype(np.float32)
    samples[100] = np.nan
    assert refusal(held(encoded(samples, subtype="FLOAT"))) == "is damaged: some samples are infinite or no numbers"


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_bytes_are_recognised(kind: str) -> None:
    assert AUDIO.recognises(encoded(tone(), kind=kind))
    assert not AUDIO.recognises(b"\x89PNG\r\n\x1a\n")
    assert not AUDIO.recognises(b"")


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_whatever_is_damaged_there_is_a_sound_or_a_sentence(kind: str) -> None:
    whole = encoded(tone(0.2), kind=kind)

    @settings(max_examples=60, deadline=None)
    @given(some.lists(some.tuples(some.integers(0, len(whole) - 1), some.integers(0, 255)), min_size=1, max_size=8))
    def damage(changes: list[tuple[int, int]]) -> None:
        bad = bytearray(whole)
        for place, value in changes:
            bad[place] = value
        with suppress(DataError):
            assert np.isfinite(AUDIO.open(held(bytes(bad))).samples).all()

    damage()


def test_without_the_packages_the_pip_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    monkeypatch.setitem(sys.modules, "soxr", None)
    with pytest.raises(ExtraError, match=r"'soundfile' is needed here .* pip install 'luthier\[audio\]'"):
        AUDIO.open("a.wav")
    with pytest.raises(ExtraError, match=r"'soxr' is needed here .* pip install 'luthier\[audio\]'"):
        Sound(np.zeros(5, dtype=np.float32), 8_000).at(16_000)
