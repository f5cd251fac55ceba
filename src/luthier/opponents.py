"""What a fine-tuned model should beat: one answer to all rows, counted words, and the base model as it stands."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.build import Ready, get_ready, make_accelerator
from luthier.data import media
from luthier.data.batches import EncodedFeed
from luthier.errors import LuthierError
from luthier.evaluate import text_baseline
from luthier.evaluate.contenders import Contender, Ground, Part, constant, measured
from luthier.evaluate.costs import Cost
from luthier.evaluate.predict import Scorer
from luthier.evaluate.same_rows import order
from luthier.folder import RunFolder
from luthier.prepare import Prepared, prepare
from luthier.recipe.data import INPUTS
from luthier.recipe.reading import read
from luthier.recipe.schema import Recipe
from luthier.show import Console
from luthier.versions import manifest

UNTUNED = "untuned base"
AS_IT_STANDS = ("method=full", "stages=", "train.lr=", "train.layer_decay=", "save=")
"""Laid over a recipe so that nothing is inserted into its network."""
CHANGED = "the files of the runs are not as they were when they were trained"


@dataclass(frozen=True)
class _Rows:
    """Prepared rows beside the ground of a comparison."""

    data: Prepared
    ground: Ground

    @property
    def parts(self) -> list[Part]:
        """What is reported, and what is chosen on where that is something else."""
        ground = self.ground
        other = ground.chosen_on
        return [ground.reported, *([other] if other and other.split != ground.reported.split else [])]

    def measure(self, scores: Mapping[str, Any], numbers: Mapping[str, Any]) -> Any:
        """Figures of scores by split, given with the numbers of their rows; None where the rows are not those of the ground."""
        listed = manifest(self.data).to_pandas()
        found = {}
        for part in self.parts:
            own = order(listed, part.split, (numbers[part.split] + 1).tolist())
            if own.keys != part.rows.keys:
                return None
            found[part.split] = own.sort(scores[part.split])
        chosen_on = self.ground.chosen_on
        return measured(
            self.ground, [(found[self.ground.reported.split], found[chosen_on.split] if chosen_on else None)]
        )


def opponents(recipes: Sequence[Recipe], ground: Ground, console: Console) -> list[Contender]:
    """All opponents of some recipes that learn from the same rows; those that cannot be had say why.

    Args:
        recipes: of the runs; their base models are scored as they stand.
        ground: what is compared on.
        console: to show progress.
    """
    found = constant(ground)
    return [*([found] if found else []), *_read(recipes, ground, console)]


def _read(recipes: Sequence[Recipe], ground: Ground, console: Console) -> Iterator[Contender]:
    """Those that read the rows."""
    bases: dict[str, Recipe] = {}
    for recipe in recipes:
        bases.setdefault(str(recipe.model), recipe)
    counted = False
    for model, recipe in bases.items():
        name = UNTUNED if len(bases) == 1 else f"{UNTUNED} {Path(model).name}"
        try:
            with tempfile.TemporaryDirectory() as place:
                plain = read(recipe, AS_IT_STANDS)
                accelerator = make_accelerator(plain, RunFolder(place))
                rows = _Rows(prepare(plain), ground)
                ready = get_ready(plain, rows.data, accelerator, Console(quiet=True))
                if not counted:
                    yield from _counted(rows, console)
                counted = True
                yield _untuned(name, ready, rows, accelerator, console)
        except LuthierError as wrong:
            yield Contender(name, Path(model).name, failed=str(wrong), trained=False)


def _counted(rows: _Rows, console: Console) -> Iterator[Contender]:
    """The linear model of counted words, where rows have words and the task such a model."""
    data = rows.data
    columns = [
        name for key, name in zip(INPUTS[data.found.medium], data.found.inputs, strict=False) if key not in media.MEDIA
    ]
    if not columns:
        return
    texts = {
        name: [[str(cell or "") for cell in table.rows[one]] for one in columns] for name, table in data.tables.items()
    }
    targets = {name: data.target.encode(table.labels) for name, table in data.tables.items()}
    with console.status("Fitting a linear model of counted words"):
        found = text_baseline.oppose(data.target, texts, targets, rows.ground.monitor)
    if found is None:
        return
    numbers = {name: table.numbers for name, table in data.tables.items()}
    told = rows.measure(found.scores, numbers)
    yield Contender(
        text_baseline.NAME,
        found.what,
        told,
        Cost(parameters=found.parameters, seconds=found.seconds, milliseconds=1000 * found.per_row),
        failed="" if told else CHANGED,
        trained=False,
    )


def _untuned(name: str, ready: Ready, rows: _Rows, accelerator: Any, console: Console) -> Contender:
    """The base model before a step of training, where it has all weights that it answers with."""
    what = f"{Path(str(ready.recipe.model)).name} as it stands"
    if ready.new:
        why = (
            f"it has no head for these labels: {len(ready.new)} of its parameters are drawn anew, and answer by chance"
        )
        return Contender(name, what, failed=why, trained=False)
    scores, numbers, seconds = {}, {}, {}
    scorer = Scorer(ready.model, rows.data.target, accelerator, ready.modality)
    for part in rows.parts:
        own = rows.data.rows[part.split]
        with console.bar(f"The base model on the {part.split} rows", len(own)) as advance:
            began = time.perf_counter()
            scores[part.split] = scorer(EncodedFeed(own, ready.modality), advance).per_row
            seconds[part.split] = (time.perf_counter() - began) / len(own)
        numbers[part.split] = own.numbers
    told = rows.measure(scores, numbers)
    cost = Cost(parameters=0, seconds=0, milliseconds=1000 * seconds[rows.ground.reported.split])
    return Contender(name, what, told, cost, failed="" if told else CHANGED, trained=False)
