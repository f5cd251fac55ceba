"""Runs that say how alike two texts are, from the file to the card, read together or one by one."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score
from transformers import AutoModel, AutoTokenizer

import luthier
from luthier.errors import DataError, RecipeError
from luthier.recipe.reading import read
from pair_models import BAD, GOOD, NOUNS, pairs, save_reading_pairs, sentence


def alike(rows: int, seed: int = 0) -> list[tuple[str, str, int]]:
    """Pairs, and whether both texts are good or both bad."""
    draw = random.Random(seed)
    made: dict[tuple[str, str], int] = {}
    while len(made) < rows:
        first, second = draw.choice((GOOD, BAD)), draw.choice((GOOD, BAD))
        made[sentence(draw, first), sentence(draw, second)] = int(first is second)
    return [(*texts, label) for texts, label in made.items()]


def write(file: Path, rows: Sequence[tuple[Any, ...]]) -> Path:
    pd.DataFrame(rows, columns=["sentence1", "sentence2", "score"]).to_csv(file, index=False)
    return file


@pytest.fixture(scope="module")
def base(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_reading_pairs(tiny_bert, tmp_path_factory.mktemp("base") / "tiny-bert-for-pairs")


def scored(rows: list[tuple[str, str, int]]) -> list[tuple[str, str, float]]:
    """Scores from 1 to 5 in place of 0 and 1, as of people who do not quite agree."""
    draw = random.Random(1)
    return [(first, second, round(1 + 3.2 * same + 0.8 * draw.random(), 2)) for first, second, same in rows]


def trained(file: Path, base: Path, output: Path, task: dict[str, Any], **more: Any) -> luthier.Run:
    return luthier.train(
        {
            "task": {"name": "match", **task},
            "model": str(base),
            "data": {"files": str(file), "similarity": None},
            "train": {"epochs": 6, "lr": 3e-3, "batch_size": 16, "precision": "fp32"},
            "output": str(output),
            **more,
        }
    )


Runs = dict[tuple[str, str], luthier.Run]


@pytest.fixture(scope="module")
def runs(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Of each kind one on 0 and 1 and one on scores; what the cross-encoder learns hangs on one of the texts, which is easier."""
    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for kind, rows in (("cross", pairs(240)), ("twin", alike(240))):
        for labels, told in (("together", rows), ("scored", scored(rows))):
            file = write(folder / f"{kind}-{labels}.csv", told)
            found[kind, labels] = trained(file, base, folder / f"{kind}-{labels}", {"kind": kind})
    return found


EVERY = [(kind, labels) for kind in ("cross", "twin") for labels in ("together", "scored")]


def held_out(run: luthier.Run) -> pd.DataFrame:
    return pd.read_parquet(run.path / "predictions.parquet").query("split == 'test'")


def rows_of(stored: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(stored["sentence1"], stored["sentence2"], strict=True))


@pytest.mark.parametrize("which", EVERY)
def test_figures_are_those_of_scipy_and_scikit_learn(which: tuple[str, str], runs: Runs) -> None:
    run = runs[which]
    stored, found = held_out(run), run.evaluate("test")
    truth, said = stored["label"], stored["predicted"]
    expected = {"spearman": spearmanr(truth, said)[0], "pearson": pearsonr(truth, said)[0]}
    if which[1] == "together":
        expected |= {
            "roc_auc": roc_auc_score(truth, said),
            "average_precision": average_precision_score(truth, said),
        }
    assert found.metrics == pytest.approx(expected, abs=1e-6)
    assert found.intervals.keys() == expected.keys()
    for name, (low, high) in found.intervals.items():
        assert low <= found.metrics[name] <= high


@pytest.mark.parametrize("which", EVERY)
def test_it_learns(which: tuple[str, str], runs: Runs) -> None:
    figures = runs[which].evaluate("test").metrics
    assert figures["pearson"] > 0.6
    assert figures.get("roc_auc", 1) > 0.9


@pytest.mark.parametrize("which", EVERY)
def test_stored_and_live_predictions_agree(which: tuple[str, str], runs: Runs, tmp_path: Path) -> None:
    run = runs[which]
    stored = held_out(run)
    live = run.predict(rows_of(stored))
    assert [one.label for one in live] == pytest.approx(stored["predicted"].tolist(), abs=1e-4)
    assert {one.confidence for one in live} == {None}
    stored[["sentence1", "sentence2"]].to_csv(tmp_path / "new.csv", index=False)
    run.predict_file(tmp_path / "new.csv", tmp_path / "out.csv")
    assert pd.read_csv(tmp_path / "out.csv")["predicted"].tolist() == pytest.approx(
        stored["predicted"].tolist(), abs=1e-4
    )


@pytest.mark.parametrize("labels", ["together", "scored"])
def test_a_cross_encoder_is_a_plain_classifier_of_one_output(labels: str, runs: Runs) -> None:
    from transformers import pipeline

    run = runs["cross", labels]
    stored, about = held_out(run), run.target.about
    plain = pipeline("text-classification", str(run.path / "model"), **about.options)
    reading = about.reading.replace("{call}", "answer")
    answers = [plain([{"text": first, "text_pair": second}]) for first, second in rows_of(stored)]
    said = [eval(reading, {"answer": answer}) for answer in answers]
    assert said == pytest.approx(stored["predicted"].tolist(), abs=1e-4)


def vectors(run: luthier.Run, texts: list[str]) -> torch.Tensor:
    """Means of the last hidden states by plain transformers, normed."""
    folder = run.path / "model"
    model, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(texts, truncation=True, padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = model.eval()(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)


@pytest.mark.parametrize("labels", ["together", "scored"])
def test_a_twin_is_a_plain_model_and_the_mean_of_its_states(labels: str, runs: Runs) -> None:
    run = runs["twin", labels]
    stored = held_out(run)
    first, second = (vectors(run, stored[name].tolist()) for name in ("sentence1", "sentence2"))
    cosines = (first * second).sum(1).numpy()
    low, high = (0.0, 1.0) if labels == "together" else (run.data["target"]["low"], run.data["target"]["high"])
    assert low + (high - low) * cosines == pytest.approx(stored["predicted"].to_numpy(), abs=1e-4)


def test_a_twin_is_a_model_of_sentence_transformers(runs: Runs) -> None:
    library = pytest.importorskip("sentence_transformers")
    run = runs["twin", "together"]
    stored = held_out(run)
    made = library.SentenceTransformer(str(run.path / "model"), device="cpu")
    for name in ("sentence1", "sentence2"):
        found = made.encode(stored[name].tolist(), normalize_embeddings=True)
        assert np.allclose(found, vectors(run, stored[name].tolist()).numpy(), atol=1e-5)
    assert made.max_seq_length == run.data["max_length"]


def test_the_files_of_sentence_transformers_name_what_is_there(runs: Runs) -> None:
    folder = runs["twin", "scored"].path / "model"
    for part in json.loads((folder / "modules.json").read_text()):
        assert (folder / part["path"]).is_dir()
    pooling = json.loads((folder / "1_Pooling" / "config.json").read_text())
    assert pooling["word_embedding_dimension"] == AutoModel.from_pretrained(folder).config.hidden_size
    assert not (runs["cross", "scored"].path / "model" / "modules.json").exists()


def test_the_card_says_how_to_use_it(runs: Runs) -> None:
    cards = {which: (run.path / "README.md").read_text(encoding="utf-8") for which, run in runs.items()}
    assert 'pipeline("feature-extraction"' in cards["twin", "together"]
    assert 'predict(["A text to read.", "Another one."])' in cards["twin", "together"]
    assert (
        'predict([{"text": "A text to read.", "text_pair": "Another one."}])[0]["score"]' in cards["cross", "together"]
    )
    assert all("two texts together" in card or "two texts" in card for card in cards.values())


@pytest.mark.parametrize(
    "method",
    [{"name": "lora", "rank": 4}, {"name": "top", "blocks": 1}, {"name": "prompt", "length": 4}, "adapter", "prefix"],
)
def test_methods_train_twins(method: Any, base: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "pairs.csv", alike(60))
    run = trained(
        file, base, tmp_path / "run", {"kind": "twin"}, method=method, train={"epochs": 2, "precision": "fp32"}
    )
    stored = held_out(run)
    live = run.predict(rows_of(stored))
    assert [one.label for one in live] == pytest.approx(stored["predicted"].tolist(), abs=1e-4)
    steps = [one for one in run.folder.records() if one["event"] == "frozen"]
    assert all(np.isfinite(one["loss"]) for one in run.folder.records() if one["event"] == "step")
    assert steps or method != "top"


def test_a_network_without_a_head_has_none_to_train(base: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "pairs.csv", alike(60))
    with pytest.raises(RecipeError, match="head"):
        trained(file, base, tmp_path / "run", {"kind": "twin"}, method="head")


def test_rows_of_one_text_are_refused(base: Path, tmp_path: Path) -> None:
    pd.DataFrame({"text": [f"the film {n}" for n in range(20)], "score": range(20)}).to_csv(tmp_path / "a.csv")
    with pytest.raises(DataError) as refused:
        trained(tmp_path / "a.csv", base, tmp_path / "run", {})
    assert str(refused.value) == (
        "Task match compares two texts, and these rows are text. Say which columns hold them: "
        "data: {columns: {text: sentence1, pair: sentence2}}."
    )


@pytest.mark.parametrize("name", ["pairs", "match"])
def test_recipes_run(name: str, base: Path, tmp_path: Path) -> None:
    recipe = read(Path(__file__).parent.parent / "recipes" / f"{name}.yaml").model_dump(mode="json")
    columns = recipe["data"]["columns"]
    rows = pd.DataFrame(pairs(60), columns=[columns["text"], columns["pair"], columns["label"]])
    rows.to_csv(tmp_path / "pairs.csv", index=False)
    recipe["data"] |= {"files": str(tmp_path / "pairs.csv")}
    run = luthier.train(recipe, model=str(base), train={"epochs": 1}, output=str(tmp_path / "run"))
    assert run.evaluate().rows == run.data["splits"]["test"]["rows"] > 0


def answers(rows: int) -> list[tuple[str, str, int]]:
    """Questions that name something and ask for it, and texts that say the same in another order."""
    draw = random.Random(3)
    named = {tuple(sorted(draw.sample(NOUNS, k=4))) for _ in range(10 * rows)}
    made = []
    for nouns in sorted(named)[:rows]:
        said = list(nouns)
        draw.shuffle(said)
        made.append((" ".join(["not", *nouns]), " ".join(["very", *said]), 1))
    return made


@pytest.fixture(scope="module")
def search(base: Path, tmp_path_factory: pytest.TempPathFactory) -> luthier.Run:
    folder = tmp_path_factory.mktemp("search")
    file = write(folder / "answers.csv", answers(200))
    return trained(file, base, folder / "run", {"kind": "twin"})


def test_partners_are_found(search: luthier.Run) -> None:
    stored, found = held_out(search), search.evaluate("test")
    first, second = (vectors(search, stored[name].tolist()) for name in ("sentence1", "sentence2"))
    cosines = first @ second.T
    ranks = 1 + (cosines > cosines.diagonal()[:, None] + 1e-6).sum(dim=1).double()
    assert found.metrics["mrr"] == pytest.approx((1 / ranks).mean().item(), abs=1e-4)
    assert found.metrics["recall_1"] == pytest.approx((ranks == 1).double().mean().item(), abs=1e-4)
    assert found.baseline is not None
    assert found.metrics["mrr"] > 0.7 > 2 * found.baseline.figures["mrr"]
    assert stored["predicted"].tolist() == pytest.approx(cosines.diagonal().tolist(), abs=1e-4)


def test_a_step_is_one_call(search: luthier.Run) -> None:
    """Micro-batches would leave other rows out of the comparison."""
    from luthier.build import get_ready, make_accelerator, make_job
    from luthier.folder import RunFolder
    from luthier.prepare import prepare
    from luthier.show import Console
    from luthier.training.step import micro_batches

    recipe = read(search.path / "recipe.yaml")
    accelerator = make_accelerator(recipe, RunFolder(search.path))
    ready = get_ready(recipe, prepare(recipe), accelerator, Console(quiet=True))
    job = make_job(ready, accelerator)
    assert all(len(micro_batches(job, job.batches.at(step), None)) == 1 for step in range(3))


def test_searches_are_shown(search: luthier.Run) -> None:
    report = (search.path / "report.html").read_text(encoding="utf-8")
    assert "Recall at 5" in report
    assert "first vector" not in report
    assert "MRR" in (search.path / "README.md").read_text(encoding="utf-8")
    (one,) = search.predict(("not film room", "very room film"))
    assert -1 <= one.label <= 1
