"""Which library loads a saved model, told from its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.evaluate.loading import loading


def saved(folder: Path, method: str | None, below: str | None, adapter: str | None) -> Path:
    """The records of a model: made by a method or none, on a base or with all weights, with a type of PEFT's or none."""
    folder.mkdir()
    if method:
        base = below and {"name": "bert", "location": below, "revision": None, "sha256": "5f2c"}
        (folder / "increment.json").write_text(json.dumps({"base": base, "methods": [{"name": method}]}))
    if adapter:
        (folder / "adapter_config.json").write_text(json.dumps({"peft_type": adapter}))
    return folder


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        ((None, None, None), "loads with plain transformers"),
        (("head", "/models/bert", None), "an increment of bert; `luthier predict` and `luthier.open` load it"),
        (
            ("lora", "/models/bert", "LORA"),
            "an increment of bert; `luthier predict` and `luthier.open` load it; plain PEFT loads it",
        ),
        (
            ("adapter", "/models/bert", "LUTHIER_BOTTLENECK"),
            "an increment of bert; `luthier predict` and `luthier.open` load it; plain PEFT loads it after "
            "`import luthier.models.bottleneck`",
        ),
        (("lora", "/models/bert", "OTHER"), "an increment of bert; `luthier predict` and `luthier.open` load it"),
        (("cloze", "/models/bert", "LORA"), "an increment of bert; `luthier predict` and `luthier.open` load it"),
        (("cloze", None, None), "`luthier predict` and `luthier.open` load it"),
    ],
    ids=["plain", "head", "lora", "adapter", "a type of others", "words", "words in a whole model"],
)
def test_each_kind_is_told(made: Any, sentence: str, tmp_path: Path) -> None:
    assert loading(saved(tmp_path / "model", *made)).sentence == sentence


def test_an_adapter_on_an_increment_is_none_for_peft(tmp_path: Path) -> None:
    below = saved(tmp_path / "below", "head", "/models/bert", None)
    assert loading(saved(tmp_path / "model", "lora", str(below), "LORA")).library == "luthier"
