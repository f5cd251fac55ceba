"""How alike two texts are, as a score or as whether they belong together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from luthier.errors import DataError, RecipeError
from luthier.evaluate.retrieval import RetrievalJudge, normed
from luthier.evaluate.similarity import SimilarityJudge
from luthier.tasks import NO_BATCH, About, Labels, Linear, Prediction, Target, Task
from luthier.tasks.regress import SINGLE, Numbers, Output, Regress

if TYPE_CHECKING:
    import torch

    from luthier.evaluate.judge import Judge
    from luthier.objectives import Objective

Kind = Literal["cross", "twin"]


class Match(Task):
    """Say how alike two texts are: labels are scores, or 1 where they belong together and 0 where they do not.

    Where all labels are 1, a twin learns to find the second text of each row among those of the others.
    """

    name: ClassVar[str] = "match"
    labels: ClassVar[Labels] = "numbers"

    kind: Kind = "cross"
    """`cross` reads both texts together and is the more accurate; `twin` makes a vector of each text alone, so that vectors of many
    texts can be kept and searched (Reimers & Gurevych 2019, "Sentence-BERT")."""

    def refuse(self, medium: str) -> None:
        """Rows must be pairs of texts."""
        if medium != "pair":
            raise DataError(
                f"Task match compares two texts, and these rows are {medium}. Say which columns hold them: "
                "data: {columns: {text: sentence1, pair: sentence2}}."
            )

    def learn(self, values: Sequence[Any]) -> Matches:
        """Learn what scores the training rows have; only 0 and 1 say whether texts belong together."""
        if values and isinstance(values[0], Mapping):
            raise DataError("Task match predicts one number a row; data.columns.label names several columns.")
        if set(values) == {1}:
            return self._together()
        numbers = Regress().learn(values)
        return KINDS[self.kind](numbers, float(min(values)), float(max(values)), set(values) == {0, 1})

    def _together(self) -> Matches:
        if self.kind == "cross":
            raise DataError(
                "All training pairs have the label 1, and a cross-encoder learns from pairs that do not belong together too. Add some "
                "with the label 0, or write task: {name: match, kind: twin}, which takes the texts of other rows for them."
            )
        return Searched(Numbers([Output(SINGLE, 1.0, 1.0, 1.0, [])], "mse"), 1.0, 1.0, binary=True)

    def restore(self, facts: Mapping[str, Any]) -> Matches:
        """Make the target of an earlier run again."""
        return KINDS[facts["network"]](Regress().restore(facts), facts["low"], facts["high"], facts["binary"])


class Matches(Target, ABC):
    """A number for two texts.

    Args:
        numbers: reads labels and writes answers.
        low: least score of the training rows.
        high: greatest score of the training rows.
        binary: whether scores are 0 and 1 alone.
    """

    network: ClassVar[str]

    def __init__(self, numbers: Numbers, low: float, high: float, binary: bool) -> None:
        self.numbers = numbers
        self.low = low
        self.high = high
        self.binary = binary

    @property
    def facts(self) -> dict[str, Any]:
        """The network, and what the training rows have shown."""
        return self.numbers.facts | {
            "network": self.network,
            "low": self.low,
            "high": self.high,
            "binary": self.binary,
        }

    @property
    def judge(self) -> Judge:
        """Of similarities."""
        return SimilarityJudge(self.binary)

    def encode(self, values: Sequence[Any]) -> np.ndarray:
        """(rows, 1) float64.

        Raises:
            DataError: a score is neither 0 nor 1 where the training rows have no others.
        """
        targets = self.numbers.encode(values)
        odd = np.flatnonzero(self.binary & ~np.isin(targets[:, 0], (0, 1)))
        if len(odd):
            raise DataError(
                f"Row {odd[0] + 1} has the score {targets[odd[0], 0]:g}, and the training rows say only 0 or 1. Correct it, or add "
                "training rows with other scores."
            )
        return targets

    def decode(self, targets: np.ndarray) -> list[Any]:
        """The inverse of `encode`: a float a row."""
        return self.numbers.decode(targets)

    def count(self, targets: np.ndarray) -> dict[str, int]:
        """Rows in each range of scores."""
        if self.binary:
            return {str(score): int((targets[:, 0] == score).sum()) for score in (0, 1)}
        return self.numbers.count(targets)

    def objective(self, label_smoothing: float = 0.0) -> Objective:
        """The loss of the network."""
        if label_smoothing:
            raise RecipeError(
                f"train.label_smoothing is {label_smoothing:g}: it spreads a row's label over all classes, and task match has none. "
                "Leave it out."
            )
        return self.loss()

    def linear(self, features: Any, targets: np.ndarray, strength: float) -> Linear | None:
        """Ridge regression of the scores."""
        return self.numbers.linear(features, targets, strength)

    @abstractmethod
    def loss(self) -> Objective:
        """What training minimises."""

    def predictions(self, scores: np.ndarray) -> list[Prediction]:
        """The scores, without confidence."""
        return self.numbers.predictions(scores)

    def stored(self, scores: np.ndarray) -> dict[str, list[Any]]:
        """Nothing: the answers are the scores."""
        return self.numbers.stored(scores)

    def restored(self, columns: Mapping[str, Sequence[Any]]) -> np.ndarray:
        """The answers: (rows, 1) float32."""
        return self.numbers.restored(columns)


class Crossed(Matches):
    """One network reads both texts together (a cross-encoder)."""

    network: ClassVar[str] = "cross"

    @property
    def model_config(self) -> dict[str, Any]:
        """One output; of pairs that belong together or not, transformers' pipelines take the sigmoid."""
        own = {"problem_type": "multi_label_classification"} if self.binary else {}
        return self.numbers.model_config | own

    @property
    def about(self) -> About:
        """A score, or how probable it is that the texts belong together."""
        if not self.binary:
            return replace(self.numbers.about, kind=SCORED, answer=SCORED)
        return About(
            kind="whether two texts belong together",
            answer="the probability that they belong together",
            pipeline="{medium}-classification",
            peft="AutoPeftModelForSequenceClassification",
            options={"function_to_apply": "sigmoid"},
            reading='{call}[0]["score"]',
        )

    def loss(self) -> Objective:
        """Squared error of scores, cross entropy of yes and no."""
        from luthier.objectives.supervised import LabelCrossEntropy

        return LabelCrossEntropy(None, 0.0) if self.binary else self.numbers.objective()

    def scores(self, logits: torch.Tensor, batch: Mapping[str, torch.Tensor] = NO_BATCH) -> torch.Tensor:
        """(rows, 1) float32: in the user's unit, or the probability that they belong together."""
        return logits.float().sigmoid() if self.binary else self.numbers.scores(logits)


class Vectored(Matches, ABC):
    """One network makes a vector of each text (a bi-encoder); their cosine says how alike they are."""

    reads: ClassVar[str] = "twins"

    @property
    def model_config(self) -> dict[str, Any]:
        """Nothing: the network has no head."""
        return {}

    @property
    def about(self) -> About:
        """A score by the cosine of vectors, which plain transformers give for each text."""
        cosine = "the cosine of their vectors"
        return About(
            kind="whether two texts belong together" if self.binary else SCORED,
            answer=f"{cosine}, from -1 to 1" if self.binary else f"{SCORED}, by {cosine}",
            pipeline="feature-extraction",
            peft="AutoPeftModelForFeatureExtraction",
            asked='["A text to read.", "Another one."]',
            reading="[[sum(column) / len(column) for column in zip(*one[0])] for one in {call}]",
        )


class Twinned(Vectored):
    """A bi-encoder whose cosines are learned from labels."""

    network: ClassVar[str] = "twin"

    def loss(self) -> Objective:
        """Of cosines."""
        from luthier.objectives.similarity import Contrastive, CosineRegression

        return Contrastive() if self.binary else CosineRegression(self.low, self.high)

    def scores(self, logits: torch.Tensor, batch: Mapping[str, torch.Tensor] = NO_BATCH) -> torch.Tensor:
        """(rows, 1) float32: the cosine; of scores in the user's unit, where the least is 0 and the greatest 1."""
        from luthier.objectives.similarity import cosines

        found = cosines(logits).unsqueeze(1)
        return found if self.binary else self.low + (self.high - self.low) * found


class Searched(Vectored):
    """A bi-encoder of pairs that all belong together: the second text of each row is to be found among those of the others."""

    network: ClassVar[str] = "search"

    @property
    def judge(self) -> Judge:
        """Of searches."""
        return RetrievalJudge()

    def linear(self, features: Any, targets: np.ndarray, strength: float) -> None:
        """None: all pairs belong together."""
        return

    def encode(self, values: Sequence[Any]) -> np.ndarray:
        """(rows, 1) float64 of 1.

        Raises:
            DataError: a pair does not belong together, and so cannot be searched for.
        """
        targets = super().encode(values)
        apart = np.flatnonzero(targets[:, 0] != 1)
        if len(apart):
            raise DataError(
                f"Row {apart[0] + 1} has the label 0, and all training pairs have 1: what is measured then is how well the second text of "
                "each pair is found. Leave such rows out, or give training some too."
            )
        return targets

    def loss(self) -> Objective:
        """Of whole steps."""
        from luthier.objectives.similarity import Ranking

        return Ranking()

    def scores(self, logits: torch.Tensor, batch: Mapping[str, torch.Tensor] = NO_BATCH) -> torch.Tensor:
        """(rows, 2, width) float32: the vectors, as every text is compared with those of other rows."""
        from luthier.models.twin import by_rows

        return by_rows(logits.float())

    def predictions(self, scores: np.ndarray) -> list[Prediction]:
        """The cosine of both texts."""
        first, second = np.moveaxis(normed(scores), 1, 0)
        return self.numbers.predictions((first * second).sum(axis=1, keepdims=True))

    def stored(self, scores: np.ndarray) -> dict[str, list[Any]]:
        """Both vectors."""
        return {name: list(vectors) for name, vectors in zip(VECTORS, np.moveaxis(scores, 1, 0), strict=True)}

    def restored(self, columns: Mapping[str, Sequence[Any]]) -> np.ndarray:
        """(rows, 2, width) float32."""
        return np.stack([np.stack(list(map(np.asarray, columns[name]))) for name in VECTORS], axis=1).astype(np.float32)


VECTORS = ("first vector", "second vector")
SCORED = "a score of how alike two texts are"
KINDS: Mapping[str, type[Matches]] = {one.network: one for one in (Crossed, Twinned, Searched)}
