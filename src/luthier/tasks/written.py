"""Targets that are written in free words: what all tasks have in common whose network writes."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from luthier.data.token_rows import UNSPACED
from luthier.errors import DataError
from luthier.evaluate.texts import SCORED, SUMS
from luthier.tasks import NO_BATCH, Prediction, Target

if TYPE_CHECKING:
    import torch

    from luthier.modalities import Modality
    from luthier.objectives import Objective

SAMPLE = 1000
"""Answers by which their script is told."""


class Written(Target, ABC):
    """Answers in free words."""

    smoothing: ClassVar[bool] = True
    max_new_tokens: int
    """Tokens that are written at most."""

    @property
    def model_config(self) -> dict[str, Any]:
        """Nothing: the network stays what it is."""
        return {}

    def encode(self, values: Sequence[Any]) -> np.ndarray:
        """Of each row an int64 array, the code points of its answer; the tokens to learn stand in the rows as they are encoded."""
        encoded = np.empty(len(values), dtype=object)
        for row, value in enumerate(values):
            encoded[row] = np.frombuffer(str(value).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64)
        return encoded

    def decode(self, targets: np.ndarray) -> list[str]:
        """The inverse of `encode`."""
        return [row.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass") for row in targets]

    def count(self, targets: np.ndarray) -> dict[str, int]:
        """How many answers there are."""
        return {"answers": len(targets)}

    def objective(self, label_smoothing: float = 0.0) -> Objective:
        """Cross entropy over the tokens of the answers."""
        from luthier.objectives.next_token import NextToken

        return NextToken(label_smoothing)

    def scores(self, logits: torch.Tensor, batch: Mapping[str, torch.Tensor] = NO_BATCH) -> torch.Tensor:
        """(rows, 3) float64: summed loss of the answer's tokens, their number, and how many are the likeliest."""
        from luthier.objectives.next_token import row_sums

        return row_sums(logits, batch)

    def completed(self, scores: Any, network: Any, modality: Modality, batch: Mapping[str, torch.Tensor]) -> np.ndarray:
        """(rows,) of `SCORED`: the scores, and what the network writes.

        Raises:
            TypeError: the modality cannot write.
        """
        from luthier.modalities import Writing

        if not isinstance(modality, Writing):
            raise TypeError(f"{type(modality).__name__} reads and does not write")
        return _table(scores, modality.write(network, batch, self.max_new_tokens))

    def predictions(self, scores: np.ndarray) -> list[Prediction]:
        """What was written, without confidence."""
        return [Prediction(text) for text in scores["text"]]

    def stored(self, scores: np.ndarray) -> dict[str, list[Any]]:
        """Loss, tokens and right tokens; what was written is the answer."""
        return {"scores": np.stack([scores[name] for name in SUMS], axis=1).tolist()}

    def restored(self, columns: Mapping[str, Sequence[Any]]) -> np.ndarray:
        """The inverse of `stored`."""
        return _table(np.array([list(row) for row in columns["scores"]]), list(columns["predicted"]))


def by_characters(values: Sequence[Any]) -> bool:
    """Whether texts are in a script without spaces between words.

    Raises:
        DataError: there is nothing to read.
    """
    some = [str(value) for value in values[:SAMPLE]]
    if not any(some):
        raise DataError("There is no answer to learn from in the training rows. Are these the right columns?")
    return 2 * sum(len(UNSPACED.findall(one)) for one in some) > sum(map(len, some))


def _table(sums: Any, texts: Sequence[str]) -> np.ndarray:
    table = np.empty(len(texts), dtype=SCORED)
    for column, name in zip(np.asarray(sums).reshape(-1, 3).T, SUMS, strict=True):
        table[name] = column
    table["text"] = texts
    return table
