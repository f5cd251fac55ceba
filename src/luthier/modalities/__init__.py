"""What a model reads: text now; images and audio by the same contract.

After `encode` nobody asks which modality a row came from: the rest of luthier sees lists of numbers and a length.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


FIRST_VIRTUAL = 1 << 30
"""Ids from here on stand for tokens that no vocabulary has and whose vectors are learned; no vocabulary reaches so far."""


@dataclass(frozen=True)
class Encoded:
    """Encoded rows: a column per model input, and each row's length before and after cutting."""

    columns: Mapping[str, Sequence[Sequence[int]]]
    lengths: Sequence[int]
    """Length of each row as encoded, in the modality's unit (tokens)."""
    full_lengths: Sequence[int]
    """Length each row would have had without the limit."""


class Modality(ABC):
    """How raw values become a model's input."""

    unit: str
    """What a length counts: `tokens`, `seconds`, `pixels`."""

    @property
    @abstractmethod
    def limit(self) -> int:
        """The longest row that is kept whole."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Changes whenever the encoding of some row could change; the key of the encoded rows' cache."""

    @abstractmethod
    def encode(self, values: Sequence[str]) -> Encoded:
        """Encode rows, each cut to `limit`."""

    @abstractmethod
    def collate(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, torch.Tensor]:
        """Pad rows to the longest among them: tensors of shape (rows, length), attention mask included."""

    def unknown(self, columns: Mapping[str, Sequence[Any]]) -> float:
        """Share of encoded rows that the model has no word for, 0 to 1; 0 where it cannot tell."""
        return 0.0

    @abstractmethod
    def save(self, folder: str) -> None:
        """Write what a plain transformers pipeline needs to read the same input (the tokenizer) into `folder`."""
