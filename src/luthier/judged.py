"""Training rows whose label is probably wrong, found by the base model's own vectors, and what the recipe says of them."""

from __future__ import annotations

from dataclasses import replace

from luthier import shifted
from luthier.data import mislabeled
from luthier.data.changes import Change, summary
from luthier.embed import embed
from luthier.errors import DataError, RecipeError
from luthier.models.find import Base, find
from luthier.prepare import Prepared, prepare
from luthier.recipe.schema import Recipe
from luthier.show import Console

ACTIONS = {"drop": "removed", "fix": "relabelled"}


def prepare_judged(recipe: Recipe, console: Console | None = None) -> Prepared:
    """The rows as a run of the recipe uses them: prepared, and with what `data.labels` does to those of training.

    Raises:
        DataError: the files, columns, labels or splits cannot be used.
        ModelError: the base model cannot be found.
    """
    console = console or Console(quiet=True)
    data = prepare(recipe, console)
    if recipe.data.labels in ACTIONS:
        judge_labels(data, recipe, find(recipe.model, recipe.revision, recipe.trust_remote_code), console)
    return data


def judge_labels(data: Prepared, recipe: Recipe, base: Base, console: Console) -> None:
    """Look for wrong labels among the training rows, do with them what `data.labels` says, and complete the facts.

    Raises:
        ExtraError: cleanlab is not installed.
        ModelError: the base cannot be opened.
        RecipeError: the labels are no classes.
    """
    how = recipe.data.labels
    if how == "ignore":
        return
    table = data.tables["train"]
    if recipe.task.labels != "classes":
        raise RecipeError(
            f"data.labels: {how} looks for rows that carry the name of another class, and these labels are {recipe.task.labels}. Write "
            "data.labels: ignore; the report shows the rows that the model is furthest from."
        )
    with console.bar("Vectors of the base model", len(table.labels)) as advance:
        vectors = embed(base, table.rows, data.found, data.limit, recipe.train.device, advance, data.target)
    groups = table.alike if len(table.alike) else None
    found = mislabeled.find(vectors, table.labels, groups, table.numbers, recipe.seed)
    treated = mislabeled.treat(found.suspects, table.labels, how)
    data.facts["labels"] = {"action": how} | found.facts
    if "test" in data.tables:
        test = data.tables["test"]
        others = embed(base, test.rows, data.found, data.limit, recipe.train.device, target=data.target)
        data.facts["shift"] = shifted.compared(data, recipe, vectors[table.firsts], others[test.firsts])
    data.facts["notes"] += [found.sentence, *found.notes]
    if how in ACTIONS:
        action = ACTIONS[how]
        data.changes += [Change("train", one.row, action, "labels", one.reason) for one in found.suspects]  # type: ignore[arg-type]
        data.tables["train"] = replace(table.pick(treated.kept), labels=treated.labels)
        _learn_again(data, recipe)
        data.facts["changes"] = summary(data.changes)
        data.facts["splits"]["train"]["rows"] = len(treated.kept)


def _learn_again(data: Prepared, recipe: Recipe) -> None:
    """Learn the target from the rows that are left: the weights of classes hang on their numbers.

    Raises:
        DataError: a label has lost all its rows.
    """
    target = recipe.task.learn(data.tables["train"].labels)
    lost = sorted(set(map(str, data.facts["target"]["labels"])) - set(map(str, target.facts["labels"])))
    if lost:
        raise DataError(
            f"data.labels: {recipe.data.labels} would leave training without the label {lost[0]!r}, because all its rows look mislabelled. "
            "Look at them with data.labels: report."
        )
    data.target, data.facts["target"] = target, target.facts
