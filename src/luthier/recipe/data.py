"""The keys of `data`: which rows, which columns, how they are divided, and what is done to them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from luthier.augment import AUGMENTATIONS, Augmentation
from luthier.registry import Choice, Options

Fraction = Annotated[float, Field(ge=0, lt=1)]


def _parts(value: Any) -> Any:
    """Accept `8:1:1` beside `[0.8, 0.1, 0.1]`; YAML 1.1 readers may have turned `9:1` into a number, ours does not."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d+(\.\d+)?(\s*:\s*\d+(\.\d+)?)+\s*", value):
        return [float(part) for part in value.split(":")]
    return value


def as_list(value: Any) -> Any:
    """Accept one thing where a list is expected."""
    return value if isinstance(value, list) or value is None else [value]


OneOrMore = Annotated[list[str], BeforeValidator(as_list, json_schema_input_type=str | list[str])]
AnyAugmentation = Annotated[Augmentation, Choice(AUGMENTATIONS)]
NEEDS_COLUMN = {
    "time": "the column of dates",
    "group": "the column of groups",
    "given": "the column of split names",
}
"""Ways to divide that go by a column, and what it holds."""
NO_FOLDS = ("time", "given")
INPUTS = {
    "text": ("text",),
    "tokens": ("text",),
    "pair": ("text", "pair"),
    "prompt": ("text",),
    "instruction": ("text", "pair"),
    "question": ("text", "pair"),
    "dialogue": ("text",),
    "image": ("image",),
    "audio": ("audio",),
    "image+text": ("image", "text"),
}
"""What a model can read, and the keys of `data.columns` that name its columns, in the order in which they are read."""


class Columns(Options):
    """Which columns hold what. What is left out is inferred, and the inference is explained."""

    text: str | None = None
    """Column with the text."""
    pair: str | None = None
    """Column with a second text, where the model reads two together: `{text: premise, pair: hypothesis}`."""
    image: str | None = None
    """Column with images: paths of files, or what `datasets` stores of them."""
    audio: str | None = None
    """Column with recordings: paths of files, or what `datasets` stores of them."""
    label: Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(min_length=2)] | None = None
    """Column with the label (a list in it makes the task multi-label), or a list of 0/1 columns, one per label."""
    separator: Annotated[str, Field(min_length=1)] | None = None
    """Character between several labels in one text cell, such as `|` in `noisy|expensive`; makes the task multi-label."""

    @property
    def input(self) -> tuple[str, tuple[str, ...]] | None:
        """What the model reads, a key of `INPUTS`, and the columns that hold it; None where they are to be found."""
        given = self._inputs
        medium = next((medium for medium, keys in INPUTS.items() if set(keys) == set(given)), None)
        return None if medium is None else (medium, tuple(given[key] for key in INPUTS[medium]))

    @property
    def _inputs(self) -> dict[str, str]:
        """Columns of inputs that are named, by their keys."""
        keys = dict.fromkeys(key for several in INPUTS.values() for key in several)
        return {key: getattr(self, key) for key in keys if getattr(self, key) is not None}

    @model_validator(mode="after")
    def _one_input(self) -> Columns:
        given = list(self._inputs)
        if given == ["pair"]:
            raise PydanticCustomError(
                "member",
                "`pair` names the second text of a row: give the first as `text` too",
                {"key": "text"},
            )
        if given and self.input is None:
            last = given[-1]
            named = "`, `".join(given[:-1])
            told = f"a model does not read `{named}` and `{last}` together: it reads one of them, or an `image` and a `text`"
            raise PydanticCustomError("member", "{text}", {"text": told, "key": last})
        return self


class Split(Options):
    """How rows are divided when the files do not do it."""

    by: Literal["random", "time", "group", "content", "given"] = "random"
    """`random`: stratified, every class keeps its share in every part. `time`: the latest rows are held out, so that no training row
    is later than one that is scored. `group`: rows with the same value (an author, a topic) stay on one side. `content`: a row's
    text decides, so that adding rows moves none of the old ones. `given`: the column says train, validation or test."""
    column: str | None = None
    """The column that decides: dates for `time`, the group for `group`, the split's name for `given`."""
    format: str | None = None
    """How dates are written, as in strptime: `%d/%m/%Y`. Default: found out, and refused where two formats fit."""
    parts: Annotated[
        list[Annotated[float, Field(gt=0)]],
        BeforeValidator(_parts, json_schema_input_type=str | list[float]),
        Field(min_length=2, max_length=3),
    ] = [8, 1, 1]
    """Ratio of train : validation : test, as `8:1:1` or `[0.8, 0.1, 0.1]`. Two parts are train : validation; the best epoch
    is then chosen on the rows that are scored, and the report says so."""
    sizes: Annotated[dict[Literal["validation", "test"], Annotated[int, Field(ge=1)]], Field(min_length=1)] | None = (
        None
    )
    """Numbers of rows in place of `parts`: `{validation: 500, test: 1000}`; all others are for training."""
    folds: Annotated[int, Field(ge=2)] | None = None
    """Divide into so many equal folds, of which one is the test split; over all of them every row is tested once."""
    fold: Annotated[int, Field(ge=1)] = 1
    """Which fold is the test split, from 1."""
    validation: Fraction = 0.1
    """Share of the training rows held back for validation when files give train and test but no validation, or with `folds`; 0
    holds back none."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    """Seed of the division, and of `data.rows`. Default: the recipe's `seed`; with one of its own, rows stay where they are when that
    changes, as `luthier compare --seeds` needs it."""

    @model_validator(mode="after")
    def _fits_together(self) -> Split:
        wrong = [(key, text) for key, is_wrong, text in self._mistakes() if is_wrong]
        if wrong:
            raise PydanticCustomError("member", "{text}", {"text": wrong[0][1], "key": wrong[0][0]})
        return self

    def _mistakes(self) -> list[tuple[str, bool, str]]:
        """By values, not by which keys were written: a resolved recipe has them all."""
        parts, by, folds = self.parts != [8, 1, 1], self.by, self.folds
        return [
            ("column", by in NEEDS_COLUMN and self.column is None, f"by: {by} needs `column`, {NEEDS_COLUMN.get(by)}"),
            (
                "column",
                by == "random" and self.column is not None,
                "by: random uses no column; did you mean by: group or by: time?",
            ),
            (
                "format",
                by != "time" and self.format is not None,
                "`format` says how dates are written and goes with by: time",
            ),
            (
                "sizes",
                self.sizes is not None and by == "given",
                "by: given takes its sizes from the column: leave `sizes` out",
            ),
            ("sizes", self.sizes is not None and parts, "give `parts` or `sizes` and not both"),
            (
                "sizes",
                self.sizes is not None and by == "content",
                "by: content divides by `parts`: sizes cannot hold when rows are added",
            ),
            (
                "folds",
                folds is not None and (parts or self.sizes is not None),
                "give `folds`, `parts` or `sizes`: folds are of equal size",
            ),
            (
                "folds",
                folds is not None and by in NO_FOLDS,
                f"by: {by} has no folds; they go with random, group and content",
            ),
            ("fold", folds is not None and self.fold > folds, f"there is no fold {self.fold} of {folds}"),
            ("fold", folds is None and self.fold != 1, "`fold` says which of `folds` is tested; give `folds` as well"),
        ]


class Files(Options):
    """One file, or several, per split."""

    train: Annotated[OneOrMore, Field(min_length=1)]
    """Training rows."""
    validation: OneOrMore | None = None
    """Rows that choose the best epoch."""
    test: OneOrMore | None = None
    """Rows that are scored once, at the end."""


class Data(Options):
    """The labelled rows."""

    files: str | Files
    """A csv, tsv, json, jsonl or parquet file, also compressed (gz, bz2, xz, zst, zip) or several by a pattern such as
    `data/*.csv`; an export of Label Studio (JSON, JSON-MIN, CSV) or Prodigy (JSONL); alpaca or ShareGPT JSON; a CoNLL or BMES token
    file; a folder of such files or written by `datasets.save_to_disk`; a Hugging Face dataset name; `demo/reviews-en`,
    `demo/reviews-zh`; or a mapping of train, validation and test to these."""
    columns: Columns = Columns()
    """Which columns hold what."""
    split: Split = Split()
    """How rows are divided when the files do not do it."""
    max_length: Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0)] | None = None
    """Longest row in tokens. Default: what the model can read, at most 512. Batches are padded to their own longest row, so a
    high limit costs nothing when texts are short. Of images the pixels of a side (default: what the model was made for), of audio
    the seconds (default: the longest recording, at most 30)."""
    too_long: Literal["cut", "drop", "error"] = "cut"
    """What happens to longer rows; how many there are is always reported. `drop` leaves them out of training only."""
    bad_rows: Literal["drop", "error"] = "drop"
    """What happens to rows without text or label; they are counted and listed in data.json."""
    annotators: Literal["majority", "all"] = "majority"
    """Several people's answers in an annotation export: the label that most gave, or `all` as rows of their own, with the column
    `item` to divide them by (`split: {by: group, column: item}`)."""
    encoding: str | None = None
    """Character encoding of the files, such as `gb18030`. Default: UTF-8, else detected and said."""
    duplicates: Literal["ignore", "report", "drop"] = "report"
    """Rows with the same text, but for case, width and white space, or nearly the same: `drop` keeps the first of each."""
    similarity: Annotated[float, Field(gt=0, le=1)] | None = 0.8
    """Share of common three-character pieces from which two texts are nearly the same; null looks for equal ones only. Needs
    `pip install 'luthier[clean]'`."""
    conflicts: Literal["keep", "drop", "majority"] = "keep"
    """Rows with the same text and different labels: `drop` removes all of them, `majority` gives all the label that most have."""
    labels: Literal["ignore", "report", "drop", "fix"] = "ignore"
    """Training rows whose label is probably wrong, by confident learning on the base model's vectors (Northcutt et al. 2021):
    `report` lists them, `drop` leaves them out, `fix` gives them the likely label. Needs `pip install 'luthier[clean]'`."""
    leakage: Literal["report", "fix", "error"] = "report"
    """What splits share that they should not (texts, ids, groups, time): `fix` takes such rows out of training and validation, never
    out of test."""
    augment: Annotated[
        list[AnyAugmentation],
        BeforeValidator(as_list, json_schema_input_type=AnyAugmentation | list[AnyAugmentation]),
    ] = []
    """How training rows are changed, anew in every epoch: a name, a mapping with settings, or a list that is applied in order.
    Other splits stay as they are. `luthier data preview` shows what comes out."""
    views: Annotated[int, Field(ge=1)] | None = None
    """Changed copies of each training row that `augment` makes, seen in turn: epoch 5 of 4 `views` sees those of epoch 1. What frozen
    parts of the model give of them is then computed once. Default: other copies in every epoch."""
    packing: bool = False
    """Join training rows of task generate to one sequence a call, none of which sees another, so that nothing is padded. Micro-batches
    of similar length leave little padding on a CPU (3 % of Alpaca's tokens); on a GPU, where calls are large, there is more of it."""
    rows: Annotated[int, Field(ge=10)] | None = None
    """Use only this many rows, drawn at random with every label among them, for a quick trial: of each split where the files give
    the splits, else of all rows together, before or, `by: given`, after they are divided."""

    @model_validator(mode="after")
    def _views_of_copies(self) -> Data:
        if self.views is not None and not self.augment:
            raise PydanticCustomError(
                "member",
                "`views` is how many copies `augment` makes of each row: name an augmentation, or leave it out",
                {"key": "views"},
            )
        return self
