"""Sound, by a transformers feature extractor."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import SequenceFeatureExtractor

from luthier.data.media import MEDIA, opened
from luthier.modalities import Encoded, Modality
from luthier.models.shorten import PER_SECOND

if TYPE_CHECKING:
    from luthier.data.media.audio import Sound

LONGEST = 30.0
"""Seconds of the longest row where neither the recipe nor the extractor says less: the window of Whisper
(https://arxiv.org/abs/2212.04356)."""
SHORTEST = 0.05
"""Seconds below which silence is added: less than two windows of 25 ms give no spectrum that can be normalised, nor a position."""
MARGIN = 1
"""Seconds behind the cut that are resampled too, so that the filter does not feel the cut."""
MASK = "attention_mask"


class Audio(Modality):
    """Sound as the model's own feature extractor makes it: log-mel spectrograms, or normalised samples.

    A row is encoded alone, as a pipeline with one sound at a time does it, and then padded by the extractor, so that its numbers do not
    depend on its neighbours.

    Args:
        extractor: opened by AutoFeatureExtractor.
        seconds: of the longest row that is kept whole; None for the extractor's own window, or 30 where it has none. Whisper's windows
            are whole seconds: a fraction is rounded up. No more than the window is kept.
    """

    unit = "seconds"
    together = 50

    def __init__(self, extractor: SequenceFeatureExtractor, seconds: float | None = None) -> None:
        fit = WINDOWS.get(type(extractor).__name__, _free)
        fitted = fit(extractor, math.inf if seconds is None else seconds)
        self.extractor, self._seconds, self._window = fitted.extractor, fitted.seconds, fitted.window
        self._name = self.extractor.model_input_names[0]
        silence = self._features(np.zeros(self.extractor.sampling_rate, dtype=np.float32))
        self._bins = silence[self._name].shape[1:]
        # a mask over single samples would only say how many there are, which the extractor sees when it pads
        self._stored = (self._name, MASK) if MASK in silence and self._bins else (self._name,)

    @property
    def limit(self) -> float:
        """Seconds of the longest row that is kept whole."""
        return self._seconds

    @property
    def positions(self) -> int:
        """Positions of 20 ms in the longest row that the model gets, padding to a fixed window included."""
        return math.ceil((self._window or self._seconds) * PER_SECOND)

    @property
    def fingerprint(self) -> str:
        """Hash of the extractor's class and settings and of the longest row."""
        parts = type(self.extractor).__name__, sorted(self.extractor.to_dict().items()), self._seconds
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def given(self, value: Any) -> Any:
        """The path of a file, or what its medium gives when it opens one.

        Raises:
            DataError: it is neither, or cannot be read.
        """
        return opened(value, "audio")

    def encode(self, values: Sequence[Any]) -> Encoded:
        """Features of each sound, flat float32, under the extractor's own name, and its mask where it makes one of frames.

        A length counts positions of 20 ms; it is the same for all rows where the extractor fills up to a fixed window.
        """
        medium = MEDIA["audio"]
        columns: dict[str, Any] = {name: [] for name in self._stored}
        lengths, full_lengths = [], []
        for value in values:
            sound = medium.open(value)
            features = self._features(self._resampled(sound))
            for name in self._stored:
                columns[name].append(features[name].ravel())
            kept, whole = self._lengths(len(sound.samples), sound.rate)
            lengths.append(kept)
            full_lengths.append(whole)
        return Encoded(columns, lengths, full_lengths)

    def collate(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, torch.Tensor]:
        """Pad by the extractor to the longest row, with `attention_mask` where it makes one.

        Float32 of shape (rows, samples), (rows, frames, bins) or Whisper's (rows, bins, frames).
        """
        rows = {self._name: [np.asarray(row, dtype=np.float32).reshape(-1, *self._bins) for row in columns[self._name]]}
        rows |= {name: [np.asarray(row, dtype=np.int32) for row in columns[name]] for name in self._stored[1:]}
        return dict(self.extractor.pad(rows, padding=True, return_tensors="pt"))

    def sizes(self, lengths: np.ndarray) -> np.ndarray:
        """In seconds."""
        return lengths / PER_SECOND

    def spectrogram(self, row: Mapping[str, Any]) -> np.ndarray:
        """See `Modality.spectrogram`; models that read samples have none."""
        if not self._bins:
            return super().spectrogram(row)
        features: np.ndarray = np.asarray(row[self._name]).reshape(-1, *self._bins)
        return features.T if len(features) == self.extractor.feature_size else features  # Whisper's have bins first

    def save(self, folder: str) -> None:
        """Write preprocessor_config.json, with the window that `encode` uses."""
        self.extractor.save_pretrained(folder)

    def _features(self, samples: np.ndarray) -> dict[str, np.ndarray]:
        """What the extractor makes of one sound."""
        made = self.extractor([samples], sampling_rate=self.extractor.sampling_rate, return_tensors="np")
        return {name: made[name][0].astype(np.uint8 if name == MASK else np.float32) for name in made}

    def _resampled(self, sound: Sound) -> np.ndarray:
        """Samples at the extractor's rate, no longer than the longest row and no shorter than `SHORTEST`."""
        target = self.extractor.sampling_rate
        near = replace(sound, samples=sound.samples[: math.ceil((self._seconds + MARGIN) * sound.rate)])
        cut = near.at(target).samples[: round(self._seconds * target)]
        return np.pad(cut, (0, max(0, math.ceil(SHORTEST * target) - len(cut))))

    def _lengths(self, samples: int, rate: int) -> tuple[int, int]:
        """Positions as encoded, and as they would be without cutting."""
        whole = math.ceil(max(samples, SHORTEST * rate) * PER_SECOND / rate)
        kept = min(whole, math.ceil(self._seconds * PER_SECOND))
        encoded = self.positions if self._window else kept
        return encoded, encoded + whole - kept


@dataclass(frozen=True)
class Fitted:
    """An extractor for rows of a certain length: seconds that are kept, and the window that all rows are filled up to, if any."""

    extractor: Any
    seconds: float
    window: float | None


def _free(extractor: Any, seconds: float) -> Fitted:
    return Fitted(extractor, LONGEST if math.isinf(seconds) else seconds, None)


def _whisper(extractor: Any, seconds: float) -> Fitted:
    """A window of whole seconds, set as the constructor does, so that the saved extractor reads the same."""
    chunk = math.ceil(min(seconds, extractor.chunk_length))
    return Fitted(type(extractor).from_dict(extractor.to_dict() | {"chunk_length": chunk}), chunk, chunk)


def _ast(extractor: Any, seconds: float) -> Fitted:
    """`max_length` frames of 25 ms every 10 ms, whatever is kept: the network's positions are made for that many."""
    window = ((extractor.max_length - 1) * AST_HOP + AST_FRAME) / extractor.sampling_rate
    return Fitted(extractor, min(seconds, window), window)


AST_FRAME, AST_HOP = 400, 160
"""Samples of a frame and from one frame to the next, written as numbers in transformers' ASTFeatureExtractor."""
WINDOWS: Mapping[str, Callable[[Any, float], Fitted]] = {
    "WhisperFeatureExtractor": _whisper,
    "ASTFeatureExtractor": _ast,
}
"""Extractors that fill every row up to a fixed window; all others leave rows as long as they are."""
