"""Training rows and their changed copies, shown to people: texts as lines, images on one sheet, sounds as files to listen to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.augment import Augmentation, augment
from luthier.data.media import decoded
from luthier.extras import need

if TYPE_CHECKING:
    import PIL.Image

SIDE = 200
"""Pixels of a side of the square that each image on the sheet fits into."""
GAP = 24
"""Pixels above each row of the sheet, for its number."""


@dataclass(frozen=True)
class Copied:
    """A training row and what augmentations make of it."""

    number: int
    """In its source, from 1."""
    label: Any
    value: Any
    """The text, image or sound, or several in a tuple."""
    copies: tuple[Any, ...]
    """One for each epoch."""

    def half(self, place: int) -> Copied:
        """One of several that are read together."""
        return replace(self, value=self.value[place], copies=tuple(copy[place] for copy in self.copies))


def copied(
    augmentations: Sequence[Augmentation], media: Sequence[str], stored: tuple[int, Any, Any], seed: int, epochs: int
) -> Copied:
    """A row with its copies.

    Args:
        augmentations: as the recipe lists them.
        media: what each cell of the row is.
        stored: its number in its source from 0, its label, and its value as the data has it.
        seed: of the run.
        epochs: how many copies.

    Raises:
        DataError: an image or sound cannot be read.
    """
    number, label, value = stored
    value = decoded(value, media)
    copies = (augment(augmentations, value, seed, epoch, number, media=media) for epoch in range(epochs))
    return Copied(number + 1, label, value, tuple(copies))


def show(media: Sequence[str], rows: Sequence[Copied], folder: Path) -> str:
    """Rows for people: what is to be read at once is returned, images and sounds are written and named.

    Args:
        media: what each cell of a row is; of several kinds each is shown for itself.
        rows: at least one.
        folder: is made where it is missing; what was written there before is replaced.
    """
    if len(set(media)) == 1:
        return SHOWN.get(media[0], _lines)(rows, folder)
    halves = ([row.half(place) for row in rows] for place in range(len(media)))
    return "\n".join(SHOWN.get(medium, _lines)(half, folder) for half, medium in zip(halves, media, strict=True))


def _lines(rows: Sequence[Copied], folder: Path) -> str:
    return "\n".join(line for row in rows for line in _told(row))


def _told(row: Copied) -> Iterator[str]:
    yield f"row {row.number} ({row.label}): {_as_line(row.value)}"
    yield from (f"  epoch {epoch}: {_as_line(copy)}" for epoch, copy in enumerate(row.copies, 1))


def _as_line(value: Any) -> str:
    """A text, or the texts that are read together."""
    return " | ".join(value) if isinstance(value, tuple) else str(value)


def sheet(rows: Sequence[Copied]) -> PIL.Image.Image:
    """All images on one: a line for each row, first the image as it is, then its copies."""
    pillow, draw = need("PIL.Image", extra="image"), need("PIL.ImageDraw", extra="image")
    columns = 1 + max(len(row.copies) for row in rows)
    whole: PIL.Image.Image = pillow.new("RGB", (columns * SIDE, len(rows) * (SIDE + GAP)), "white")
    pen = draw.Draw(whole)
    for line, row in enumerate(rows):
        top = line * (SIDE + GAP)
        for column, image in enumerate((row.value, *row.copies)):
            pen.text((column * SIDE + 4, top + 5), f"epoch {column}" if column else f"row {row.number}", fill="black")
            small = image.copy()
            small.thumbnail((SIDE - 4, SIDE - 4))
            whole.paste(small, (column * SIDE, top + GAP))
    return whole


def _sheet(rows: Sequence[Copied], folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    sheet(rows).save(folder / "preview.png")
    return f"Wrote {folder / 'preview.png'}: {len(rows)} rows as they are, and beside each its copies."


def _sounds(rows: Sequence[Copied], folder: Path) -> str:
    soundfile = need("soundfile", extra="audio")
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        for epoch, sound in enumerate((row.value, *row.copies)):
            name = f"row-{row.number}{f'-epoch-{epoch}' if epoch else ''}.wav"
            soundfile.write(folder / name, sound.samples, sound.rate, subtype="FLOAT")
    return (
        f"Wrote {len(rows)} sounds and their copies into {folder}, to listen to. Masks in spectrograms are not heard."
    )


SHOWN: Mapping[str, Callable[[Sequence[Copied], Path], str]] = {"image": _sheet, "audio": _sounds}
"""By medium; all others are lines of text."""
