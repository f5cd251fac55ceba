"""From files to splits, labels and facts; and what a person reads when the data cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from luthier.errors import DataError
from luthier.modalities.text import Text
from luthier.prepare import encode_all, prepare
from luthier.recipe.reading import read
from luthier.suggest import suggest


@pytest.fixture
def recipe_for(tmp_path: Path, tiny_bert: Path) -> Callable[..., Path]:
    """Write rows as csv files and a recipe over them."""

    def make(extra: str = "", **splits: list[tuple[Any, Any]]) -> Path:
        for name, rows in splits.items():
            pd.DataFrame(rows, columns=["text", "label"]).to_csv(tmp_path / f"{name}.csv", index=False)
        files = "{" + ", ".join(f"{name}: {tmp_path}/{name}.csv" for name in splits) + "}"
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(f"model: {tiny_bert}\noutput: {tmp_path}/run\ndata: {{files: {files}{extra}}}\n")
        return recipe

    return make


def rows(count: int, label: Callable[[int], Any] = lambda row: ("bad", "good")[row % 2]) -> list[tuple[str, Any]]:
    return [(f"the film number {row} is {('awful', 'great')[row % 2]}", label(row)) for row in range(count)]


@pytest.mark.parametrize(
    ("parts", "sizes"),
    [
        ("9:1", (90, 10)),
        ("8:2", (80, 20)),
        ("7:3", (70, 30)),
        ("8:1:1", (80, 10, 10)),
        ("[0.5, 0.25, 0.25]", (50, 25, 25)),
    ],
)
def test_ratios_give_the_sizes_they_say(reviews: Path, parts: str, sizes: tuple[int, ...], tmp_path: Path) -> None:
    file = tmp_path / "hundred.csv"
    pd.DataFrame(rows(100), columns=["text", "label"]).to_csv(file, index=False)
    prepared = prepare(read({"data": {"files": str(file)}}, [f"data.split.parts={parts}"]))
    assert tuple(len(table.labels) for table in prepared.tables.values()) == sizes
    assert prepared.held_out == ("test" if len(sizes) == 3 else "validation")
    for table in prepared.tables.values():
        assert abs(table.labels.count("good") - len(table.labels) / 2) <= 1
    numbers = np.concatenate([table.numbers for table in prepared.tables.values()])
    assert sorted(numbers) == list(range(100))


def test_two_parts_say_that_scores_may_flatter(reviews: Path) -> None:
    prepared = prepare(read({"data": {"files": str(reviews), "split": {"parts": "9:1"}}}))
    assert any("There is no test split" in warning for warning in prepared.facts["warnings"])


def test_given_train_and_test_hold_validation_back_from_training(recipe_for) -> None:
    recipe = recipe_for(train=rows(100), test=rows(40))
    prepared = prepare(read(recipe))
    assert {name: len(table.labels) for name, table in prepared.tables.items()} == {
        "train": 90,
        "validation": 10,
        "test": 40,
    }
    assert prepared.facts["split"] == "as the files give it; 10% of the training rows held back for validation, seed 0"
    without = prepare(read(recipe, ["data.split.validation=0"]))
    assert list(without.tables) == ["train", "test"]
    assert without.facts["split"].endswith("no validation, so the last weights are kept")


def test_the_same_rows_in_another_format_have_the_same_fingerprint(reviews: Path, tmp_path: Path) -> None:
    pd.read_csv(reviews).to_json(tmp_path / "reviews.jsonl", orient="records", lines=True)
    facts = [prepare(read({"data": {"files": str(file)}})).facts for file in (reviews, tmp_path / "reviews.jsonl")]
    assert facts[0]["fingerprint"] == facts[1]["fingerprint"]


def test_labels_come_from_training_rows_only(recipe_for) -> None:
    train = rows(60, lambda row: ("a", "b", "c")[row % 3])
    prepared = prepare(read(recipe_for(train=train, test=rows(20, lambda row: "ab"[row % 2]))))
    assert prepared.facts["target"]["labels"] == ["a", "b", "c"]


def test_texts_on_both_sides_are_counted(recipe_for) -> None:
    prepared = prepare(read(recipe_for(train=rows(40), validation=rows(60)[40:], test=[*rows(48)[40:], *rows(3)])))
    assert (
        "3 of 11 test rows have the same text as a train row: their scores show memory." in prepared.facts["warnings"]
    )


def test_too_long_is_counted_then_cut_dropped_or_refused(recipe_for, tiny_bert: Path) -> None:
    from transformers import AutoTokenizer

    long = [("the film " * 20, "good"), ("the room " * 10, "bad")]
    recipe = recipe_for(train=[*rows(30), *long], validation=[*rows(10), long[0]], test=rows(10))
    modality = Text(AutoTokenizer.from_pretrained(tiny_bert), 12)
    sizes, facts = {}, {}
    for action in ("cut", "drop"):
        settings = read(recipe, [f"data.too_long={action}"])
        prepared = prepare(settings)
        encode_all(prepared, modality, settings.data)
        sizes[action] = {name: len(part) for name, part in prepared.rows.items()}
        facts[action] = prepared.facts["splits"]
    encode_all(prepared, modality, settings.data)
    dropped = [(one.split, one.row, one.action, one.step, one.reason) for one in prepared.changes]
    assert dropped == [("train", row, "removed", "too_long", "longer than 12 tokens") for row in (31, 32)]
    assert prepared.facts["changes"]["counts"] == [{"step": "too_long", "action": "removed", "rows": 2}]
    assert sizes == {
        "cut": {"train": 32, "validation": 11, "test": 10},
        "drop": {"train": 30, "validation": 11, "test": 10},
    }
    lost = (40 + 2 - 12) + (20 + 2 - 12)
    assert facts["cut"]["train"]["too_long"] == {"rows": 2, "lost": lost, "examples": [31, 32], "action": "cut"}
    assert facts["drop"]["train"]["too_long"] == {"rows": 2, "lost": lost, "examples": [31, 32], "action": "drop"}
    assert facts["drop"]["validation"]["too_long"] == {"rows": 1, "lost": 30, "examples": [11], "action": "cut"}
    settings = read(recipe, ["data.too_long=error"])
    with pytest.raises(DataError) as refused:
        encode_all(prepare(settings), modality, settings.data)
    assert str(refused.value) == (
        "2 of 32 train rows are longer than max_length 12 (the longest has 42 tokens), such as row 31, 32, and the recipe says "
        "too_long: error. Raise data.max_length, or write too_long: cut or drop."
    )


def test_a_sample_keeps_the_shares_of_classes(recipe_for) -> None:
    prepared = prepare(
        read(
            recipe_for(
                ", rows: 50",
                train=rows(400, lambda row: "rare" if row % 10 == 0 else "common"),
                test=rows(60, lambda row: "rare" if row % 10 == 0 else "common"),
            )
        )
    )
    assert sum(len(prepared.tables[name].labels) for name in ("train", "validation")) == 50
    assert sum(prepared.tables[name].labels.count("rare") for name in ("train", "validation")) == 5


def test_multi_label_in_three_spellings(tmp_path: Path) -> None:
    lists = [["noisy"], ["dear", "noisy"], [], ["dear"]] * 10
    texts = [f"the room number {row}" for row in range(40)]
    as_list = pd.DataFrame({"text": texts, "topics": lists})
    as_list.to_json(tmp_path / "lists.jsonl", orient="records", lines=True)
    as_list.assign(topics=["|".join(one) if one else "none" for one in lists]).to_csv(
        tmp_path / "cells.csv", index=False
    )
    columns = pd.DataFrame(
        {"text": texts, **{label: [int(label in one) for one in lists] for label in ("dear", "noisy")}}
    )
    columns.to_csv(tmp_path / "columns.csv", index=False)
    targets = []
    for name, given in (("lists.jsonl", {}), ("columns.csv", {"label": ["dear", "noisy"]})):
        prepared = prepare(read({"data": {"files": str(tmp_path / name), "columns": given}}))
        assert prepared.facts["target"]["kind"] == "multilabel"
        assert prepared.facts["target"]["labels"] == ["dear", "noisy"]
        targets.append(prepared.target.encode(prepared.tables["train"].labels))
    assert np.array_equal(*targets)
    cells = prepare(read({"data": {"files": str(tmp_path / "cells.csv"), "columns": {"separator": "|"}}}))
    assert cells.facts["target"]["labels"] == ["dear", "noisy", "none"]


@pytest.mark.parametrize(
    ("splits", "extra", "sentence"),
    [
        (
            {"train": rows(20, lambda row: "good")},
            "",
            "Classification needs at least two classes, and the training rows have only 'good'.",
        ),
        (
            {"train": rows(30), "test": rows(4, lambda row: "mixed")},
            "",
            "test split: Row 1 has the label 'mixed', which the training rows do not have (known: bad, good).",
        ),
        (
            {"train": [(text, f"label {row}") for row, (text, _) in enumerate(rows(20))]},
            ", columns: {text: text, label: label}",
            "so this is no classification: is it the right column?",
        ),
        (
            {"train": [*rows(20), ("", "good"), ("fine", None)]},
            ", bad_rows: error",
            "2 of 22 rows of the data cannot be used: row 21 (no text), row 22 (no label).",
        ),
        (
            {"train": rows(20)},
            ", columns: {text: txt}",
            "There is no column 'txt' in the data; did you mean 'text'? The columns are text, label.",
        ),
        ({"train": []}, "", "has a header and no rows"),
    ],
    ids=["single class", "unseen label", "as many classes as rows", "bad rows", "unknown column", "no rows"],
)
def test_unusable_data_end_with_a_sentence_and_code_2(
    luthier, recipe_for, splits, extra: str, sentence: str, tmp_path: Path
) -> None:
    said = luthier("train", recipe_for(extra, **splits))
    assert said.code == 2
    assert said.err.startswith("error: ") or "\nerror: " in said.err
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_a_missing_file_and_other_encodings(luthier, reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"model: {tiny_bert}\ndata: {{files: {tmp_path}/review.csv}}\noutput: {tmp_path}/run\n")
    said = luthier("check", recipe)
    assert said.code == 2
    assert "reviews.csv" in said.err, "the nearest name is suggested"
    file = tmp_path / "review.csv"
    file.write_bytes(
        ("text,label\n" + "".join(f"房间很干净,{label}\n服务太差了,{label}\n" for label in ("好", "坏") * 20)).encode(
            "gb18030"
        )
    )
    said = luthier("check", recipe)
    assert said.code == 0, said.err
    assert "GB18030" in said.err.upper()


def test_bad_rows_are_counted_and_listed(recipe_for) -> None:
    prepared = prepare(read(recipe_for(train=[("", "good"), *rows(40), ("fine", "")])))
    assert prepared.facts["bad_rows"] == {
        "rows": 2,
        "examples": [
            {"split": "all", "row": 1, "reason": "no text"},
            {"split": "all", "row": 42, "reason": "no label"},
        ],
    }


def test_train_says_which_rows_are_left_out(luthier, recipe_for) -> None:
    said = luthier("train", recipe_for(train=[("", "good"), *rows(40)]), "train.epochs=1")
    assert said.code == 0, said.err
    assert "warning: 1 row cannot be used and is left out: row 1 (no text).\n" in said.err


def test_a_class_with_one_example_trains_and_is_said(recipe_for, tmp_path: Path) -> None:
    file = tmp_path / "one.csv"
    pd.DataFrame([*rows(60), ("the film", "odd")], columns=["text", "label"]).to_csv(file, index=False)
    prepared = prepare(read({"data": {"files": str(file)}}))
    assert "odd" in prepared.tables["train"].labels
    assert any("'odd'" in warning for warning in prepared.facts["warnings"])


def test_real_chinese_reviews(assets: Path) -> None:
    prepared = prepare(read({"data": {"files": str(assets / "data" / "hotel_reviews_zh.csv")}}))
    assert prepared.facts["target"] == {"labels": [0, 1], "kind": "binary", "weights": None}
    assert prepared.facts["bad_rows"]["rows"] == 1
    assert sum(part["rows"] for part in prepared.facts["splits"].values()) == 7765
    assert prepared.facts["duplicates"]["exact"] == 0, "no text stands there twice to the letter"
    assert all("nearly the same text" in warning for warning in prepared.facts["warnings"])


def test_rows_stay_where_they_are_with_a_seed_of_their_own(reviews: Path) -> None:
    """`seed` changes the training and not the division."""
    recipes = [
        {"data": {"files": str(reviews), "split": {"seed": own}, "rows": 60}, "seed": seed}
        for own, seed in ((3, 3), (3, 8), (None, 3), (None, 8))
    ]
    found = [prepare(read(one)) for one in recipes]
    rows = [{name: table.numbers.tolist() for name, table in one.tables.items()} for one in found]
    assert rows[0] == rows[1] == rows[2] != rows[3]
    assert found[1].facts["split"].endswith("seed 3")


def test_tags_that_break_their_scheme_are_named_by_their_row_in_the_file(tmp_path: Path) -> None:
    blocks = [f"Anna B-PER\nsaw{row} O\nRome {'I-LOC' if row in (3, 7) else 'B-LOC'}\n" for row in range(40)]
    (tmp_path / "names.bio").write_text("\n".join([*blocks, "\n"]), encoding="utf-8")
    settings: dict[str, Any] = {
        "task": "tag",
        "model": "demo/minilm-en",
        "data": {"files": str(tmp_path / "names.bio"), "similarity": None},
    }
    prepared = prepare(read(settings))
    of = {row + 1: name for name, table in prepared.tables.items() for row in table.numbers if row in (3, 7)}
    told = [one for one in prepared.facts["warnings"] if "the scheme IOB2" in one]
    assert len(told) == len(set(of.values()))
    for one in told:
        row = next(row for row in of if f"the first in row {row}, word 3 (I-LOC behind O, at the end)" in one)
        assert one.startswith(f"{of[row]} split: ")
    with pytest.raises(DataError, match=rf"{of[4]} split: .*, the first in row 4, word 3 .* illegal: error"):
        prepare(read(settings | {"task": {"name": "tag", "illegal": "error"}}))
    assert "the scheme IOB2, in 2 of 40 rows, the first in row 4, word 3" in suggest(str(tmp_path / "names.bio"))
