"""Recall in both directions against the slow obvious version."""

from __future__ import annotations

import numpy as np
import pytest

from luthier.evaluate.alignment import FIGURES, AlignmentJudge


def slow(first: np.ndarray, second: np.ndarray) -> list[int]:
    """Places of partners; what belongs to the same asker is right too."""
    found = []
    for row, asked in enumerate(first):
        rivals = [other for other in range(len(first)) if not np.array_equal(first[other], asked)]
        own = float(asked @ second[row])
        found.append(1 + sum(float(asked @ second[other]) > own + 1e-6 for other in rivals))
    return found


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def test_figures_are_those_of_the_slow_version() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=(30, 2, 8)).astype(np.float32)
    scores[1, 0] = scores[0, 0]
    scores[:, 0] *= 14
    image, text = unit(scores[:, 0]), unit(scores[:, 1])
    ways = {"image_to_text": np.array(slow(image, text)), "text_to_image": np.array(slow(text, image))}
    found = AlignmentJudge().metrics(np.ones((30, 1)), scores)
    for way, places in ways.items():
        for depth in (1, 5, 10):
            assert found[f"{way}_recall_{depth}"] == pytest.approx((places <= depth).mean())
    assert found["mrr"] == pytest.approx(np.mean([(1 / places).mean() for places in ways.values()]))
    assert list(found) == list(FIGURES)


def test_several_texts_of_an_image_do_not_come_before_one_another() -> None:
    texts = np.eye(4, 4, dtype=np.float32)
    image = np.ones((4, 4), dtype=np.float32) + 0.1 * texts[[0, 0, 0, 3]]
    scores = np.stack([image, texts], axis=1)
    found = AlignmentJudge().metrics(np.ones((4, 1)), scores)
    assert found["image_to_text_recall_1"] == 1


def test_the_baseline_is_any_order() -> None:
    baseline = AlignmentJudge().baseline(np.ones((20, 1)), {})
    assert baseline is not None
    assert baseline.figures["image_to_text_recall_5"] == pytest.approx(0.25)
    assert baseline.figures["text_to_image_recall_1"] == pytest.approx(0.05)
    assert baseline.figures["mrr"] == pytest.approx(sum(1 / place for place in range(1, 21)) / 20)
