"""The suggested recipe is one that the schema accepts and the data support."""

import csv
import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import luthier
import perceiving
from luthier.errors import DataError
from luthier.methods.select import Full, Top
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
    assert "# classes are of one size: no weights needed" in text
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


def test_few_rows_get_the_last_blocks(tmp_path: Path) -> None:
    text = suggest(table(tmp_path / "a.csv", balanced(100)))
    recipe = parsed(text)
    assert (recipe.method[0].name, recipe.train.epochs) == ("top", None)
    assert f"  # epochs: {Top.epochs} " in text
    assert "that top takes by itself; more where they are fewer than 100 steps" in text
    assert "100 rows are few: the new head and the last two blocks learn; full tunes everything" in text


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
    assert "rows that cannot be used (1 here, such as row 601: no text) are left out" in text
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


def trained(text: str, file: Path, model: Path, output: Path) -> luthier.Run:
    """A run of the recipe as it stands, with a tiny model and one epoch."""
    file.write_text(text, encoding="utf-8")
    return luthier.train(str(file), f"model={model}", "train.epochs=1", f"output={output}", "train.precision=fp32")


def test_a_folder_of_classes_of_images(tmp_path: Path) -> None:
    text = suggest(str(perceiving.images(tmp_path / "colours", 12)))
    recipe = parsed(text)
    assert (recipe.task.name, recipe.data.columns.image, recipe.data.columns.text) == ("classify", "image", None)
    assert (recipe.method[0].name, recipe.data.max_length) == ("head", None)
    assert (
        "model: google/vit-base-patch16-224           # images take a model that reads images, and demo/* read text"
        in text
    )
    assert "# 36 rows, 3 classes:" in text
    assert "tokens" not in text
    run = trained(text, tmp_path / "r.yaml", perceiving.network("vit", tmp_path / "model"), tmp_path / "run")
    assert run.data["columns"]["medium"] == "image"


def test_folders_of_splits_above_those_of_classes(tmp_path: Path) -> None:
    perceiving.images(tmp_path / "all" / "train", 6)
    perceiving.images(tmp_path / "all" / "val", 3, seed=1)
    text = suggest(str(tmp_path / "all"))
    assert "# val is used as the validation split." in text
    assert "# The files give train 18, validation 9 rows; nothing is divided." in text
    assert parsed(text).data.files == str(tmp_path / "all")


def test_recordings_with_metadata_are_divided_by_who_speaks(tmp_path: Path) -> None:
    text = suggest(str(perceiving.sounds(tmp_path / "tones", 20)))
    recipe = parsed(text)
    assert (recipe.data.columns.audio, recipe.data.columns.label) == ("file_name", "label")
    assert (recipe.data.split.by, recipe.data.split.column) == ("group", "speaker")
    assert "nobody's rows (speaker) are on two sides" in text
    assert "# max_length: 1 " in text
    assert "model: openai/whisper-tiny " in text
    run = trained(text, tmp_path / "r.yaml", perceiving.network("whisper", tmp_path / "model"), tmp_path / "run")
    assert run.data["columns"]["medium"] == "audio"


def test_files_that_cannot_be_used_are_counted_with_a_reason(tmp_path: Path) -> None:
    folder = perceiving.images(tmp_path / "colours", 6)
    (folder / "red" / "broken.png").write_bytes(b"no picture at all")
    text = suggest(str(folder))
    assert "bad_rows: drop" in text
    assert re.search(
        r"rows that cannot be used \(1 here, such as row \d+: is no image that can be read\) are left out", text
    )


def test_token_files_are_tagged(tmp_path: Path, tiny_bert: Path) -> None:
    sentence = "the O\nfilm B-ENT\nis O\ngood O\n\nroom B-ENT\nservice I-ENT\nbad O\n\n"
    (tmp_path / "names.conll").write_text(sentence * 30, encoding="utf-8")
    text = suggest(str(tmp_path / "names.conll"))
    recipe = parsed(text)
    assert (recipe.task.name, recipe.data.columns.text, recipe.data.columns.label) == ("tag", "tokens", "tags")
    assert "# 60 rows, entities of 1 type:\n#   ENT: 60\n" in text
    assert "without a better f1 on validation" in text
    assert recipe.method[0].name == "full"
    assert trained(text, tmp_path / "r.yaml", tiny_bert, tmp_path / "run").data["columns"]["medium"] == "tokens"


def test_measured_numbers_are_a_regression(tmp_path: Path, tiny_bert: Path) -> None:
    rows = [{"text": f"the room number {row} is good", "score": (row * 37 % 101) / 10} for row in range(300)]
    text = suggest(table(tmp_path / "a.csv", rows))
    recipe = parsed(text)
    assert (recipe.task.name, recipe.data.columns.label) == ("regress", "score")
    assert "# the label is one of 101 different numbers: an amount and no class;" in text
    assert "without a better r2 on validation" in text
    assert trained(text, tmp_path / "r.yaml", tiny_bert, tmp_path / "run").data["columns"]["kind"] == "numbers"


def test_a_column_of_prices_is_a_regression_though_its_name_says_nothing(tmp_path: Path) -> None:
    rows = [{"text": f"some words {row}", "eur": row * 1.25 + 3} for row in range(300)]
    assert parsed(suggest(table(tmp_path / "a.csv", rows))).task.name == "regress"


def test_numbers_of_rows_and_of_classes_are_no_amounts(tmp_path: Path) -> None:
    rows = [{"text": f"some words {row}", "id": row} for row in range(300)]
    with pytest.raises(DataError, match="It is not clear which column holds the label"):
        suggest(table(tmp_path / "a.csv", rows))
    rows = [{"text": f"some words {row}", "label": row % 50} for row in range(1000)]
    assert parsed(suggest(table(tmp_path / "b.csv", rows))).task.name == "classify"


def test_few_numbers_may_be_either(tmp_path: Path) -> None:
    rows = [{"text": f"some words {row}", "stars": row % 5 + 1} for row in range(600)]
    text = suggest(table(tmp_path / "a.csv", rows))
    assert parsed(text).task.name == "classify"
    assert "# task: regress " in text
    assert "if the labels are amounts" in text
    assert "# task: regress" not in suggest(table(tmp_path / "b.csv", balanced(600)))


def test_answers_in_free_words_are_written(tmp_path: Path) -> None:
    rows = [{"instruction": f"say {row}", "output": f"{row} is said in words"} for row in range(100)]
    (tmp_path / "a.json").write_text(json.dumps(rows), encoding="utf-8")
    recipe = parsed(suggest(str(tmp_path / "a.json")))
    assert (recipe.task.name, recipe.data.columns.text, recipe.data.columns.label) == (
        "generate",
        "instruction",
        "output",
    )


def test_authors_of_texts_are_groups_too(tmp_path: Path) -> None:
    rows = [one | {"Author": f"author {row % 7}"} for row, one in enumerate(balanced(600))]
    split = parsed(suggest(table(tmp_path / "a.csv", rows))).data.split
    assert (split.by, split.column) == ("group", "Author")


@pytest.mark.parametrize(
    ("name", "task", "medium"),
    [
        ("ants_bees", "classify", "image"),
        ("spoken_digits", "classify", "audio"),
        ("resume_ner_zh_*.bmes", "tag", "text"),
    ],
)
def test_real_folders_and_token_files(assets: Path, name: str, task: str, medium: str) -> None:
    recipe = parsed(suggest(str(assets / "data" / name)))
    assert (recipe.task.name, recipe.data.columns.input) == (task, (medium, recipe.data.columns.input[1]))
