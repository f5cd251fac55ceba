"""The loss that a recipe asks for, from its keys to the job's objective: focus, weights and label smoothing, by plain formulas."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput

from luthier.objectives.supervised import CrossEntropy, LabelCrossEntropy
from small_jobs import job_of, recipe_for

ROWS, CLASSES = 24, 3
NAMES = ("bad", "fair", "good")
WEIGHTS = {"bad": 0.5, "fair": 3.0, "good": 1.5}


class Given(nn.Module):
    """A model that answers with fixed logits, in which a gradient can be seen."""

    def __init__(self) -> None:
        super().__init__()
        start = torch.randn(ROWS, CLASSES, generator=torch.Generator().manual_seed(0)) * 2
        self.logits = nn.Parameter(start)

    def forward(self) -> SequenceClassifierOutput:
        return SequenceClassifierOutput(logits=self.logits)  # type: ignore[arg-type]


def classes() -> Tensor:
    return torch.randint(CLASSES, (ROWS,), generator=torch.Generator().manual_seed(1))


def labels() -> Tensor:
    return torch.randint(2, (ROWS, CLASSES), generator=torch.Generator().manual_seed(2)).float()


def slow_classes(
    logits: Tensor, target: Tensor, weights: list[float], smoothing: float, focal: float
) -> tuple[Tensor, Tensor]:
    """Row by row: (1 - p(class))^focal times the weighted cross entropy with the smoothed target."""
    total, count = torch.zeros(()), torch.zeros(())
    for scores, true in zip(logits, target.tolist(), strict=True):
        chance = scores.exp() / scores.exp().sum()
        loss = torch.zeros(())
        for one in range(CLASSES):
            share = (1 - smoothing) * (one == true) + smoothing / CLASSES
            loss = loss - weights[one] * share * chance[one].log()
        total = total + (1 - chance[true]) ** focal * loss
        count = count + weights[true]
    return total, count


def slow_labels(
    logits: Tensor, target: Tensor, weights: list[float], smoothing: float, focal: float
) -> tuple[Tensor, Tensor]:
    """Cell by cell: (1 - p(what is true))^focal times the entropy of yes, which is weighted, and no."""
    total = torch.zeros(())
    for scores, row in zip(logits, target.tolist(), strict=True):
        for one, true in enumerate(row):
            yes = 1 / (1 + (-scores[one]).exp())
            share = true * (1 - smoothing) + smoothing / 2
            loss = -(weights[one] * share * yes.log() + (1 - share) * (1 - yes).log())
            total = total + (1 - (yes if true else 1 - yes)) ** focal * loss
    return total, torch.tensor(float(target.numel()))


Slow = Callable[[Tensor, Tensor, list[float], float, float], tuple[Tensor, Tensor]]
KINDS: dict[str, tuple[Any, Tensor, Slow]] = {
    "classes": (CrossEntropy, classes(), slow_classes),
    "labels": (LabelCrossEntropy, labels(), slow_labels),
}


def check(objective: Any, target: Tensor, expected: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
    """The sum, the count and the gradient are those of the formula."""
    model = Given()
    total, count = objective(model, {"target": target})
    slow, slow_count = expected(model.logits)
    torch.testing.assert_close(total, slow)
    torch.testing.assert_close(count, slow_count)
    (ours,), (theirs,) = (torch.autograd.grad(one, [model.logits]) for one in (total, slow))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("focal", [0.5, 2.0])
def test_focus_with_weights_and_smoothing_is_the_formula(
    kind: str, weighted: bool, smoothing: float, focal: float
) -> None:
    made, target, slow = KINDS[kind]
    weights = list(WEIGHTS.values()) if weighted else [1.0] * CLASSES
    objective = made(torch.tensor(weights) if weighted else None, smoothing, focal)
    check(objective, target, lambda logits: slow(logits, target, weights, smoothing, focal))


def write(folder: Path, several: bool) -> Path:
    """Rows of three labels, one each, or two of them in every third row."""
    lines = []
    for row in range(60):
        one, other = NAMES[row % 3], NAMES[(row + 1) % 3]
        label: Any = [one, other] if row % 3 == row % 2 else [one]
        lines.append(json.dumps({"text": f"the film is {row} {one}", "label": label if several else one}))
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "rows.jsonl"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", [{"focal": 2.0}, {"focal": 1.5, "weights": WEIGHTS}], ids=["plain", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_what_the_recipe_says_is_what_the_job_minimises(
    kind: str, task: dict[str, Any], smoothing: float, tiny_bert: Path, tmp_path: Path
) -> None:
    made, target, slow = KINDS[kind]
    train = {"label_smoothing": smoothing}
    file = write(tmp_path, several=kind == "labels")
    job, ready = job_of(recipe_for(tiny_bert, file, tmp_path / "run", train, task={"name": "classify", **task}))
    assert type(job.objective) is made
    assert ready.data.facts["target"]["labels"] == list(NAMES)
    weights = [task.get("weights", {}).get(name, 1.0) for name in NAMES]
    check(job.objective, target, lambda logits: slow(logits, target, weights, smoothing, task["focal"]))
