"""How training rows may be changed, so that the model sees more than the rows there are.

An augmentation makes of a text, an image or a sound another one that should have the same label: `apply` is a function of the value
and of a generator, and of nothing else. `augment` seeds that generator by (seed, epoch, row), which is why a run that was killed
goes on with the same copies, and why nothing has to be kept of them. Only training rows are changed, and only on their way to the
model: files, validation and test stay as they are.

A mixing makes one row of two, and the loss is mixed as they are. It acts on what the network reads, inside an optimiser step.

A member is one file with a subclass of `Augmentation` or `Mixing`, one line in `AUGMENTATIONS` or `MIXINGS`, and it must pass
tests/augment/test_every_augmentation.py. Which of them help, and when they hurt, is measured in docs/augmentation.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field

from luthier.errors import RecipeError
from luthier.registry import Plugin, Registry

if TYPE_CHECKING:
    import numpy as np
    import torch

Share = Annotated[float, Field(gt=0, le=1)]
Advance = Callable[[int], None]
Part = Literal["value", "spectrogram"]
"""What is changed of a row: the text, image or sound, or the spectrogram that is made of a sound."""


class Augmentation(Plugin, ABC):
    """One way to change a row; its fields are its settings."""

    medium: ClassVar[str] = "text"
    """Of the rows that it can change: `text`, `image` or `audio`."""
    part: ClassVar[Part] = "value"

    share: Share = 0.5
    """Share of the rows that it changes in an epoch; which ones is drawn anew for each."""

    @abstractmethod
    def apply(self, value: Any, random: np.random.Generator) -> Any:
        """A changed copy, or the value itself where nothing can be changed.

        Args:
            value: a text; a `PIL.Image.Image` in RGB; a `luthier.data.media.audio.Sound`; or a spectrogram, float32 of shape
                (frames, bins). A text that is not empty must not become empty.
            random: to draw from.
        """

    def ready(self, values: Sequence[Any], advance: Advance = lambda values: None) -> None:
        """Called once with all training rows as they are stored before the first epoch: to load what is needed, or to work in batches.

        `apply` gives the same copies whether this was called or not.

        Args:
            values: texts, or what a column of images or sounds holds.
            advance: told how many more of them are done, for a progress bar.

        Raises:
            DataError: a file of words cannot be read.
            ExtraError: an optional package is missing.
            ModelError: a model cannot be opened.
            RecipeError: the settings do not fit these rows.
        """
        return


def augment(
    augmentations: Sequence[Augmentation],
    value: Any,
    seed: int,
    epoch: int,
    row: int,
    part: Part = "value",
    media: Sequence[str] = (),
) -> Any:
    """The value as the model sees it in one epoch: each augmentation of that part in order, where the draw says so.

    Args:
        augmentations: as the recipe lists them.
        value: of a training row, as `Augmentation.apply` takes it; or several of them as a tuple, each with draws of its own.
        seed: of the run, from 0.
        epoch: from 0.
        row: number of the row in its source, from 0.
        part: what the value is.
        media: of a tuple what each of its members is: an augmentation changes those of its own medium.
    """
    import numpy as np

    random = np.random.default_rng((seed, epoch, row, get_args(Part).index(part)))
    active = [one for one in augmentations if one.part == part]
    if type(value) is tuple:
        by_medium = {medium: [one for one in active if one.medium == medium] for medium in media}
        return tuple(_changed(by_medium[medium], cell, random) for cell, medium in zip(value, media, strict=True))
    return _changed(active, value, random)


def _changed(augmentations: Sequence[Augmentation], value: Any, random: np.random.Generator) -> Any:
    for one in augmentations:
        if random.random() < one.share:
            value = one.apply(value, random)
    return value


def refuse_others(augmentations: Sequence[Augmentation], media: Sequence[str]) -> None:
    """Let only augmentations of what the rows hold pass.

    Args:
        augmentations: as the recipe lists them.
        media: what each cell of a row is.

    Raises:
        RecipeError: one changes another medium.
    """
    other = next((one for one in augmentations if one.medium not in media), None)
    if other is None:
        return
    held = " and ".join(dict.fromkeys(media))
    fitting = ", ".join(name for name in AUGMENTATIONS if AUGMENTATIONS[name].medium in media) or "none"
    raise RecipeError(
        f"data.augment: {other.name} changes {other.medium} and these rows are {held}. For {held} there are: {fitting}."
    )


def make_ready(
    augmentations: Sequence[Augmentation],
    columns: Mapping[str, Sequence[Any]],
    media: Sequence[str],
    bar: Callable[[str, int], AbstractContextManager[Advance]],
) -> None:
    """Call `Augmentation.ready` of each with all that it will change.

    Args:
        augmentations: as the recipe lists them.
        columns: of the training rows, those that the model reads in their order.
        media: what each of them holds.
        bar: opens a progress bar, by its title and the number of values.

    Raises:
        LuthierError: what `ready` raises.
    """
    for one in augmentations:
        own = [values for values, medium in zip(columns.values(), media, strict=True) if medium == one.medium]
        with bar(f"Augmentation {one.name}", sum(map(len, own))) as advance:
            for values in own:
                one.ready(values, advance)


class Mixing(Plugin, ABC):
    """One way to make one row of two (mixup, CutMix); its fields are its settings."""

    media: ClassVar[frozenset[str]]
    """Of the rows that it can mix."""

    alpha: Annotated[float, Field(gt=0)]
    """Both parameters of the beta distribution that a step's share is drawn from: far below 1 nearly all rows stay what they are, at
    1 every share is as likely."""

    @abstractmethod
    def mix(
        self, own: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor], random: np.random.Generator
    ) -> tuple[dict[str, torch.Tensor], float]:
        """Inputs of both, and what share of each row is its own, 0 to 1.

        Args:
            own: the network's inputs for some rows of a step, rows first.
            other: of their partners, of the same shapes.
            random: in the same state for all parts of a step, so that they are mixed alike.
        """


def refuse_unmixed(mixing: Mixing | None, medium: str) -> None:
    """Let only a mixing of the rows' medium pass.

    Raises:
        RecipeError: it cannot mix such rows.
    """
    if mixing and medium not in mixing.media:
        raise RecipeError(
            f"train.mixing: {mixing.name} mixes {' and '.join(sorted(mixing.media))} and these rows are {medium}. Leave train.mixing out."
        )


AUGMENTATIONS: Registry[Augmentation] = Registry(
    "augmentation",
    "luthier.augmentations",
    {
        "delete": "luthier.augment.delete:Delete",
        "swap": "luthier.augment.swap:Swap",
        "synonyms": "luthier.augment.synonyms:Synonyms",
        "homophones": "luthier.augment.homophones:Homophones",
        "back_translation": "luthier.augment.back_translation:BackTranslation",
        "crop": "luthier.augment.crop:Crop",
        "flip": "luthier.augment.flip:Flip",
        "colour": "luthier.augment.colour:Colour",
        "rotate": "luthier.augment.rotate:Rotate",
        "randaugment": "luthier.augment.randaugment:RandAugment",
        "erase": "luthier.augment.erase:Erase",
        "noise": "luthier.augment.noise:Noise",
        "gain": "luthier.augment.gain:Gain",
        "shift": "luthier.augment.shift:Shift",
        "spectrogram": "luthier.augment.spectrogram:Spectrogram",
    },
)

MIXINGS: Registry[Mixing] = Registry(
    "mixing",
    "luthier.mixings",
    {"mixup": "luthier.augment.mixup:Mixup", "cutmix": "luthier.augment.cutmix:CutMix"},
)
