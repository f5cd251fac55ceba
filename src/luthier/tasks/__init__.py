"""What is predicted. A member is one file with a subclass of `Task` and one line in `TASKS`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from luthier.registry import Plugin, Registry

if TYPE_CHECKING:
    import numpy as np
    import torch

    from luthier.evaluate.judge import Judge
    from luthier.modalities import Modality
    from luthier.objectives import Objective

Labels = Literal["classes", "numbers", "tags", "texts", "none", "answers", "transcripts"]
NO_BATCH: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Prediction:
    """What a model says of one row."""

    label: Any
    """A label as the data has it (a str or a number), a list of them where rows have several, or a mapping of column to
    number, or of parts of one answer."""
    confidence: float | None = None
    """Probability of the answer, 0 to 1; of several decisions, that of the least sure one. None where there is none, as of a number."""
    probabilities: dict[str, float] = field(default_factory=dict)
    """By label name."""


@dataclass(frozen=True)
class Linear:
    """A fitted linear model."""

    scores: Callable[[Any], Any]
    """Scores of rows, as a target has them, from their features."""
    parameters: int
    """How many numbers were fitted."""


@dataclass(frozen=True)
class Piece:
    """Some of the words of a row, to show people where an answer about parts of a row is right."""

    text: str
    true: str = ""
    """What the words are by the label; empty for nothing."""
    answered: str = ""
    """What they are by the answer."""
    right: bool = False
    """Whether label and answer give just these words the same."""


@dataclass(frozen=True)
class About:
    """What people and the Hugging Face hub should know of a target."""

    kind: str
    """In a few words, such as `two classes`."""
    answer: str
    """What the model answers with, to stand behind "with": `one of 2 labels: bad, good`."""
    pipeline: str
    """transformers' name of such a model; `{medium}` stands for what it reads: `{medium}-classification`."""
    peft: str = ""
    """PEFT's class that opens an adapter of such a model; empty where it has none."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the pipeline beside the model."""
    reading: str = "{call}"
    """Python that makes the answer of what a call of the pipeline returns."""
    asked: str = ""
    """Python of what the pipeline is called with; empty for a row as its medium has it."""
    plain: str = ""
    """Python that asks a plain model in `{folder}`, where transformers has no pipeline that does."""
    apart: About | None = None
    """What is to be known instead where the network has an encoder and a decoder; None for the same."""


class Task(Plugin, ABC):
    """What is predicted; its fields are its settings."""

    labels: ClassVar[Labels] = "classes"
    """How the label column is read: as names of `classes`, as `numbers`, as lists of `tags`, one for each token, or
    as `texts` in free words, as `answers` that stand in the row, as `transcripts` of recordings, or not at all (`none`)."""

    def refuse(self, medium: str) -> None:
        """Look at what the rows are: a key of `luthier.recipe.data.INPUTS`.

        Raises:
            DataError: the task is not for such rows.
        """

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
    """What a model was taught to predict: encodes labels, owns the loss, reads scores back.

    Encoded labels and scores hold one entry a row (`luthier.evaluate.judge.PerRow`).
    """

    smoothing: ClassVar[bool] = False
    """Whether `label_smoothing` says anything about such a target."""

    reads: ClassVar[str] = ""
    """How the network reads rows, a key of `luthier.inputs.ENTRANCES`; empty where what they are says it."""

    wording: str | None = None
    """What the task says is written around each row of input; None where it says nothing."""

    languages: Mapping[str, str] = MappingProxyType({})
    """What the task says of languages, by its keys."""

    calibration: str = ""
    """What `calibrated` did to scores and answers, in a few words; empty for nothing."""

    def on(self, medium: str) -> Target:
        """The same for rows of a medium, a key of `luthier.recipe.data.INPUTS`, where that changes what reads them."""
        return self

    @property
    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What must be kept in the run folder to make this target again (JSON)."""

    @property
    @abstractmethod
    def model_config(self) -> dict[str, Any]:
        """Keyword arguments for the transformers configuration, such as `num_labels` and `id2label`."""

    @property
    @abstractmethod
    def about(self) -> About:
        """What people and the hub should know."""

    @property
    @abstractmethod
    def judge(self) -> Judge:
        """Measures how good scores are."""

    @abstractmethod
    def encode(self, values: Sequence[Any]) -> np.ndarray:
        """Labels as numbers, one row each.

        Raises:
            DataError: a label that was not learned, with where it stands and what is known.
        """

    def remarks(self, values: Sequence[Any], numbers: Sequence[int]) -> list[str]:
        """Sentences on labels that are read otherwise than they stand.

        Args:
            values: labels as the data have them.
            numbers: of their rows, from 1, for the sentences.

        Raises:
            DataError: the recipe refuses such labels.
        """
        return []

    @abstractmethod
    def objective(self, label_smoothing: float = 0.0) -> Objective:
        """The loss to train with.

        Raises:
            RecipeError: `label_smoothing` is not 0 and the target has no `smoothing`.
        """

    @abstractmethod
    def scores(self, logits: torch.Tensor, batch: Mapping[str, torch.Tensor] = NO_BATCH) -> Any:
        """What the network says of each row, from its output.

        Args:
            logits: rows on the first axis.
            batch: that it was called with, and what only targets read (`target_...`).

        Returns:
            A tensor with rows on its first axis, or a list of tensors, one a row, where they differ in size.
        """

    def completed(self, scores: Any, network: Any, modality: Modality, batch: Mapping[str, torch.Tensor]) -> Any:
        """Scores with what takes many calls of the network, such as texts that it writes; made at the end of a run and for predictions.

        Args:
            scores: of a batch, as `scores` gives them, as numpy arrays.
            network: that gave them.
            modality: of the rows.
            batch: that it was called with.
        """
        return scores

    def calibrated(self, temperature: float, thresholds: Mapping[str, float]) -> Target | None:
        """The same with scores made less or more sure, and answers given from other probabilities on; None where scores are none.

        Args:
            temperature: that the network's output is divided by (Guo et al. 2017), above 0.
            thresholds: by label, the probability from which it is answered.
        """
        return None

    def linear(self, features: Any, targets: np.ndarray, strength: float) -> Linear | None:
        """A linear model of features of the rows, as an opponent that a network should beat; None where there is none for the task.

        Args:
            features: of the training rows, (rows, features), sparse.
            targets: of these rows, encoded.
            strength: of the regularisation, above 0; 1 is scikit-learn's default.
        """
        return None

    @abstractmethod
    def count(self, targets: np.ndarray) -> dict[str, int]:
        """How many rows have what, for the data's summary."""

    @abstractmethod
    def decode(self, targets: np.ndarray) -> list[Any]:
        """The inverse of `encode`."""

    @abstractmethod
    def predictions(self, scores: Any) -> list[Prediction]:
        """One prediction a row, of scores as numpy arrays."""

    def told(self, prediction: Prediction, row: Any) -> Prediction:
        """A prediction as a person is told it, with what only the row shows."""
        return prediction

    def pieces(self, row: Any, label: Any, answer: Any) -> list[Piece]:
        """A row in pieces by what its label and its answer say of them; none where they are about the whole row.

        Args:
            row: as it is read.
            label: as `decode` gives it.
            answer: as `predictions` give it.
        """
        return []

    def stored(self, scores: Any) -> dict[str, list[Any]]:
        """Columns of predictions.parquet, beside the answer, from which `restored` makes the scores again."""
        return {"scores": [row.tolist() for row in scores]}

    def restored(self, columns: Mapping[str, Sequence[Any]]) -> Any:
        """The inverse of `stored`; `columns` also holds `predicted`, the answers."""
        import numpy as np

        return [np.asarray(row, dtype=np.float32) for row in columns["scores"]]


TASKS: Registry[Task] = Registry(
    "task",
    "luthier.tasks",
    {
        "align": "luthier.tasks.align:Align",
        "answer": "luthier.tasks.answer:Answer",
        "classify": "luthier.tasks.classify:Classify",
        "generate": "luthier.tasks.generate:Generate",
        "match": "luthier.tasks.match:Match",
        "regress": "luthier.tasks.regress:Regress",
        "tag": "luthier.tasks.tag:Tag",
        "transcribe": "luthier.tasks.transcribe:Transcribe",
    },
)
