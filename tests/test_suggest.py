"""The suggested recipe is one that the schema accepts and the data support."""

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from luthier.errors import DataError
from luthier.methods.select import Full, Head
from luthier.recipe.schema import Recipe
from luthier.suggest import suggest


def parsed(text: str) -> Recipe:
    return Recipe.model_validate(YAML(typ="safe").load(StringIO(text)))


def table(file: Path, rows: list[dict[str, Any]]) -> str:
    with file.open("w", encoding="utf-8", newline="") as sink:
        writer = csv.DictWriter(sink, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(file)


def balanced(rows: int, text: str = "some words of text number") -> list[dict[str, Any]]:
    return [{"text": f"{text} {row}", "label": ("no", "yes")[row % 2]} for row in range(rows)]


def test_a_plain_file(tmp_path: Path) -> None:
    file = table(tmp_path / "reviews.csv", balanced(1000))
    text = suggest(file)
    recipe = parsed(text)
    assert (recipe.data.files, recipe.data.columns.text, recipe.data.columns.label) == (file, "text", "label")
    assert (recipe.model, recipe.method[0].name, recipe.train.epochs) == ("demo/minilm-en", "full", None)
    assert f"  # epochs: {Full.epochs} " in text
    assert recipe.output == "runs/reviews"
    assert recipe.data.max_length == 32
    assert "# 1,000 rows, 2 classes:\n#   no: 500 (50.0%)\n#   yes: 500 (50.0%)\n" in text
    assert "# text is 'text' by its name; label is 'label' by its name (2 different values)." in text
    assert "# the largest class has 1.0 times the rows of the smallest: no weights needed" in text
    assert "intfloat" not in text
    assert "bad_rows" not in text


def test_every_setting_is_explained(tmp_path: Path) -> None:
    lines = suggest(table(tmp_path / "a.csv", balanced(1000))).splitlines()
    settings = [
        line
        for line in lines
        if ": " in line.split("#")[0] and not line.lstrip().startswith(("files:", "text:", "label:"))
    ]
    assert settings
    assert all("# " in line for line in settings)


def test_unbalanced_classes_get_weights(tmp_path: Path) -> None:
    rows = [{"text": f"text {row}", "label": "rare" if row % 10 == 0 else "usual"} for row in range(1000)]
    text = suggest(table(tmp_path / "a.csv", rows))
    assert parsed(text).task.model_dump()["weights"] == "balanced"
    assert "the largest class has 9.0 times the rows of the smallest" in text


def test_few_rows_get_the_head_only(tmp_path: Path) -> None:
    text = suggest(table(tmp_path / "a.csv", balanced(100)))
    recipe = parsed(text)
    assert (recipe.method[0].name, recipe.train.epochs) == ("head", None)
    assert f"  # epochs: {Head.epochs} " in text
    assert "100 rows are few: train the new head only" in text


def test_many_rows_get_one_epoch(tmp_path: Path) -> None:
    text = suggest(table(tmp_path / "a.csv", balanced(100_000)))
    recipe = parsed(text)
    assert (recipe.method[0].name, recipe.train.epochs) == ("full", 1)
    assert f"left out, full takes {Full.epochs}" in text
    assert "# rows: 20000" in text


def test_chinese_texts_are_told_that_the_model_is_english(tmp_path: Path) -> None:
    text = suggest(table(tmp_path / "a.csv", balanced(600, "这个酒店很好，下次还来")))
    assert "is English only, and the texts are Chinese: it runs, and learns less" in text
    other = text.replace("model: demo/minilm-en", "", 1).replace("# model: intfloat", "model: intfloat", 1)
    assert parsed(text).model == "demo/minilm-en"
    assert parsed(other).model == "intfloat/multilingual-e5-small"


def test_other_scripts_are_told_too(tmp_path: Path) -> None:
    assert "the texts are not in Latin script" in suggest(
        table(tmp_path / "a.csv", balanced(600, "Очень хороший отель"))
    )
    assert "intfloat" not in suggest(table(tmp_path / "b.csv", balanced(600, "Très bon café, à bientôt")))


def test_long_texts_are_cut_and_said(tmp_path: Path) -> None:
    text = suggest(table(tmp_path / "a.csv", balanced(600, "word " * 600)))
    recipe = parsed(text)
    assert (recipe.data.max_length, recipe.data.too_long) == (512, "cut")
    assert "about 100% of texts are longer" in text


def test_rows_without_text_or_label_are_said(tmp_path: Path) -> None:
    text = suggest(table(tmp_path / "a.csv", [*balanced(600), {"text": "", "label": "yes"}]))
    assert "rows without text or label (1 here) are left out" in text
    assert parsed(text).data.bad_rows == "drop"


def test_labels_that_look_joined_suggest_a_separator(tmp_path: Path) -> None:
    rows = [{"text": f"text {row}", "label": ("noisy", "dear", "noisy|dear")[row % 3]} for row in range(600)]
    text = suggest(table(tmp_path / "a.csv", rows))
    assert '# separator: "|"' in text
    assert "if labels such as 'noisy|dear' are several in one cell" in text
    assert parsed(text.replace("    # separator", "    separator")).data.columns.separator == "|"


def test_several_labels_a_row(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(json.dumps({"text": f"text {row}", "tags": ["a", "b"][: row % 3]}) for row in range(600)))
    text = suggest(str(file))
    assert parsed(text).data.columns.label == "tags"
    assert "# 600 rows, 2 labels, any number a row:\n#   a: 400 (66.7%)\n#   b: 200 (33.3%)" in text
    rows = [{"text": f"some text {row}", "x": row % 2, "y, z": (row + 1) % 2} for row in range(600)]
    assert parsed(suggest(table(tmp_path / "b.csv", rows))).data.columns.label == ["x", "y, z"]


def test_files_per_split(tmp_path: Path) -> None:
    table(tmp_path / "train.csv", balanced(600))
    table(tmp_path / "test.csv", balanced(60))
    text = suggest(str(tmp_path))
    assert "the files give train 600, test 60; a tenth of training chooses the best epoch" in text
    assert parsed(text).data.split.validation == 0.1
    table(tmp_path / "dev.csv", balanced(60))
    assert "# The files give train 600, validation 60, test 60 rows; nothing is divided." in suggest(str(tmp_path))


@pytest.mark.parametrize("name", ["null", "a: b", "# hash", "with\nline", "[x]", "y", "it's", '"q"', "名字", "a -b"])
def test_awkward_names_survive_yaml(tmp_path: Path, name: str) -> None:
    rows = [{name: f"a rather long text with number {row}", "label": f"{name} {row % 2}"} for row in range(600)]
    folder = tmp_path / "with space #1"
    folder.mkdir()
    file = table(folder / "a.csv", rows)
    recipe = parsed(suggest(file))
    assert (recipe.data.files, recipe.data.columns.text) == (file, name)


def test_an_unclear_choice_is_left_to_the_person(tmp_path: Path) -> None:
    rows = [{"text": f"text {row}", "colour": "rgb"[row % 3], "size": "sml"[row % 3]} for row in range(60)]
    with pytest.raises(DataError, match="It is not clear which column holds the label: it could be colour or size"):
        suggest(table(tmp_path / "a.csv", rows))


@pytest.mark.parametrize(
    "file", ["hotel_reviews_zh", "news_titles_zh_dev", "sms_spam_en", "sms_spam_kinds_zh", "sst2_en_train"]
)
def test_real_files(assets: Path, file: str) -> None:
    text = suggest(str(assets / "data" / f"{file}.csv"))
    recipe = parsed(text)
    assert recipe.data.columns.label == "label"
    assert recipe.data.columns.text in {"text", "review"}
    assert ("the texts are Chinese" in text) == ("_zh" in file)
    assert (recipe.task.model_dump()["weights"] == "balanced") == ("spam" in file)
