"""Sounds, decoded by libsndfile (soundfile) to one channel of samples, and resampled by soxr."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from luthier.data.media import Look, Medium
from luthier.data.media.stored import stream
from luthier.errors import DataError
from luthier.extras import need

BLOCK = 1 << 18
"""Frames decoded at once: channels are averaged block by block, and a length that a damaged header claims is never believed."""

SILENCE = 1e-4
"""Of full scale: -80 dB, three steps of 16 bits."""

ENDLESS = 0x7FFF0000
"""Bytes; a larger length in a header is what programs write that did not know it yet."""

FIRST = 64
"""Bytes of an mp3 in which the mark of such a frame begins: at most 36 behind its start."""

UNKNOWN = 1
"""libsndfile's SF_ERR_UNRECOGNISED_FORMAT."""


@dataclass(frozen=True, eq=False)
class Sound:
    """A sound of one channel."""

    samples: np.ndarray
    """(samples,) float32; full scale is -1 to 1."""
    rate: int
    """Samples a second."""

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / self.rate

    def at(self, rate: int) -> Sound:
        """The same sound with another number of samples a second.

        Raises:
            ExtraError: soxr is not installed.
        """
        if rate == self.rate:
            return self
        soxr = need("soxr", extra="audio")
        return Sound(np.asarray(soxr.resample(self.samples, self.rate, rate), dtype=np.float32), rate)


class Audio(Medium):
    """Sounds. `open` gives a `Sound`: channels are averaged, the rate stays."""

    name = "audio"
    endings = frozenset((".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".au"))
    measures = ("seconds", "rate", "channels")

    def open(self, value: Any) -> Sound:
        """See `Medium.open`."""
        return _decode(value)[0]

    def look(self, value: Any) -> Look:
        """See `Medium.look`. The content is that of the averaged samples."""
        sound, channels = _decode(value)
        digest = hashlib.blake2b(f"{sound.rate} ".encode(), digest_size=16)
        digest.update(sound.samples.astype("<f4").tobytes())
        facts = {"seconds": sound.seconds, "rate": sound.rate, "channels": channels}
        return Look(digest.hexdigest(), None, facts, "; ".join(_remarks(sound, channels)))

    def recognises(self, data: bytes) -> bool:
        """See `Medium.recognises`."""
        soundfile = need("soundfile", extra="audio")
        try:
            with stream({"bytes": data}) as raw, soundfile.SoundFile(raw):
                return True
        except (DataError, soundfile.SoundFileError):
            return False


def _decode(value: Any) -> tuple[Sound, int]:
    """The sound, and how many channels it had."""
    if isinstance(value, Sound):
        return value, 1
    soundfile = need("soundfile", extra="audio")
    with stream(value) as raw:
        try:
            counted = _counts_its_frames(raw)
            with soundfile.SoundFile(raw) as file:
                sound = Sound(_averaged(file), file.samplerate)
                _check_whole(file, len(sound.samples), counted)
                channels: int = file.channels
        except soundfile.LibsndfileError as wrong:
            raise DataError(_damage(wrong)) from wrong
    if not len(sound.samples):
        raise DataError("is empty: it has no samples")
    if not np.isfinite(sound.samples).all():
        raise DataError("is damaged: some samples are infinite or no numbers")
    return sound, channels


def _averaged(file: Any) -> np.ndarray:
    parts = [np.zeros(0, dtype=np.float32)]
    while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
        parts.append(block.mean(axis=1) if file.channels > 1 else block[:, 0])
    return np.concatenate(parts)


def _check_whole(file: Any, samples: int, counted: bool) -> None:
    """Refuse a file that ends before its header says; the length of an mp3 that does not count its frames is a guess."""
    claimed = re.search(r"^data *: (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
    if claimed and int(claimed[1]) < ENDLESS:
        raise DataError(
            f"is cut short: its header says {int(claimed[1]):,} bytes of sound, and {int(claimed[2]):,} are there"
        )
    if samples < file.frames and (counted or file.format != "MP3"):
        raise DataError(f"is cut short: its header says {file.frames:,} samples, and {samples:,} can be read")


def _counts_its_frames(raw: BinaryIO) -> bool:
    """Whether the first frame of an mp3, behind its ID3v2 tag, is one that tells how many there are (Xing's, also called Info)."""
    start = raw.read(10)
    size = sum((byte & 0x7F) << shift for byte, shift in zip(start[6:], (21, 14, 7, 0), strict=False))
    raw.seek(10 + size if start.startswith(b"ID3") else 0)
    first = raw.read(FIRST)
    raw.seek(0)
    return b"Xing" in first or b"Info" in first


def _damage(wrong: Any) -> str:
    """An error of libsndfile (`LibsndfileError`) as a clause."""
    said = wrong.error_string.removeprefix("Error : ").rstrip(".")
    return "is no sound that can be read" if wrong.code == UNKNOWN else f"is damaged: {said}"


def _remarks(sound: Sound, channels: int) -> list[str]:
    silent = float(np.abs(sound.samples).max()) < SILENCE
    several = [f"has {channels} channels: averaged"] if channels > 1 else []
    return [*several, "is silent"] if silent else several
