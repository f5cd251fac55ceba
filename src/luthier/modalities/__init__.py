"""What a model reads: text, images and audio by one contract.

After `encode` nobody asks which modality a row came from: the rest of luthier sees lists of numbers and a length.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.errors import DataError, RecipeError

if TYPE_CHECKING:
    import numpy as np
    import torch


FIRST_VIRTUAL = 1 << 30
"""Ids from here on stand for tokens that no vocabulary has and whose vectors are learned; no vocabulary reaches so far."""


@dataclass(frozen=True)
class Encoded:
    """Encoded rows: a column per model input, and each row's length before and after cutting."""

    columns: Mapping[str, Sequence[Any]]
    lengths: Sequence[int]
    """Length of each row as encoded, in the modality's unit (tokens)."""
    full_lengths: Sequence[int]
    """Length each row would have had without the limit."""


class Modality(ABC):
    """How raw values become a model's input."""

    unit: ClassVar[str]
    """What a length counts, and what `data.max_length` is in."""

    windows: ClassVar[str] = ""
    """The column of encoded rows with the lengths of the sequences that a row is; empty where each is one sequence."""

    together: ClassVar[int] = 1000
    """Rows that are encoded at a time."""

    @property
    @abstractmethod
    def limit(self) -> float:
        """The longest row that is kept whole."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Changes whenever the encoding of some row could change; the key of the encoded rows' cache."""

    def given(self, value: Any) -> Any:
        """A row that a person gives to be predicted, as `encode` takes it.

        Raises:
            DataError: it is of another type.
        """
        if not isinstance(value, str):
            raise DataError(f"A model of texts predicts a text or a list of texts; got {type(value).__name__}.")
        return value

    def rows(self, given: Any) -> list[Any]:
        """What a person gives to be predicted, as rows: the members of a list or tuple, else one."""
        return list(given) if isinstance(given, list | tuple) else [given]

    @abstractmethod
    def encode(self, values: Sequence[Any]) -> Encoded:
        """Encode rows, each cut to `limit`."""

    @abstractmethod
    def collate(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, torch.Tensor]:
        """The network's inputs, rows first; what has a length is padded to the longest row, with its attention mask."""

    def sizes(self, lengths: np.ndarray) -> np.ndarray:
        """Lengths, which count positions, in `unit`."""
        return lengths

    def spectrogram(self, row: Mapping[str, Any]) -> np.ndarray:
        """A view of an encoded row, freshly made, as its spectrogram: float32 of shape (frames, bins), to be changed in place.

        Raises:
            RecipeError: the model reads none.
        """
        raise RecipeError(
            "data.augment: spectrogram is for models that read spectrograms, and this one does not. Take noise, gain or shift."
        )

    def pack(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, torch.Tensor]:
        """The network's inputs with all rows joined to one, in which none sees another.

        Raises:
            RecipeError: rows of this kind cannot be joined.
        """
        raise RecipeError(
            "data.packing joins rows that a language model learns to write (task: generate); leave it out here."
        )

    def unknown(self, columns: Mapping[str, Sequence[Any]]) -> float:
        """Share of encoded rows that the model has no word for, 0 to 1; 0 where it cannot tell."""
        return 0.0

    @abstractmethod
    def save(self, folder: str) -> None:
        """Write what a plain transformers pipeline needs to read the same input (its tokenizer or processor) into `folder`."""


class Writing(Modality):
    """A modality whose network answers with text."""

    @abstractmethod
    def write(self, network: Any, batch: Mapping[str, torch.Tensor], tokens: int) -> list[str]:
        """What the network writes for each row, always the likeliest next token.

        Args:
            network: in evaluation mode, on the device of the batch.
            batch: encoded rows; what they answer is passed over.
            tokens: to be written at most.
        """
