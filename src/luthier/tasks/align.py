"""Which text belongs to which image, by vectors of both (Radford et al. 2021, https://arxiv.org/abs/2103.00020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from luthier.errors import DataError, RecipeError
from luthier.evaluate.alignment import AlignmentJudge
from luthier.evaluate.retrieval import normed
from luthier.tasks import NO_BATCH, About, Labels, Prediction, Target, Task

if TYPE_CHECKING:
    import torch

    from luthier.evaluate.judge import Judge
    from luthier.objectives import Objective

VECTORS = ("image vector", "text vector")


class Align(Task):
    """Bring the vectors of an image and of its text together, so that each is found by the other. Rows need no label.

    An image is then classified by any texts, also ones that nothing was trained for: give several in place of one.
    """

    name: ClassVar[str] = "align"
    labels: ClassVar[Labels] = "none"

    def refuse(self, medium: str) -> None:
        """Rows must be images with texts; the columns were looked for as such."""
        if medium != "image+text":
            raise DataError(f"Task align reads an image and its text, and these rows are {medium}.")

    def learn(self, values: Sequence[Any]) -> Alignments:
        """There is nothing to learn of labels.

        Raises:
            DataError: there is but one row, which has none to be told from.
        """
        if len(values) < 2:
            raise DataError(f"Task align tells each row's text from those of others, and there is {len(values)} row.")
        return Alignments()

    def restore(self, facts: Mapping[str, Any]) -> Alignments:
        """Make the target of an earlier run again."""
        return Alignments()


class Alignments(Target):
    """Vectors of images and of texts, where those that belong together are near."""

    reads: ClassVar[str] = "aligned"

    @property
    def facts(self) -> dict[str, Any]:
        """None."""
        return {}

    @property
    def model_config(self) -> dict[str, Any]:
        """Nothing: the network has no head."""
        return {}

    @property
    def about(self) -> About:
        """What plain transformers do with such models."""
        return About(
            kind="which text belongs to which image",
            answer="the cosine of the vectors of image and text, or of several texts the one that fits best",
            pipeline="zero-shot-image-classification",
            asked='"a-picture.jpg", candidate_labels=["a dog", "a cat"]',
        )

    @property
    def judge(self) -> Judge:
        """Of searches in both directions."""
        return AlignmentJudge()

    def encode(self, values: Sequence[Any]) -> np.ndarray:
        """(rows, 1) float64 of 1: all rows belong together."""
        return np.ones((len(values), 1))

    def decode(self, targets: np.ndarray) -> list[Any]:
        """The inverse of `encode`."""
        return [float(one) for one in targets[:, 0]]

    def count(self, targets: np.ndarray) -> dict[str, int]:
        """Nothing: there are no labels."""
        return {}

    def objective(self, label_smoothing: float = 0.0) -> Objective:
        """The network's own loss."""
        from luthier.objectives.alignment import Alignment

        if label_smoothing:
            raise RecipeError(
                f"train.label_smoothing is {label_smoothing:g}: it spreads a row's label over all classes, and task align has none. "
                "Leave it out."
            )
        return Alignment()

    def scores(self, logits: torch.Tensor, batch: Mapping[str, torch.Tensor] = NO_BATCH) -> Any:
        """(rows, 2, width) float32, the vectors of image and text; of rows with several texts (1 + texts, width) each."""
        import torch

        from luthier.modalities.captioned import ROWS
        from luthier.models.aligned import split_up

        images, texts = split_up(logits.float(), len(batch["pixel_values"]))
        if ROWS not in batch:
            return torch.stack([images, texts], dim=1)
        own = [texts[batch[ROWS] == row] for row in range(len(images))]
        return [torch.cat([image[None], some]) for image, some in zip(images, own, strict=True)]

    def predictions(self, scores: Any) -> list[Prediction]:
        """The cosine of both vectors; of several texts the number of the best one, which `told` puts into words."""
        return [_cosine(row) if len(row) == 2 else _best(row) for row in scores]

    def told(self, prediction: Prediction, row: Any) -> Prediction:
        """Of several texts the one that fits best, and how probable each of them is."""
        if not isinstance(row[1], list):
            return prediction
        shares = {row[1][int(number)]: share for number, share in prediction.probabilities.items()}
        return replace(prediction, label=row[1][prediction.label], probabilities=shares)

    def stored(self, scores: np.ndarray) -> dict[str, list[Any]]:
        """Both vectors."""
        return {name: list(vectors) for name, vectors in zip(VECTORS, np.moveaxis(scores, 1, 0), strict=True)}

    def restored(self, columns: Mapping[str, Sequence[Any]]) -> np.ndarray:
        """(rows, 2, width) float32."""
        return np.stack([np.stack(list(map(np.asarray, columns[name]))) for name in VECTORS], axis=1).astype(np.float32)


def _cosine(vectors: np.ndarray) -> Prediction:
    image, text = normed(vectors)
    return Prediction(float(image @ text))


def _best(vectors: np.ndarray) -> Prediction:
    """Softmax over the texts of the network's own products (Radford et al. 2021, section 3.1.2)."""
    products = vectors[1:] @ vectors[0]
    shares = np.exp(products - products.max())
    shares /= shares.sum()
    best = int(shares.argmax())
    return Prediction(best, float(shares[best]), {str(number): float(share) for number, share in enumerate(shares)})
