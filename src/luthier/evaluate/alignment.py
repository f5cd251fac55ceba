"""Judging vectors of images and of texts by what they find, in both directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from luthier.evaluate.bootstrap import Array
from luthier.evaluate.judge import Figure
from luthier.evaluate.retrieval import DEPTHS, RetrievalJudge, measured, places

DIRECTIONS: Mapping[str, tuple[str, str]] = {"image_to_text": ("image", "text"), "text_to_image": ("text", "image")}
"""What is searched with, and what is found."""
FIGURES: dict[str, Figure] = {
    "mrr": Figure(
        "MRR", "mean of 1 / the place at which a row's partner is found among all of them, in both directions"
    ),
    **{
        f"{way}_recall_{depth}": Figure(
            f"Recall at {depth}, {asked} to {found}",
            f"how often the {found} that belongs to the {asked} is among the first {depth}",
        )
        for way, (asked, found) in DIRECTIONS.items()
        for depth in DEPTHS
    },
}


class AlignmentJudge(RetrievalJudge):
    """Figures of searches among the rows that are judged, by image for the text and by text for the image.

    Targets say nothing; scores have shape (rows, 2, width): the vectors of the image and of the text. Several texts of one image are
    all right where it is searched with, and so are several images of one text.
    """

    directions: ClassVar[int] = len(DIRECTIONS)

    @property
    def figures(self) -> Mapping[str, Figure]:
        """`FIGURES`."""
        return FIGURES

    def ranks(self, scores: Array) -> list[Array]:
        """Of `DIRECTIONS`."""
        return [places(scores, alike=True), places(scores[:, ::-1], alike=True)]

    def found(self, ranks: Sequence[Array]) -> dict[str, Array]:
        """Recall by direction, and the mean of both otherwise."""
        ways = {way: measured(places) for way, places in zip(DIRECTIONS, ranks, strict=True)}
        recalls = {
            f"{way}_{name}": values for way, one in ways.items() for name, values in one.items() if name != "mrr"
        }
        return {"mrr": np.mean([one["mrr"] for one in ways.values()], axis=0), **recalls}
