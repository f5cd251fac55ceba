"""mixup and CutMix: soft labels by hand, the same gradient however a step is cut, and nothing changed where nothing is mixed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from media_jobs import hearing, images, recipe, seeing, sounds
from pydantic import ValidationError
from test_feed import interrupted, losses
from torch.nn import functional as F

import luthier
from luthier.augment import MIXINGS, Mixing, refuse_unmixed
from luthier.augment.cutmix import CutMix
from luthier.augment.mixed import MixedFeed
from luthier.augment.mixup import Mixup
from luthier.errors import RecipeError
from luthier.objectives import Objective
from luthier.objectives.mixed import Mixed
from luthier.objectives.supervised import CrossEntropy, LabelCrossEntropy
from luthier.training.job import Job
from small_jobs import job_of

CPU = torch.device("cpu")


class Fixed(Mixing):
    """Blends with a share that is not drawn."""

    name = "fixed"
    media = frozenset({"image", "audio"})
    share: float

    def mix(
        self, own: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor], random: np.random.Generator
    ) -> tuple[dict[str, torch.Tensor], float]:
        return {name: self.share * value + (1 - self.share) * other[name] for name, value in own.items()}, self.share


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("seen")
    return recipe(seeing(folder), images(folder / "data"), folder / "run")


@pytest.fixture(scope="module")
def job(made: dict[str, Any]) -> Job:
    """Rows that are not mixed, to be wrapped."""
    return job_of(made)[0]


@pytest.fixture
def seen(made: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    return made | {"data": dict(made["data"]), "output": str(tmp_path / "run")}


def mixed_job(asked: dict[str, Any], mixing: Any) -> Job:
    return job_of(asked | {"train": asked["train"] | {"mixing": mixing}})[0]


def gradient(job: Job, feed: Any, objective: Objective, pieces: list[np.ndarray]) -> tuple[torch.Tensor, float, float]:
    """Of the summed losses of all pieces; with the sum and the count."""
    job.model.zero_grad()
    loss_sum = count_sum = 0.0
    for piece in pieces:
        loss, count = objective(job.model.eval(), feed.batch(piece, CPU))
        loss.backward()
        loss_sum, count_sum = loss_sum + loss.item(), count_sum + count.item()
    flat = torch.cat([one.grad.flatten() for one in job.model.parameters() if one.grad is not None])
    return flat, loss_sum, count_sum


def test_a_share_of_one_equals_no_mixing(job: Job) -> None:
    rows = np.arange(8)
    feed = MixedFeed(job.feed, Fixed(alpha=1, share=1.0), seed=0)
    feed.begin(rows, 0)
    plain, loss, count = gradient(job, job.feed, job.objective, [rows])
    mixed, mixed_loss, mixed_count = gradient(job, feed, Mixed(job.objective), [rows])
    assert torch.equal(mixed, plain)
    assert (mixed_loss, mixed_count) == (loss, count)


@pytest.mark.parametrize("name", list(MIXINGS))
@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 3.0])])
def test_the_gradient_is_the_same_however_the_step_is_cut(name: str, weights: torch.Tensor | None, job: Job) -> None:
    objective, rows = Mixed(CrossEntropy(weights, 0.1)), np.array([3, 1, 9, 12, 5, 0])
    feed = MixedFeed(job.feed, MIXINGS[name](alpha=1.0), seed=3)
    feed.begin(rows, 1)
    whole, loss, count = gradient(job, feed, objective, [rows])
    for pieces in ([rows[[4, 0]], rows[[1, 2, 3, 5]]], [rows[[one]] for one in range(6)]):
        cut, cut_loss, cut_count = gradient(job, feed, objective, pieces)
        assert torch.allclose(cut, whole, atol=1e-6)
        assert cut_loss == pytest.approx(loss, rel=1e-5)
        assert cut_count == pytest.approx(count, rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_that_of_the_soft_label(smoothing: float, job: Job) -> None:
    rows = np.arange(10)
    feed = MixedFeed(job.feed, Mixup(alpha=1.0), seed=1)
    feed.begin(rows, 0)
    batch = feed.batch(rows, CPU)
    loss, count = Mixed(CrossEntropy(None, smoothing))(job.model.eval(), batch)
    share = batch["target_share"]
    soft = share * F.one_hot(batch["target"], 2) + (1 - share) * F.one_hot(batch["target_other"], 2)
    logits = job.model(pixel_values=batch["pixel_values"]).logits
    assert torch.allclose(loss / count, F.cross_entropy(logits, soft, label_smoothing=smoothing))
    by_hand = [
        share * F.cross_entropy(logits, batch["target"], label_smoothing=smoothing, reduction="sum"),
        (1 - share) * F.cross_entropy(logits, batch["target_other"], label_smoothing=smoothing, reduction="sum"),
    ]
    assert torch.allclose(loss, sum(by_hand))
    assert 0 < float(share) < 1


def test_several_labels_and_weights_are_mixed_alike() -> None:
    class Known(torch.nn.Module):
        calls = 0

        def forward(self, **inputs: torch.Tensor) -> Any:
            self.calls += 1
            return type("Said", (), {"logits": inputs["x"]})

    model, logits = Known(), torch.randn(3, 4)
    one, other = torch.randint(0, 2, (3, 4)).float(), torch.randint(0, 2, (3, 4)).float()
    batch = {"x": logits, "target": one, "target_other": other, "target_share": torch.tensor(0.3)}
    loss, count = Mixed(LabelCrossEntropy(None, 0.0))(model, batch)
    soft = 0.3 * one + 0.7 * other
    assert torch.allclose(loss / count, F.binary_cross_entropy_with_logits(logits, soft))
    assert model.calls == 1
    weights, classes, others = torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([0, 3, 1]), torch.tensor([2, 2, 0])
    batch |= {"target": classes, "target_other": others}
    loss, count = Mixed(CrossEntropy(weights, 0.0))(model, batch)
    assert float(count) == pytest.approx(0.3 * (1 + 8 + 2) + 0.7 * (4 + 4 + 1))
    each = [F.cross_entropy(logits, target, weights, reduction="sum") for target in (classes, others)]
    assert float(loss) == pytest.approx(float(0.3 * each[0] + 0.7 * each[1]), rel=1e-5)


def test_mixup_blends_each_row_with_its_partner_and_the_targets_with_it(job: Job) -> None:
    rows = np.array([2, 7, 11, 4])
    feed = MixedFeed(job.feed, Mixup(alpha=1.0), seed=5)
    feed.begin(rows, 0)
    batch = feed.batch(rows, CPU)
    share = float(batch["target_share"])
    plain = {int(row): job.feed.inputs(np.array([row]))["pixel_values"][0] for row in rows}
    partners = []
    for place, row in enumerate(rows.tolist()):
        blends = {
            other: float((share * plain[row] + (1 - share) * plain[other] - batch["pixel_values"][place]).abs().max())
            for other in rows.tolist()
        }
        partner = min(blends, key=lambda other: blends[other])
        assert blends[partner] < 1e-6
        assert job.feed.targets[partner] == batch["target_other"][place]
        assert job.feed.targets[row] == batch["target"][place]
        partners.append(partner)
    assert sorted(partners) == sorted(rows.tolist())


def test_a_draw_depends_on_seed_epoch_and_rows_and_on_nothing_else(job: Job) -> None:
    rows, drawn = np.arange(6), []
    for seed, epoch, some in [(0, 0, rows), (0, 0, rows), (1, 0, rows), (0, 1, rows), (0, 0, rows[::-1])]:
        feed = MixedFeed(job.feed, Mixup(alpha=1.0), seed)
        feed.begin(np.array([9, 10]), 7)
        feed.begin(some, epoch)
        drawn.append(float(feed.batch(some, CPU)["target_share"]))
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 4


def test_a_row_of_no_step_is_as_it_is(job: Job) -> None:
    feed = MixedFeed(job.feed, CutMix(), 0)
    feed.begin(np.arange(4), 0)
    other = np.array([9])
    assert torch.equal(feed.inputs(other)["pixel_values"], job.feed.inputs(other)["pixel_values"])


@pytest.mark.parametrize("height", [1, 17, 32])
def test_cutmix_pastes_one_rectangle_and_counts_its_pixels(height: int) -> None:
    own, other = {"pixel_values": torch.zeros(5, 3, height, 24)}, {"pixel_values": torch.ones(5, 3, height, 24)}
    shares = []
    for seed in range(200):
        mixed, share = CutMix().mix(own, other, np.random.default_rng(seed))
        pasted = mixed["pixel_values"]
        assert share == pytest.approx(1 - float(pasted.mean()))
        assert torch.equal(pasted, pasted[:1, :1].expand_as(pasted))
        rows, columns = pasted[0, 0].any(dim=1), pasted[0, 0].any(dim=0)
        assert torch.equal(pasted[0, 0].bool(), rows[:, None] & columns[None])
        for side in (rows, columns):
            found = side.nonzero().flatten()
            assert torch.equal(found, torch.arange(len(found)) + (found[0] if len(found) else 0))
        shares.append(share)
    assert not own["pixel_values"].any()
    if height > 1:
        assert min(shares) < 0.35
        assert max(shares) > 0.95


def test_the_share_of_mixup_is_betas() -> None:
    own, other = {"x": torch.zeros(1, 2)}, {"x": torch.ones(1, 2)}
    shares = [Mixup(alpha=0.4).mix(own, other, np.random.default_rng(seed))[1] for seed in range(2000)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.03)
    assert np.var(shares) == pytest.approx(1 / (4 * (2 * 0.4 + 1)), rel=0.1)  # of beta(a, a)


def test_masks_count_where_either_row_has_something() -> None:
    own = {"x": torch.tensor([[2.0, 4.0]]), "attention_mask": torch.tensor([[1, 0]])}
    other = {"x": torch.tensor([[0.0, 8.0]]), "attention_mask": torch.tensor([[1, 1]])}
    mixed, share = Mixup(alpha=1.0).mix(own, other, np.random.default_rng(0))
    assert mixed["attention_mask"].tolist() == [[1, 1]]
    assert mixed["x"].tolist()[0] == pytest.approx([2 * share, 4 * share + 8 * (1 - share)])


def test_sounds_are_as_long_as_the_longer_of_two(tmp_path: Path) -> None:
    asked = recipe(hearing(tmp_path, "wav2vec2"), sounds(tmp_path / "data"), tmp_path / "run")
    job = mixed_job(asked, {"name": "mixup", "alpha": 1.0})
    below = job_of(asked)[0].feed
    rows = np.array([0, 3, 8, 12])
    job.feed.begin(rows, 0)
    others = job.feed._others(rows)
    assert np.array_equal(job.feed.lengths[rows], np.maximum(below.lengths[rows], below.lengths[others]))
    place = int(np.argmin(below.lengths[rows]))
    alone = job.feed.inputs(rows[[place]])
    longest = max(
        below.inputs(rows[[place]])["input_values"].shape[1], below.inputs(others[[place]])["input_values"].shape[1]
    )
    assert alone["input_values"].shape == alone["attention_mask"].shape == (1, longest)


@pytest.mark.parametrize("mixing", ["mixup", {"name": "cutmix", "alpha": 0.5}])
def test_a_stopped_run_goes_on_with_the_same_mixtures(mixing: Any, seen: dict[str, Any], tmp_path: Path) -> None:
    asked = seen | {"train": seen["train"] | {"mixing": mixing}}
    asked["data"]["augment"] = ["crop", "flip"]
    whole = luthier.train(asked, output=str(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt), interrupted():
        luthier.train(asked, output=str(tmp_path / "parts"))
    parts = luthier.train(asked, output=str(tmp_path / "parts"))
    assert losses(parts) == losses(whole)
    assert json.loads((parts.path / "data.json").read_text())["columns"]["medium"] == "image"


@pytest.mark.parametrize(
    ("name", "medium", "said"),
    [
        (
            "cutmix",
            "audio",
            r"^train\.mixing: cutmix mixes image and these rows are audio\. Leave train\.mixing out\.$",
        ),
        ("mixup", "text", r"^train\.mixing: mixup mixes audio and image and these rows are text\."),
    ],
)
def test_rows_that_cannot_be_mixed_are_refused(name: str, medium: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        refuse_unmixed(MIXINGS[name](), medium)
    refuse_unmixed(None, medium)
    refuse_unmixed(MIXINGS[name](), "image")


def test_texts_are_refused_before_training(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"mixup mixes audio and image and these rows are text\."):
        mixed_job(recipe(tiny_bert, reviews, tmp_path / "run"), "mixup")


@pytest.mark.parametrize("name", list(MIXINGS))
def test_alpha_is_above_zero(name: str) -> None:
    for wrong in (0, -1):
        with pytest.raises(ValidationError):
            MIXINGS[name](alpha=wrong)
