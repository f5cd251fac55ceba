"""`luthier check --models`: which base model suits the training rows, said by the command line on small models."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import perceiving
import tiny_models
from luthier import embed as embedding
from luthier.advise import transfer
from luthier.advise.ranked import ALPHA, DEALS, by_chance, logme_gap, probe_gap, ranked, short_names
from luthier.advise.transfer import Suited, Unreadable, examine, sample
from luthier.cli import app
from luthier.prepare import prepare
from luthier.recipe.reading import read
from luthier.show import Console
from small_jobs import recipe_for, write_recipe

GOOD, BAD = ["good", "great", "lovely", "fine", "superb"], ["bad", "awful", "poor", "dull", "broken"]
FILLER = ["film", "room", "service", "phone", "story", "battery", "hotel", "cast", "screen", "price"]
"""Words that the tiny BERT knows."""
FIRST = 5
"""Of these words in its vocabulary."""


def texts(file: Path, rows: int = 200, seed: int = 0) -> Path:
    """Rows that say their label in one word of five."""
    draw = np.random.default_rng(seed)
    lines = ["review,sentiment"]
    for row in range(rows):
        words = [draw.choice(GOOD if row % 2 else BAD), *draw.choice(FILLER, 4)]
        lines.append(f"{' '.join(draw.permutation(words))} {row},{'positive' if row % 2 else 'negative'}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def changed(model: Path, folder: Path, change: Callable[[Any], None]) -> Path:
    """A copy with other word vectors."""
    shutil.copytree(model, folder)
    weights = load_file(folder / "model.safetensors")
    change(weights["embeddings.word_embeddings.weight"])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def sees(words: Any) -> None:
    """Good words lie far from bad ones."""
    words[FIRST : FIRST + 5] = words[FIRST]
    words[FIRST + 5 : FIRST + 10] = -words[FIRST]


def is_blind(words: Any) -> None:
    """Good and bad words are the same."""
    words[FIRST + 5 : FIRST + 10] = words[FIRST : FIRST + 5]


@pytest.fixture
def pair(tiny_bert: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A model that is suited, and one that cannot be."""
    return changed(tiny_bert, tmp_path / "seeing", sees), changed(tiny_bert, tmp_path / "blind", is_blind)


@pytest.fixture
def recipe(tiny_bert: Path, tmp_path: Path) -> Path:
    written = recipe_for(tiny_bert, texts(tmp_path / "reviews.csv"), tmp_path / "run")
    written["data"]["split"] = {"parts": [0.7, 0.1, 0.2]}
    return write_recipe(written, tmp_path / "recipe.yaml")


def cells(printed: str, name: str) -> list[str]:
    """A row of the table."""
    (line,) = [line for line in printed.splitlines() if line.startswith("│") and name in line]
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_the_suited_model_is_first(luthier: Callable[..., Any], recipe: Path, pair: tuple[Path, Path]) -> None:
    seeing, blind = pair
    printed = luthier("check", recipe, "--models", f"{blind},{seeing}")
    assert printed.code == 0, printed.err
    assert printed.out.index("seeing") < printed.out.index("blind")
    better, worse = cells(printed.out, "seeing"), cells(printed.out, "blind")
    for column in (1, 2, 3):
        assert float(better[column].split()[0]) > float(worse[column].split()[0])
    assert re.search(
        r"^seeing is suited best: \+0\.\d+ \(95 % interval \+0\.\d+ to \+0\.\d+\) beside blind, more than noise of the rows\.$",
        printed.out,
        re.MULTILINE,
    )
    assert "Base models on 140 training rows" in printed.out
    assert not (recipe.parent / "run").exists()


def test_equal_models_are_called_so(
    luthier: Callable[..., Any], recipe: Path, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    seeing, twin = pair[0], tmp_path / "twin"
    shutil.copytree(seeing, twin)
    printed = luthier("check", recipe, "--models", f"{seeing},{twin}")
    assert (
        "seeing is ahead, but by no more than noise of twin +0.000 (95 % interval +0.000 to +0.000): the smallest of them is seeing."
        in printed.out
    )
    assert "LogME puts" not in printed.out


def test_one_model_is_set_against_chance(luthier: Callable[..., Any], recipe: Path, pair: tuple[Path, Path]) -> None:
    seeing, blind = pair
    assert (
        "seeing tells these rows apart better than chance (p = 0.005); "
        in luthier("check", recipe, "--models", seeing).out
    )
    printed = luthier("check", recipe, "--models", f"{blind}, {blind}")
    assert printed.code == 0
    assert re.search(
        r"^None is suited as it stands: the answers of blind may as well be dealt out by chance \(p = [\d.]+\)\.$",
        printed.out,
        re.MULTILINE,
    )


def test_a_second_call_reads_nothing(
    luthier: Callable[..., Any], recipe: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts(recipe.parent / "reviews.csv", seed=1)
    first = luthier("check", recipe, "--models", pair[0]).out
    assert "kept" not in first
    monkeypatch.setattr(embedding, "_open", lambda *_: pytest.fail("the model was opened"))
    second = luthier("check", recipe, "--models", pair[0]).out
    assert cells(second, "seeing")[-1].endswith(", kept")
    assert cells(second, "seeing")[:-1] == cells(first, "seeing")[:-1]


def test_only_training_rows_are_read(
    luthier: Callable[..., Any], recipe: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    really = transfer.embed

    def spy(base: Any, table: datasets.Dataset, *others: Any) -> np.ndarray:
        seen.extend(table["review"])
        return really(base, table, *others)

    monkeypatch.setattr(transfer, "embed", spy)
    monkeypatch.setattr(transfer, "ROWS", 100)
    luthier("check", recipe, "--models", f"{pair[0]},{pair[1]}")
    tables = prepare(read(recipe)).tables
    assert len(seen) == 200
    assert seen[:100] == seen[100:]
    assert len(set(seen)) == 100
    assert set(seen) <= set(tables["train"].rows["review"])


def test_copies_are_read_once(tiny_bert: Path, tmp_path: Path) -> None:
    file = texts(tmp_path / "reviews.csv", 60)
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join([*lines, *lines[1:31]]) + "\n", encoding="utf-8")
    settled = read(recipe_for(tiny_bert, file, tmp_path / "run"), (), {})
    read_once = sample(prepare(settled), settled).table.rows["review"]
    assert len(set(read_once)) == len(list(read_once))


def test_what_cannot_be_read_is_a_line(
    luthier: Callable[..., Any], recipe: Path, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    picture = perceiving.network("vit", tmp_path / "vit")
    broken = changed(pair[0], tmp_path / "broken", lambda words: words.fill_(float("nan")))
    printed = luthier("check", recipe, "--models", f"{tmp_path}/nowhere,{picture},{broken},{pair[0]}")
    assert printed.code == 0
    lines = printed.out.splitlines()
    assert f"{tmp_path}/nowhere: There is no model folder '{tmp_path}/nowhere'." in printed.out
    assert any(line.startswith(f"{picture}: The model '{picture}' cannot be used here: ") for line in lines)
    assert f"{broken}: {broken} makes the same vector of all rows, or none at all: its weights are damaged." in lines
    assert "seeing tells these rows apart better than chance" in printed.out


REFUSED: Mapping[str, tuple[str, str]] = {
    "nothing named": (
        " , ",
        "--models wants names of models, as `model` in a recipe has them: --models FOLDER,demo/minilm-en.",
    ),
    "nothing readable": ("./nowhere,./nothing", "None of these models can read the rows; why is said above."),
}


@pytest.mark.parametrize("why", REFUSED)
def test_nothing_to_compare(why: str, luthier: Callable[..., Any], recipe: Path) -> None:
    named, told = REFUSED[why]
    printed = luthier("check", recipe, "--models", named)
    assert printed.code == 2
    assert told in printed.err


def test_rows_that_are_no_question(luthier: Callable[..., Any], tiny_bert: Path, tmp_path: Path) -> None:
    few = write_recipe(recipe_for(tiny_bert, texts(tmp_path / "few.csv", 20), tmp_path / "run"), tmp_path / "few.yaml")
    printed = luthier("check", few, "--models", tiny_bert)
    assert printed.code == 2
    assert "A linear probe takes 20 rows of which no two are alike, and there are 16." in printed.err
    same = tmp_path / "same.csv"
    same.write_text("review,sentiment\n" + "\n".join(f"film {row},fine" for row in range(30)), encoding="utf-8")
    one = write_recipe(recipe_for(tiny_bert, same, tmp_path / "run"), tmp_path / "one.yaml")
    printed = luthier("check", one, "--models", tiny_bert)
    assert printed.code == 2
    assert "Classification needs at least two classes" in printed.err


def test_tasks_without_an_answer_to_a_row(luthier: Callable[..., Any], tiny_bert: Path, tmp_path: Path) -> None:
    file = tmp_path / "tags.conll"
    file.write_text("\n".join(["good B-x\nfilm O\n"] * 30), encoding="utf-8")
    tagged = write_recipe(recipe_for(tiny_bert, file, tmp_path / "run", task="tag"), tmp_path / "tag.yaml")
    printed = luthier("check", tagged, "--models", tiny_bert)
    assert printed.code == 2
    assert (
        "--models compares what models make of a whole row, and task tag does not answer with classes or numbers for one. Compare "
        "trainings instead: luthier compare." in printed.err
    )


def test_numbers_have_no_h_score(luthier: Callable[..., Any], pair: tuple[Path, Path], tmp_path: Path) -> None:
    draw, lines = np.random.default_rng(0), ["text,price"]
    for row in range(120):
        count = int(draw.integers(5))
        words = [*draw.choice(GOOD, count), *draw.choice(BAD, 4 - min(count, 4)), str(row)]
        lines.append(f"{' '.join(words)},{count + draw.normal(0, 0.1):.3f}")
    (tmp_path / "prices.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    recipe = recipe_for(pair[0], tmp_path / "prices.csv", tmp_path / "run", task="regress")
    printed = luthier("check", write_recipe(recipe, tmp_path / "r.yaml"), "--models", f"{pair[1]},{pair[0]}")
    assert printed.code == 0, printed.err
    assert "The H-score is of classes, and these labels are numbers." in printed.out
    assert "│ H-score" not in printed.out
    assert "seeing is suited best" in printed.out
    assert float(cells(printed.out, "seeing")[2]) > float(cells(printed.out, "blind")[2])


def test_several_labels_a_row(pair: tuple[Path, Path], tmp_path: Path) -> None:
    lines = []
    for row in range(120):
        given = [name for name, there in (("good", row % 2), ("film", row % 3 == 0)) if there]
        words = [(GOOD if row % 2 else BAD)[row % 5], "room" if row % 3 else "film", str(row)]
        lines.append(json.dumps({"text": " ".join(words), "labels": given}))
    (tmp_path / "several.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    settled = read(recipe_for(pair[0], tmp_path / "several.jsonl", tmp_path / "run"), (), {})
    rows = sample(prepare(settled), settled)
    assert len(rows.truth.questions) == 2
    better, worse = (examine(str(one), rows, Console(quiet=True)) for one in pair)
    assert isinstance(better, Suited)
    assert isinstance(worse, Suited)
    assert better.h_score is not None
    assert worse.h_score is not None
    assert better.h_score > worse.h_score
    assert better.logme > worse.logme
    assert [one.name for one in ranked([worse, better])] == [better.name, worse.name]


MEDIA = {"images": (perceiving.images, "vit"), "sounds": (perceiving.sounds, "whisper")}


@pytest.mark.parametrize("kind", MEDIA)
def test_media(kind: str, tmp_path: Path) -> None:
    make, family = MEDIA[kind]
    rows, model = make(tmp_path / "rows", 60), perceiving.network(family, tmp_path / "network")
    settled = read(recipe_for(model, rows, tmp_path / "run"), (), {})
    found = examine(str(model), sample(prepare(settled), settled), Console(quiet=True))
    assert isinstance(found, Suited)
    assert found.unknown is None
    assert found.h_score is not None
    wrong = tiny_models.make("bert", tmp_path / "bert")
    assert isinstance(examine(str(wrong), sample(prepare(settled), settled), Console(quiet=True)), Unreadable)


def test_facts_of_a_model(pair: tuple[Path, Path], recipe: Path) -> None:
    from transformers import AutoModel

    rows = sample(prepare(read(recipe)), read(recipe))
    found = examine(str(pair[0]), rows, Console(quiet=True))
    assert isinstance(found, Suited)
    plain = AutoModel.from_pretrained(pair[0])
    without = sum(one.numel() for name, one in plain.named_parameters() if not name.startswith("pooler"))
    assert found.weights in {without, sum(one.numel() for one in plain.parameters())}
    unknown = [word not in {*GOOD, *BAD, *FILLER} for text in rows.table.rows["review"] for word in text.split()]
    words = len(unknown) + 2 * len(rows.table.labels)  # with [CLS] and [SEP]
    assert found.unknown == pytest.approx(sum(unknown) / words)


def test_gaps(pair: tuple[Path, Path], recipe: Path) -> None:
    rows = sample(prepare(read(recipe)), read(recipe))
    better, worse = (examine(str(one), rows, Console(quiet=True)) for one in pair)
    assert isinstance(better, Suited)
    assert isinstance(worse, Suited)
    for gap in (probe_gap(better, worse), logme_gap(better, worse, rows)):
        assert gap.sure
        assert 0 < gap.interval[0] < gap.value < gap.interval[1]
    assert logme_gap(worse, better, rows).value == -logme_gap(better, worse, rows).value
    assert not probe_gap(worse, worse).sure
    assert by_chance(better) == 1 / (1 + DEALS)
    assert by_chance(worse) > ALPHA


def test_names_are_as_short_as_they_tell_apart() -> None:
    assert short_names(["/a/one", "b/two"]) == {"/a/one": "one", "b/two": "two"}
    assert short_names(["runs/a/model", "runs/b/model"]) == {"runs/a/model": "a/model", "runs/b/model": "b/model"}
    assert short_names(["x/a/model", "y/a/model"]) == {"x/a/model": "x/a/model", "y/a/model": "y/a/model"}


def test_models_are_looked_at_by_a_call_of_their_own(tmp_path: Path) -> None:
    told = CliRunner().invoke(
        app, ["check", str(tmp_path / "r.yaml"), "--models", "a,b", "--methods", "full", "--cost"]
    )
    assert str(told.exception) == (
        "--models stands alone: leave out --methods and --cost, or call luthier check once more for it."
    )
