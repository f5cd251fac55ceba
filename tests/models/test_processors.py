"""A model folder without what makes its input: the sentence says what to write, and that works."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from luthier.errors import ModelError
from luthier.models.find import Base
from luthier.models.open import open_processor


@pytest.mark.parametrize(
    ("medium", "kind", "said"),
    [
        ("image", "vit", "it does not say how images become"),
        ("audio", "wav2vec2", "it does not say how recordings become"),
    ],
)
def test_what_the_sentence_says_to_write_makes_the_input(tmp_path: Path, medium: str, kind: str, said: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(ModelError, match=f"The model 'mine' cannot be used here: {said} numbers. Write a") as refused:
        open_processor(Base("mine", str(tmp_path)), medium)
    advised = re.search(r"such as ({.*})\.$", str(refused.value))
    assert advised
    (tmp_path / "preprocessor_config.json").write_text(advised[1])
    made = open_processor(Base("mine", str(tmp_path)), medium)
    assert json.loads(advised[1]).items() <= json.loads(made.to_json_string()).items()
