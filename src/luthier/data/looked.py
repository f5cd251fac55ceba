"""The inputs of all splits, looked at before anything is done to them: which cannot be used, which are odd, which are alike.

Texts are compared as they stand. Images and audio are decoded once, and every row gets the hash of what was seen, in columns of
their own: from there on a row is picked, divided and compared like one of text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from luthier.counted import many
from luthier.data import cells, clean, dialogues, duplicates, media, odd, passages, token_rows
from luthier.data.duplicates import Groups
from luthier.data.found import Found, Kind
from luthier.data.labels import labels
from luthier.errors import DataError, ExtraError
from luthier.recipe.data import Data
from luthier.registry import closest
from luthier.show import Console

CONTENT = "hash of the content"
"""Name of the column that tells decoded rows apart."""
WRITTEN = "tokens as text"
"""Name of the column with what lists of words say."""
ASKED = "what is asked"
"""Name of the column with what the last answer of a row answers."""
TOGETHER = "texts together"
"""Name of the column with all texts of a row, where the model reads several."""
LOOK = "hash of the look"
"""Name of the column with perceptual hashes."""
ADDED = (CONTENT, LOOK, WRITTEN, ASKED, TOGETHER)
"""Columns that looking adds."""
SHOWN = 5


@dataclass(frozen=True)
class Looked:
    """The splits with what was seen in them."""

    splits: dict[str, datasets.Dataset]
    found: Found
    unusable: Mapping[str, Mapping[int, str]]
    """For each split the reason by the row's place."""
    odd: list[str]
    """Sentences on rows that can be used and look wrong."""
    longest: int | None = None
    """Of audio the seconds of the longest recording, rounded up."""

    @property
    def compared(self) -> dict[str, datasets.Dataset]:
        """The splits with what tells their rows apart, and without what was decoded."""
        decoded = list(media.perceived(self.found.medium, self.found.inputs))
        return {name: rows.remove_columns(decoded) for name, rows in self.splits.items()}


def look(splits: Mapping[str, datasets.Dataset], found: Found) -> Looked:
    """Look at the column of inputs of all splits.

    Raises:
        DataError: a split lacks one of the columns.
        ExtraError: what decodes such rows is not installed.
    """
    _check_columns(splits, found)
    if found.medium in media.MEDIA:
        return _media(splits, found)
    if media.perceived(found.medium, found.inputs):
        return _captioned(splits, found)
    return LOOKS.get(found.kind, _several if found.also else _texts)(splits, found)


def _check_columns(splits: Mapping[str, datasets.Dataset], found: Found) -> None:
    """Columns are found in the first split; the others may come from other files."""
    first = next(iter(splits))
    for name, rows in splits.items():
        for column in found.encoded:
            if column not in rows.column_names:
                raise DataError(
                    f"The {name} split has no column {column!r}, which the {first} split has; {closest(column, rows.column_names)} Give "
                    "the columns of all files the same names."
                )


def as_read(rows: datasets.Dataset) -> datasets.Dataset:
    """Rows without the columns that looking has added."""
    return rows.remove_columns([name for name in ADDED if name in rows.column_names])


def shown(rows: datasets.Dataset, found: Found) -> list[str]:
    """What people are shown of each row: the text, or where it lies."""
    if found.medium not in media.MEDIA:
        return list(rows[found.said])
    return [media.shown(value) for value in _places(rows, found.text)]


APART = "Near duplicates were not looked for: questions about one text are nearly the same and no copies."
WORDS = {"image": "picture", "audio": "sound", "image+text": "picture and text"}


def what(found: Found) -> str:
    """What rows are, in sentences about those that repeat others."""
    return WORDS.get(found.medium, "text")


def alike(parts: Sequence[datasets.Dataset], found: Found, options: Data, console: Console) -> tuple[Groups, str]:
    """Groups over the rows of all parts, and why near duplicates were left out, where they were asked for."""
    if found.medium in media.MEDIA:
        return _alike_media(parts, options), ""
    if found.kind == "answers" and options.similarity is not None:
        exact = options.model_copy(update={"similarity": None})
        return _alike_texts(parts, found.said, exact, console)[0], APART
    groups, note = _alike_texts(parts, found.said, options, console)
    if media.perceived(found.medium, found.inputs):
        groups = duplicates.in_both(_alike_media(parts, options), groups)
    return groups, note


def _alike_texts(parts: Sequence[datasets.Dataset], column: str, options: Data, console: Console) -> tuple[Groups, str]:
    rows = datasets.concatenate_datasets([part.select_columns([column]) for part in parts])
    how = "exact" if options.similarity is None else "near"
    with console.bar("Looking for duplicates", duplicates.PASSES[how] * len(rows)) as advance:
        if options.similarity is None:
            return duplicates.exact(rows, column, advance), ""
        try:
            return duplicates.near(rows, column, options.similarity, advance=advance), ""
        except ExtraError as missing:
            return duplicates.exact(rows, column, advance), f"Near duplicates were not looked for. {missing}"


def _texts(splits: Mapping[str, datasets.Dataset], found: Found) -> Looked:
    unusable = {name: clean.without_text(rows, found.text) for name, rows in splits.items()}
    strange = [one.sentence for rows in splits.values() for one in odd.find(rows, found.text)]
    return Looked(dict(splits), found, unusable, strange)


def _several(splits: Mapping[str, datasets.Dataset], found: Found) -> Looked:
    """Rows of several texts are compared by all of them, and a row that lacks one cannot be used."""
    seen, unusable, strange = {}, {}, []
    for name, rows in splits.items():
        written = [cells.joined(row) for row in cells.values(rows, found.inputs)]
        seen[name] = rows.add_column(TOGETHER, written)
        lacking: dict[int, str] = {}
        for column in reversed(found.inputs):
            lacking |= dict.fromkeys(clean.without_text(rows, column), f"no text in {column!r}")
        unusable[name] = lacking
        strange += [one.sentence for one in odd.find(seen[name], TOGETHER)]
    return Looked(seen, replace(found, content=TOGETHER), unusable, strange)


def _questions(splits: Mapping[str, datasets.Dataset], found: Found) -> Looked:
    """Questions are compared together with what answers them, and each answer must stand there."""
    seen = _several(splits, found)
    unusable, strange = {}, list(seen.odd)
    for name, rows in splits.items():
        answers = labels(rows, found)
        unusable[name] = dict(passages.faults(answers)) | dict(seen.unusable[name])
        strange += passages.remarks(answers, name)
    return replace(seen, found=replace(seen.found, part=("passage", found.also[0])), unusable=unusable, odd=strange)


def _dialogues(splits: Mapping[str, datasets.Dataset], found: Found) -> Looked:
    """Prompts and conversations are compared by what the last answer answers."""
    seen, unusable, strange = {}, {}, []
    for name, rows in splits.items():
        values = cells.values(rows, found.encoded)
        seen[name] = rows.add_column(ASKED, [dialogues.written(one) for one in values])
        unusable[name] = dict(dialogues.unusable(values))
        strange += [one.sentence for one in odd.find(seen[name], ASKED)]
    return Looked(seen, replace(found, content=ASKED), unusable, strange)


def _tokens(splits: Mapping[str, datasets.Dataset], found: Found) -> Looked:
    """Lists of words are compared by the text that they make."""
    seen, unusable, strange = {}, {}, []
    for name, rows in splits.items():
        tokens = list(rows[found.text])
        seen[name] = rows.add_column(WRITTEN, [token_rows.written(one or []) for one in tokens])
        unusable[name] = dict(token_rows.faults(tokens, [one or [] for one in labels(rows, found)]))
        strange += [one.sentence for one in odd.find(seen[name], WRITTEN)]
    return Looked(seen, replace(found, content=WRITTEN), unusable, strange)


LOOKS: Mapping[Kind, Callable[[Mapping[str, datasets.Dataset], Found], Looked]] = {
    "texts": _dialogues,
    "answers": _questions,
    "tags": _tokens,
}
"""By what labels are, where that says how inputs are looked at."""


def _media(splits: Mapping[str, datasets.Dataset], found: Found) -> Looked:
    from luthier.data.media.examined import examine

    seen, unusable, strange, longest = {}, {}, [], [0.0]
    for name, rows in splits.items():
        examined = examine(rows, found.text, media.MEDIA[found.medium])  # shows its own progress
        seen[name] = rows.add_column(CONTENT, list(examined.content))
        if examined.alike is not None:
            seen[name] = seen[name].add_column(LOOK, examined.alike)
        unusable[name] = examined.reasons
        strange += _remarks(examined.remarks, found.medium, name)
        longest += examined.facts.get("seconds", np.zeros(0)).tolist()
    return Looked(seen, replace(found, content=CONTENT), unusable, strange, ceil(np.nanmax(longest)) or None)


def _captioned(splits: Mapping[str, datasets.Dataset], found: Found) -> Looked:
    """Images with a text each are compared by both, and a row that lacks one of them cannot be used."""
    ((image, medium),) = media.perceived(found.medium, found.inputs).items()
    (text,) = (column for column in found.inputs if column != image)
    alone = _media(splits, replace(found, text=image, also=(), medium=medium))
    seen, unusable, strange = {}, {}, list(alone.odd)
    for name, rows in alone.splits.items():
        written = [cells.joined(row) for row in cells.values(rows, (CONTENT, text))]
        seen[name] = rows.add_column(TOGETHER, written)
        blank = clean.without_text(rows, text)
        both = sorted({*blank, *alone.unusable[name]})
        unusable[name] = {
            row: " and ".join(filter(None, [alone.unusable[name].get(row), blank.get(row)])) for row in both
        }
        strange += [one.sentence for one in odd.find(rows, text)]
    return Looked(seen, replace(found, content=TOGETHER, words=text, part=("image", CONTENT)), unusable, strange)


def _remarks(remarks: Mapping[int, str], medium: str, split: str) -> list[str]:
    """One sentence for each kind of remark."""
    rows = defaultdict(list)
    for row, remark in sorted(remarks.items()):
        rows[remark].append(row + 1)
    where = "" if split == "all" else f" of {split}"
    shown = {
        remark: ", ".join([*map(str, found[:SHOWN]), *(["..."] if len(found) > SHOWN else [])])
        for remark, found in rows.items()
    }
    return [
        f"{many(len(found), f'{medium} row')}{where}: each {remark} ({shown[remark]})."
        for remark, found in rows.items()
    ]


def _alike_media(parts: Sequence[datasets.Dataset], options: Data) -> Groups:
    from luthier.data.media.alike import groups
    from luthier.data.media.examined import Examined

    content = _column(parts, CONTENT)
    looks = _column(parts, LOOK) if options.similarity is not None and LOOK in parts[0].column_names else None
    return groups(Examined(content, looks, {}, {}, {}))


def _places(rows: datasets.Dataset, column: str) -> list[Any]:
    """The values of a column of media without their bytes, which may be many."""
    cells = rows.with_format("arrow")[column]
    return list((pc.struct_field(cells, "path") if pa.types.is_struct(cells.type) else cells).to_pylist())


def _column(parts: Sequence[datasets.Dataset], name: str) -> np.ndarray[Any, Any]:
    return np.concatenate(
        [np.asarray(part.with_format("arrow")[name].to_numpy(zero_copy_only=False)) for part in parts]
    )
