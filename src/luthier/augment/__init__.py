"""How training texts may be changed, so that the model sees more than the rows there are.

An augmentation makes of a text another one that should have the same label: `apply` is a function of the text and of a
generator, and of nothing else. `augment` seeds that generator by (seed, epoch, row), which is why a run that was killed goes on
with the same copies, and why nothing has to be kept of them. Only training rows are changed, and only on their way to the model:
files, validation and test stay as they are.

A member is one file with a subclass of `Augmentation`, one line in `AUGMENTATIONS`, and it must pass
tests/augment/test_every_augmentation.py. Which of them help, and when they hurt, is measured in docs/augmentation.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from luthier.registry import Plugin, Registry

if TYPE_CHECKING:
    import numpy as np

Share = Annotated[float, Field(gt=0, le=1)]
Advance = Callable[[int], None]


class Augmentation(Plugin, ABC):
    """One way to change a text; its fields are its settings."""

    share: Share = 0.5
    """Share of the rows that it changes in an epoch; which ones is drawn anew for each."""

    @abstractmethod
    def apply(self, text: str, random: np.random.Generator) -> str:
        """A changed copy, or the text itself where nothing can be changed; never empty where the text is not."""

    def ready(self, texts: Sequence[str], advance: Advance = lambda texts: None) -> None:
        """Called once with all training texts before the first epoch: to load what is needed, or to work in batches.

        `apply` gives the same copies whether this was called or not.

        Args:
            texts: of the training rows.
            advance: told how many more of them are done, for a progress bar.

        Raises:
            DataError: a file of words cannot be read.
            ExtraError: an optional package is missing.
            ModelError: a model cannot be opened.
            RecipeError: the settings do not fit these texts.
        """
        return


def augment(
    augmentations: Sequence[Augmentation], text: str, seed: int, epoch: int, row: int, column: int = 0
) -> str:
    """The text as the model sees it in one epoch: each augmentation in order, where the draw says so.

    Args:
        augmentations: as the recipe lists them.
        text: of a training row.
        seed: of the run, from 0.
        epoch: from 0.
        row: number of the row in its source, from 0.
        column: which of the texts of a row it is, from 0.
    """
    import numpy as np

    random = np.random.default_rng((seed, epoch, row, *([column] if column else [])))
    for one in augmentations:
        if random.random() < one.share:
            text = one.apply(text, random)
    return text


AUGMENTATIONS: Registry[Augmentation] = Registry(
    "augmentation",
    "luthier.augmentations",
    {
        "delete": "luthier.augment.delete:Delete",
        "swap": "luthier.augment.swap:Swap",
        "synonyms": "luthier.augment.synonyms:Synonyms",
        "homophones": "luthier.augment.homophones:Homophones",
        "back_translation": "luthier.augment.back_translation:BackTranslation",
    },
)
