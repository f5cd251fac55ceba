"""Every key of a recipe: its type, default and meaning. docs/recipe.md and the JSON Schema are made from this file."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from luthier.augment import MIXINGS, Mixing
from luthier.methods import METHODS, Method
from luthier.networks import NETWORKS, Named, Network
from luthier.recipe.data import Data, Fraction, as_list
from luthier.registry import Choice, Options
from luthier.search import Search
from luthier.tasks import TASKS, Task


def _gradual_or_list(value: Any) -> Any:
    if value is None or value == "gradual" or isinstance(value, list):
        return value
    raise PydanticCustomError("member", "expected 'gradual' or a list of stages; got {value}.", {"value": repr(value)})


AnyMethod = Annotated[Method, Choice(METHODS)]
SomeMethods = Annotated[
    list[AnyMethod],
    BeforeValidator(as_list, json_schema_input_type=AnyMethod | list[AnyMethod]),
    Field(min_length=1),
]
DEFAULT_METHOD = "full"
PositiveRate = Annotated[float, Field(gt=0, lt=10)]
Rates = PositiveRate | Annotated[dict[str, PositiveRate], Field(min_length=1)]
Decay = Annotated[float, Field(gt=0, le=1)]
Tracker = Literal["tensorboard", "mlflow", "wandb"]


class EarlyStopping(Options):
    """Stop when validation no longer improves."""

    patience: Annotated[int, Field(ge=1)] = 2
    """Evaluations without improvement before training stops."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """Smallest change that counts as an improvement."""


class Train(Options):
    """How the weights are trained."""

    epochs: Annotated[int, Field(ge=1)] | None = None
    """Passes over the training rows. Default: the method's own, which is 3, but 30 for `head`, whose frozen part is computed once; and
    more of few rows, so that there are 100 optimiser steps (`prompt`, `ptuning` and `scratch`: 300)."""
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
    mixing: Annotated[Mixing, Choice(MIXINGS)] | None = None
    """How each training row is mixed with another one of its step, and the loss with it: `mixup` for images and audio, `cutmix` for
    images."""
    monitor: str | None = None
    """Validation metric that picks the best epoch and stops early; `loss` and every metric of the report can be named. Default: the
    task's own, F1 averaged over classes for `classify`."""
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
    track: Annotated[list[Tracker], BeforeValidator(as_list, json_schema_input_type=Tracker | list[Tracker])] = []
    """Trackers to report to beside log.jsonl."""


class Stage(Options):
    """A part of the training with its own choice of weights; the optimiser goes on for those that stay."""

    epochs: Annotated[int, Field(ge=1)] | None = None
    """Passes over the training rows. Default: `train.epochs`, else the method's own, and more of few rows as there."""
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
    model: Annotated[str | Network, Named(NETWORKS)] = "demo/minilm-en"
    """Base model: a Hugging Face name, a local folder, the folder of an earlier run, or `demo/minilm-en`; or a mapping that describes
    a network, such as `{factory: my_networks:small_cnn, settings: {width: 32}, image_size: 64}`."""
    revision: str | None = None
    """Branch, tag or commit of a model from the hub."""
    trust_remote_code: bool = False
    """Run code that comes with the model, here and whenever the run is opened. Only for sources you trust."""
    data: Data
    """The labelled rows."""
    method: SomeMethods = Field(default=DEFAULT_METHOD, validate_default=True)
    """Which weights change and how: a name, a mapping with settings, or a list to combine."""
    stages: Annotated[
        Annotated[list[Stage], Field(min_length=1)] | Literal["gradual"] | None, BeforeValidator(_gradual_or_list)
    ] = None
    """Several methods one after the other, in place of `method`. `gradual` divides `train.epochs` into stages of one epoch that
    go from the head alone down to the whole network (ULMFiT, Howard & Ruder 2018); without it there are three stages."""
    save: Literal["merged", "increment"] | None = None
    """`merged` writes a full model; `increment` only what was added or changed, and which base it belongs to. Default: merged,
    but for methods that no plain model can hold (adapter, prefix, prompt)."""
    train: Train = Train()
    """How the weights are trained."""
    search: Search | None = None
    """What `luthier tune` tries; training passes it over."""
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
