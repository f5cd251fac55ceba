"""A decoder whose end token pads, and rows that end in it: kept outputs are of the position that the whole network reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from frozen_runs import Ran, run, still

import tiny_models
from luthier.training.padding import ends_in

END = "[SEP]"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As GPT-2 is published: without a padding token, and with nothing put around a text."""
    folder = still(tiny_models.make("gpt2", tmp_path_factory.mktemp("decoder")))
    tokenizer = tiny_models.word_tokenizer(pad_token=None)
    tokenizer.backend_tokenizer.post_processor = None
    tokenizer.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"pad_token_id": None}))
    return folder


def with_text(rows: Path, copy: Path, number: int, text: str) -> Path:
    """The same rows but for the text of one."""
    lines = rows.read_text(encoding="utf-8").splitlines()
    lines[number] = f"{text},{lines[number].rpartition(',')[2]}"
    copy.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return copy


def ending(found: Ran, split: str) -> list[int]:
    """Lengths of a split's rows that end in the token that pads."""
    rows, model = found.ready.data.rows[split], found.job.model
    texts = rows.take(np.arange(len(rows)))["input_ids"]
    return [len(text) for text in texts if text[-1] == model.config.pad_token_id]  # type: ignore[union-attr]


def parts(found: Ran) -> list[str]:
    return [shape.part for shape in found.job.work.feed.features.shapes if shape]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("split", "number"), [("train", 17), ("validation", 12)])
def test_one_row_that_ends_in_the_token_that_pads(
    split: str, number: int, decoder: Path, words_file: Path, tmp_path: Path
) -> None:
    rows = with_text(words_file, tmp_path / "rows.csv", number, f"bad film {END}")
    off, memory = (run(decoder, rows, tmp_path / cache, cache, method="head") for cache in ("off", "memory"))
    assert ending(memory, split) == [3]
    assert memory.said[0].startswith("Outputs of transformer are kept for ")
    off.same(memory)
    assert parts(memory) == ["whole"]


@pytest.mark.parametrize("text", ["bad film", f"bad {END} film", END])
def test_where_none_does_or_has_no_other_token_one_position_is_enough(
    text: str, decoder: Path, words_file: Path, tmp_path: Path
) -> None:
    rows = with_text(words_file, tmp_path / "rows.csv", 17, text)
    off, memory = (run(decoder, rows, tmp_path / cache, cache, method="head") for cache in ("off", "memory"))
    assert ending(memory, "train") == [1] * (text == END)
    off.same(memory)
    assert parts(memory) == ["last"]


@pytest.mark.parametrize(
    ("row", "length", "expected"),
    [([5, 6, 7], 3, False), ([5, 6, 9], 3, True), ([5, 6, 9], 2, False), ([5, 9, 6], 3, False), ([9, 9, 9], 1, False)],
)
def test_a_row_that_ends_in_a_token(row: list[int], length: int, expected: bool) -> None:
    ids, lengths = torch.tensor([[1, 2, 9], row]), torch.tensor([2, length])
    assert ends_in(9, {"input_ids": ids}, lengths) is expected
    assert not ends_in(9, {"input_values": ids}, lengths)
