"""The cells of the grid: every method laid on every small model, or the sentence that refuses it.

The conformance suite tests each cell and holds it equal to docs/methods.md; docs/grid.py writes that page from the same cells.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForAudioClassification,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
)

import own_networks
import tiny_models
from luthier.entrances.texts import text_of
from luthier.errors import LuthierError
from luthier.methods import METHODS, Context, Method
from luthier.modalities.text import Text
from luthier.models.open import Base, architecture, open_model, open_tokenizer, positions
from luthier.models.quick import quicken
from luthier.models.quiet import quiet
from luthier.recipe.schema import Recipe
from luthier.tasks.classify import Classes
from luthier.training.stages import Applied, apply_methods

TARGET = Classes(("bad", "good", "so so"), multilabel=False)
TEXTS = ["the film is good", "bad", "the room is very bad the service not good", "great phone great battery"]
ANSWERS = torch.tensor([1, 0, 2, 1])

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "pattern": {"train": [r"\.1\.", "weight$"], "freeze": [r"\.0\."]},
    "cloze": {"pattern": "{text} {soft:2} {mask}", "verbalizer": {"so so": ["film", "room"]}},
    "prompt": {"length": 4},
    "ptuning": {"length": 4},
    "prefix": {"length": 4},
    "adapter": {"reduction": 4},
    "lora": {"rank": 4},
    "dora": {"rank": 4},
    "rslora": {"rank": 4},
    "lora+": {"rank": 4},
    "adalora": {"rank": 2, "initial_rank": 4},
}
"""Settings that a method needs, or that fit networks 32 wide; a new method is tried with its defaults."""

TEXT_MODELS = (*tiny_models.FAMILIES, *tiny_models.MORE_FAMILIES, "stories260k", "multilingual-e5-small-zhen")
OWN = "own-cnn"
"""A network that is none of transformers, made by a function of tests/own_networks.py."""
IMAGE_MODELS = (*tiny_models.SEEING, OWN, "efficientnet-lite0")
SOUND_MODELS = (*tiny_models.HEARING, "whisper-tiny-en-encoder")
MODELS = (*TEXT_MODELS, *IMAGE_MODELS, *SOUND_MODELS)

LARGE: Mapping[str, tuple[str, ...]] = {
    "multilingual-e5-small-zhen": ("full", "lora", "prefix", "prompt"),
    "efficientnet-lite0": ("head", "norm", "lora"),
    "whisper-tiny-en-encoder": ("head", "lora", "prefix"),
}
"""Real models that take seconds, and the methods that they are tried with."""


def cells() -> list[tuple[str, str]]:
    """All pairs of a model and a method."""
    return [(model, method) for model in MODELS for method in METHODS if method in LARGE.get(model, METHODS)]


@dataclass
class Shelf:
    """Where the models lie; random ones are made when they are asked for."""

    place: Path
    assets: Path | None = None
    made: dict[str, Path] = field(default_factory=dict)

    def folder(self, model: str, words: bool = False) -> Path:
        """Folder of a model, `words` with the head that predicts them."""
        if model in tiny_models.REAL and not model.startswith("whisper"):
            return self._real(model)
        key = f"{model} with words" if words else model
        if key not in self.made:
            self.made[key] = self._make(model, self.place / key, words)
        return self.made[key]

    def _make(self, model: str, folder: Path, words: bool) -> Path:
        with quiet():
            if model in tiny_models.REAL:
                return tiny_models.shorten_whisper(self._real(model), folder, positions=50)
            if model == OWN:
                return own_networks.make(folder)
            if model not in TEXT_MODELS:
                return tiny_models.make_perceiving(model, folder)
            speaks = words and model != "t5"  # which has no such head
            return (tiny_models.make_speaking if speaks else tiny_models.make)(model, folder)

    def _real(self, model: str) -> Path:
        assert self.assets is not None
        return self.assets / "models" / model


@dataclass
class Laid:
    """A method laid on a model, before training."""

    methods: list[Method]
    folder: Path
    kind: Any
    """The class of transformers that opens the model."""
    applied: Applied
    batch: dict[str, Tensor]
    modality: Text | None
    context: Context
    blocks: list[nn.Module]
    new: tuple[str, ...]

    @property
    def model(self) -> nn.Module:
        return self.applied.model


def recipe_of(methods: list[Any]) -> Recipe:
    return Recipe.model_validate({"data": {"files": "rows.csv"}, "method": methods})


def settings(method: str) -> list[Any]:
    return [{"name": method, **SETTINGS.get(method, {})}]


def lay(shelf: Shelf, model: str, methods: list[Any]) -> Laid:
    """Lay methods on a model as the pipeline does.

    Raises:
        LuthierError: they are refused.
    """
    recipe = recipe_of(methods)
    if model in TEXT_MODELS:
        return _lay_on_text(shelf, model, recipe)
    folder = shelf.folder(model)
    opened, new = open_perceiving(model, folder)
    batch = {opened.main_input_name: _inputs(opened)}
    seen = model in IMAGE_MODELS
    kind = AutoModelForImageClassification if seen else AutoModelForAudioClassification
    context = Context(labels=TARGET.labels, head="image" if seen else "audio")
    return _laid(recipe, folder, kind, opened, new, batch, None, context)


def _lay_on_text(shelf: Shelf, model: str, recipe: Recipe) -> Laid:
    words = any(method.words for method in recipe.methods)
    folder = shelf.folder(model, words)
    base = Base(model, str(folder))
    tokenizer = open_tokenizer(base)
    context = Context(tokenizer, TARGET.labels)
    modality = text_of(tokenizer, context, recipe.methods, None, positions(architecture(base)))
    torch.manual_seed(0)
    opened = open_model(base, TARGET.model_config, tokenizer.pad_token_id, "words" if words else "text")
    batch = modality.collate(modality.encode(TEXTS).columns)
    kind = AutoModelForSequenceClassification
    return _laid(recipe, folder, kind, opened.model, opened.new, batch, modality, context)


def open_perceiving(model: str, folder: Path) -> tuple[Any, tuple[str, ...]]:
    """A model for images or sound with a new head, and the names of what was drawn."""
    kind = AutoModelForImageClassification if model in IMAGE_MODELS else AutoModelForAudioClassification
    torch.manual_seed(0)
    with quiet():
        opened, report = kind.from_pretrained(
            folder,
            **TARGET.model_config,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    return opened, (*report["missing_keys"], *(entry[0] for entry in report["mismatched_keys"]))


def _laid(
    recipe: Recipe, folder: Path, kind: Any, opened: Any, new: Any, batch: Any, modality: Any, context: Any
) -> Laid:
    modules = dict(opened.named_modules())
    applied = apply_methods(opened, new, recipe, context)
    quicken(applied.model).eval()
    blocks = [modules[name] for name in applied.anatomy.blocks]
    return Laid(recipe.methods, folder, kind, applied, batch, modality, context, blocks, tuple(new))


def _inputs(model: Any) -> Tensor:
    """Four images or recordings of noise, always the same, as small as the model allows."""
    config = model.config
    if model.main_input_name == "input_features":
        shape: tuple[int, ...] = (config.num_mel_bins, 2 * config.max_source_positions)
    elif model.main_input_name == "input_values":
        shape = (400,)
    else:
        shape = (3, *2 * [min(config.to_dict().get("image_size", 32), 64)])
    return torch.randn(len(ANSWERS), *shape, generator=torch.Generator().manual_seed(1))


def outcome(shelf: Shelf, model: str, method: str) -> str:
    """`yes`, or why the method is refused."""
    try:
        lay(shelf, model, settings(method))
    except LuthierError as refused:
        return str(refused).replace(str(shelf.place), "...")
    return YES


YES = "yes"
UNTRIED = "-"
PAGE = Path(__file__).parents[2] / "docs" / "methods.md"
INTRODUCTION = """\
# Methods and models

Written by `make docs`; tests/methods/test_conformance.py holds every cell to be what it says. *yes*: the cell passes
the suite: the outputs are unchanged at the start where the method promises it, only what it marks moves, the loss falls, what
is saved loads again with the same outputs, head included, merging keeps them to 1e-5, plain transformers or PEFT load what
they know, copies are independent, causal models see no future, and a run that is interrupted and goes on from its checkpoint ends
with the same weights, bit for bit (not tried on multilingual-e5-small-zhen, for its size). A number: refused before training,
for the reason below. -: too slow for the suite.

The models are random ones with two or three blocks, 32 wide, and four real ones.
"""


def page(
    outcomes: Mapping[tuple[str, str], str], rows: Sequence[str] = MODELS, introduction: str = INTRODUCTION
) -> str:
    """The text of docs/methods.md, or of a page with other rows."""
    reasons = list(dict.fromkeys(text for text in outcomes.values() if text != YES))
    numbers = {YES: YES, UNTRIED: UNTRIED, **{text: f"[{number}]" for number, text in enumerate(reasons, 1)}}
    lines = [f"| | {' | '.join(METHODS)} |", f"|---{'|---' * len(list(METHODS))}|"]
    for model in rows:
        row = [numbers[outcomes.get((model, method), UNTRIED)] for method in METHODS]
        lines.append(f"| {model} | {' | '.join(row)} |")
    refusals = [f"{number}. {text}" for number, text in enumerate(reasons, 1)]
    return "\n".join([introduction, *lines, "", "## Refused", "", *refusals, ""])


def published(file: Path = PAGE) -> dict[tuple[str, str], str]:
    """What a page says of each cell."""
    if not file.is_file():
        return {}
    lines = file.read_text(encoding="utf-8").splitlines()
    reasons = {f"[{one[1]}]": one[2] for line in lines if (one := re.match(r"(\d+)\. (.*)", line))}
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
    names = rows[0][1:]
    return {
        (row[0], method): reasons.get(cell, cell)
        for row in rows[1:]
        for method, cell in zip(names, row[1:], strict=True)
        if cell != UNTRIED
    }
