"""Every key of a recipe: its type, default and meaning. docs/recipe.md and the JSON Schema are made from this file."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from luthier.augment import AUGMENTATIONS, Augmentation
from luthier.methods import METHODS, Method
from luthier.registry import Choice, Options
from luthier.tasks import TASKS, Task

Fraction = Annotated[float, Field(ge=0, lt=1)]


def _parts(value: Any) -> Any:
    """Accept `8:1:1` beside `[0.8, 0.1, 0.1]`; YAML 1.1 readers may have turned `9:1` into a number, ours does not."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d+(\.\d+)?(\s*:\s*\d+(\.\d+)?)+\s*", value):
        return [float(part) for part in value.split(":")]
    return value


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) or value is None else [value]


def _gradual_or_list(value: Any) -> Any:
    if value is None or value == "gradual" or isinstance(value, list):
        return value
    raise PydanticCustomError("member", "expected 'gradual' or a list of stages; got {value}.", {"value": repr(value)})


OneOrMore = Annotated[list[str], BeforeValidator(_as_list, json_schema_input_type=str | list[str])]
AnyMethod = Annotated[Method, Choice(METHODS)]
SomeMethods = Annotated[
    list[AnyMethod],
    BeforeValidator(_as_list, json_schema_input_type=AnyMethod | list[AnyMethod]),
    Field(min_length=1),
]
AnyAugmentation = Annotated[Augmentation, Choice(AUGMENTATIONS)]
DEFAULT_METHOD = "full"
PositiveRate = Annotated[float, Field(gt=0, lt=10)]
Rates = PositiveRate | Annotated[dict[str, PositiveRate], Field(min_length=1)]
Decay = Annotated[float, Field(gt=0, le=1)]
NEEDS_COLUMN = {
    "time": "the column of dates",
    "group": "the column of groups",
    "given": "the column of split names",
}
"""Ways to divide that go by a column, and what it holds."""
NO_FOLDS = ("time", "given")
Tracker = Literal["tensorboard", "mlflow", "wandb"]


class Columns(Options):
    """Which columns hold what. What is left out is inferred, and the inference is explained."""

    text: str | None = None
    """Column with the text."""
    label: Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(min_length=2)] | None = None
    """Column with the label (a list in it makes the task multi-label), or a list of 0/1 columns, one per label."""
    separator: Annotated[str, Field(min_length=1)] | None = None
    """Character between several labels in one text cell, such as `|` in `noisy|expensive`; makes the task multi-label."""


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
    max_length: Annotated[int, Field(ge=4)] | None = None
    """Longest row in tokens. Default: what the model can read, at most 512. Batches are padded to their own longest row, so a
    high limit costs nothing when texts are short."""
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
    """What splits share that they should not (texts, ids, groups, time): `fix` takes such rows out of training, never out of test."""
    augment: Annotated[
        list[AnyAugmentation],
        BeforeValidator(_as_list, json_schema_input_type=AnyAugmentation | list[AnyAugmentation]),
    ] = []
    """How training rows are changed, anew in every epoch: a name, a mapping with settings, or a list that is applied in order.
    Other splits stay as they are. `luthier data preview` shows what comes out."""
    rows: Annotated[int, Field(ge=10)] | None = None
    """Use only this many rows of each split, drawn at random: for a quick trial."""


class EarlyStopping(Options):
    """Stop when validation no longer improves."""

    patience: Annotated[int, Field(ge=1)] = 2
    """Evaluations without improvement before training stops."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """Smallest change that counts as an improvement."""


class Train(Options):
    """How the weights are trained."""

    epochs: Annotated[int, Field(ge=1)] | None = None
    """Passes over the training rows. Default: the method's own, which is 3, but 30 for `head`, whose frozen part is computed once."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Rows per optimiser step, over all devices. Rows are cut into micro-batches of similar length by themselves."""
    accumulation: Annotated[int, Field(ge=1)] = 1
    """Batches whose gradients are summed into one step: the step then holds batch_size x accumulation rows."""
    sampling: Literal["over", "under"] | None = None
    """Epochs with as many rows of each class: `over` repeats rows of small classes, `under` draws other rows of the large ones each
    time. Default: each row once. `task.weights` and `task.focal` change the loss instead."""
    lr: Rates | None = None
    """Peak learning rate, or one for each part: `{head: 1e-2, top: 1e-3, rest: 1e-4}`. Parts are `head`, `top` (the last two
    blocks and what follows them), `embeddings`, `rest`, or regular expressions searched in parameter names; the first that
    fits counts. Default: the method's own."""
    layer_decay: Decay | None = None
    """Each block's rate over that of the block above it, such as 0.9 (ELECTRA) or 1/2.6 (ULMFiT); the head has the full rate."""
    schedule: Literal["linear", "cosine", "constant", "plateau"] = "linear"
    """How the rate falls after warm-up; `plateau` divides it by ten when validation stops improving (ReduceLROnPlateau)."""
    warmup: Annotated[float, Field(ge=0)] = 0.06
    """Steps over which the rate rises from 0: below 1 a share of all steps, else a number of steps."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """AdamW's decoupled decay; biases and normalisation weights have none."""
    clip: Annotated[float, Field(gt=0)] | None = 1.0
    """Largest norm of the gradient; null for no limit."""
    label_smoothing: Fraction = 0.0
    """Share of the target spread evenly over all classes (Szegedy et al. 2016)."""
    monitor: str = "f1_macro"
    """Validation metric that picks the best epoch and stops early; `loss` and every metric of the report can be named."""
    early_stopping: EarlyStopping | None = None
    """Stop when the monitored metric no longer improves."""
    keep_best: bool = True
    """Save the weights of the best evaluation; false saves the last."""
    evaluate_every: Annotated[int, Field(ge=1)] | None = None
    """Steps between evaluations. Default: once per epoch."""
    save_every: Annotated[int, Field(ge=1)] | None = None
    """Steps between checkpoints beside those at each evaluation."""
    keep: Annotated[int, Field(ge=0)] = 0
    """How many older checkpoints stay beside `last` and `best`."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """`auto` measures a small product and takes bf16 where it is faster."""
    cache: Literal["auto", "off", "memory", "disk"] = "auto"
    """Where outputs of frozen lower parts are kept, so that they are computed once per row and not in every epoch: in memory
    where they fit, else in a file; `off` computes them anew each time. The results are the same."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    max_tokens: Annotated[int, Field(ge=16)] | None = None
    """Most padded tokens in one micro-batch. Default: no limit but memory; it is halved when memory runs out."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute."""
    track: Annotated[list[Tracker], BeforeValidator(_as_list, json_schema_input_type=Tracker | list[Tracker])] = []
    """Trackers to report to beside log.jsonl."""


class Stage(Options):
    """A part of the training with its own choice of weights; the optimiser goes on for those that stay."""

    epochs: Annotated[int, Field(ge=1)] | None = None
    """Passes over the training rows. Default: `train.epochs`, else the method's own."""
    method: SomeMethods
    """Which weights change in this stage, as in `method`."""
    lr: Rates | None = None
    """Peak learning rate of this stage, as in `train.lr`, which is the default."""
    layer_decay: Decay | None = None
    """As in `train.layer_decay`, which is the default."""


class Recipe(Options):
    """One fine-tuning job."""

    task: Annotated[Task, Choice(TASKS)] = Field(default="classify", validate_default=True)
    """What is predicted."""
    model: str = "demo/minilm-en"
    """Base model: a Hugging Face name, a local folder, the folder of an earlier run, or `demo/minilm-en`."""
    revision: str | None = None
    """Branch, tag or commit of a model from the hub."""
    trust_remote_code: bool = False
    """Run code that comes with the model. Only for sources you trust."""
    data: Data
    """The labelled rows."""
    method: SomeMethods = Field(default=DEFAULT_METHOD, validate_default=True)
    """Which weights change and how: a name, a mapping with settings, or a list to combine."""
    stages: Annotated[
        Annotated[list[Stage], Field(min_length=1)] | Literal["gradual"] | None, BeforeValidator(_gradual_or_list)
    ] = None
    """Several methods one after the other, in place of `method`. `gradual` divides `train.epochs` into stages of one epoch that
    go from the head alone down to the whole network (ULMFiT, Howard & Ruder 2018)."""
    save: Literal["merged", "increment"] | None = None
    """`merged` writes a full model; `increment` only what was added or changed, and which base it belongs to. Default: merged,
    but for methods that no plain model can hold (adapter, prefix, prompt)."""
    train: Train = Train()
    """How the weights are trained."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of the split, the new head, the order of rows and dropout."""
    output: str = ""
    """Run folder. Default: runs/ and the name of the data."""
    resolved: dict[str, Any] | None = None
    """Written by luthier into a run's recipe.yaml (versions, hardware, learning rate used); passed over when read."""

    @property
    def methods(self) -> list[Method]:
        """All methods that the recipe names, of all stages."""
        stages = self.stages if isinstance(self.stages, list) else []
        return [method for stage in stages for method in stage.method] or self.method

    @model_validator(mode="after")
    def _one_plan(self) -> Recipe:
        """A recipe has stages or a method."""
        if self.stages is not None and "method" in self.model_fields_set:
            raise PydanticCustomError(
                "member",
                "give `method` or `stages` and not both: each stage names its own method",
                {"key": "method"},
            )
        return self

    @model_serializer(mode="wrap")
    def _without_the_unused(self, fields: Any) -> dict[str, Any]:
        """Leave `method` out beside stages, so that what is written can be read."""
        written: dict[str, Any] = fields(self)
        return {key: value for key, value in written.items() if key != "method" or self.stages is None}

    @model_validator(mode="before")
    @classmethod
    def _name_output(cls, fields: Any) -> Any:
        """Fill in `output` from the data's name."""
        if isinstance(fields, dict) and not fields.get("output"):
            files = (fields.get("data") or {}).get("files") if isinstance(fields.get("data"), dict) else None
            first = files.get("train") if isinstance(files, dict) else files
            first = first[0] if isinstance(first, list) and first else first
            if isinstance(first, str):
                name = re.sub(r"\.(gz|bz2|xz|zst|zip)$", "", first.rstrip("/").rsplit("/", 1)[-1])
                stem = re.sub(r"\.(csv|tsv|jsonl?|parquet|conll|bio|bmes)$", "", name)
                stem = re.sub(r"[^\w.-]+", "", stem).strip(".-_")
                fields = fields | {"output": f"runs/{stem or 'run'}"}
        return fields
