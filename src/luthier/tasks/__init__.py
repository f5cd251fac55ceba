"""What is predicted. A member is one file with a subclass of `Task` and one line in `TASKS`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luthier.registry import Plugin, Registry

if TYPE_CHECKING:
    import numpy as np
    import torch

    from luthier.objectives import Objective


@dataclass(frozen=True)
class Prediction:
    """What a model says of one row."""

    label: Any
    """A label as the data has it (str or int), or a list of them where rows have several."""
    confidence: float
    """Probability of the answer, 0 to 1; of several decisions, that of the least sure one."""
    probabilities: dict[str, float]
    """By label name."""


class Task(Plugin, ABC):
    """What is predicted; its fields are its settings."""

    @abstractmethod
    def learn(self, values: Sequence[Any]) -> Target:
        """Learn what can be predicted from the label column of the training rows, and of no others.

        Raises:
            DataError: the labels cannot be learned (a single class, more classes than rows).
        """

    @abstractmethod
    def restore(self, facts: Mapping[str, Any]) -> Target:
        """The inverse of `Target.facts`."""


class Target(ABC):
    """What a model was taught to predict: encodes labels, owns the loss, reads scores back."""

    @property
    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What must be kept in the run folder to make this target again (JSON)."""

    @property
    @abstractmethod
    def model_config(self) -> dict[str, Any]:
        """Keyword arguments for the transformers configuration, such as `num_labels` and `id2label`."""

    @abstractmethod
    def encode(self, values: Sequence[Any]) -> np.ndarray:
        """Labels as numbers, one row each.

        Raises:
            DataError: a label that was not learned, with where it stands and what is known.
        """

    @abstractmethod
    def objective(self, label_smoothing: float = 0.0) -> Objective:
        """The loss to train with."""

    @abstractmethod
    def scores(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits of shape (rows, outputs) to probabilities of the same shape."""

    @abstractmethod
    def metrics(self, targets: np.ndarray, scores: np.ndarray) -> dict[str, float]:
        """Every figure by name, higher is better but for those in `lower_is_better`."""

    @abstractmethod
    def count(self, targets: np.ndarray) -> dict[str, int]:
        """How many rows have what, for the data's summary."""

    @abstractmethod
    def decode(self, targets: np.ndarray) -> list[Any]:
        """The inverse of `encode`."""

    @abstractmethod
    def predictions(self, scores: np.ndarray) -> list[Prediction]:
        """One prediction a row."""


TASKS: Registry[Task] = Registry("task", "luthier.tasks", {"classify": "luthier.tasks.classify:Classify"})
