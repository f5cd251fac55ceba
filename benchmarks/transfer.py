"""Do the scores of `luthier check --models` foretell which base model is the best after fine-tuning?

python benchmarks/transfer.py measure ASSETS MINILM RESULTS.jsonl [DATA,DATA] [SMOLLM2]
python benchmarks/transfer.py page RESULTS.jsonl docs/base-model.md

ASSETS is the folder with models/ and data/, MINILM that of all-MiniLM-L6-v2, SMOLLM2 that of SmolLM2-135M. `measure` goes on where it
was stopped. All models of a data set have the same training and test rows; the scores see the training rows only, and fine-tuning
is `method: top`, two blocks, three epochs at its default rate, with no row to choose an epoch by. Beside each model stand copies of
it with drawn weights or half of its layers: controls that are known to be worse bases.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from finetuned import records
from page import write
from scipy import stats
from transformers import AutoConfig, AutoModel, AutoModelForAudioClassification

import luthier
from luthier.advise.transfer import Unreadable, examine, sample
from luthier.hardware import tune_allocator
from luthier.prepare import prepare
from luthier.recipe.reading import read
from luthier.show import Console

TRAINED, TESTED = 1000, 500
TRAIN = {"epochs": 3, "batch_size": 32, "precision": "fp32", "keep_best": False}
METHOD = {"name": "top", "blocks": 2}
SCORES = {"LogME": "logme", "H-score": "h_score", "probe": "probe"}
DRAWS = 2_000
"""Permutations of a p-value."""


@dataclass(frozen=True)
class Source:
    """Labelled rows, and which models are asked about them."""

    models: tuple[str, ...]
    train: str
    """A file of texts, or of media what a recipe reads."""
    text: str = "text"
    test: str = ""
    """Empty where test rows are drawn from the same file."""
    data: Mapping[str, Any] | None = None
    """Of media, the recipe's `data`."""


TEXTS = ("minilm", "e5", "stories260k", "minilm-drawn")
SOURCES = {
    "sst2_en": Source((*TEXTS, "minilm-half", "smollm2"), "sst2_en_train.csv", test="sst2_en_test.csv"),
    "news_titles_zh": Source(TEXTS, "news_titles_zh_dev.csv", test="news_titles_zh_test.csv"),
    "sms_spam_en": Source((*TEXTS, "minilm-half", "smollm2"), "sms_spam_en.csv"),
    "spoken_digits": Source(
        ("whisper", "whisper-drawn", "whisper-half"),
        "spoken_digits",
        data={"rows": TRAINED, "split": {"by": "group", "column": "speaker", "parts": [4, 2]}},
    ),
    "ants_bees": Source(("efficientnet",), "ants_bees/train", test="ants_bees/val", data={}),
    "sms_spam_kinds_zh": Source(TEXTS, "sms_spam_kinds_zh.csv"),
    "hotel_reviews_zh": Source(TEXTS, "hotel_reviews_zh.csv", "review"),
}
HALVED: Mapping[str, tuple[Any, str, str]] = {
    "minilm-half": (AutoModel, "encoder.layer", "num_hidden_layers"),
    "whisper-half": (AutoModelForAudioClassification, "encoder.layers", "encoder_layers"),
}
"""What opens a model that loses the upper half of its layers, where they are, and what its configuration calls their number."""
DRAWN: Mapping[str, Any] = {
    "minilm-drawn": AutoModel,
    "whisper-drawn": AutoModelForAudioClassification,
}
"""What opens a model whose weights are drawn."""


def halve(name: str, original: Path, folder: Path) -> None:
    """The lower half of the layers."""
    auto, place, count = HALVED[name]
    model = auto.from_pretrained(original, dtype=torch.float32)
    layers = model.get_submodule(place)
    setattr(model.config, count, len(layers) // 2)
    del layers[len(layers) // 2 :]
    model.save_pretrained(folder)


def draw(name: str, original: Path, folder: Path) -> None:
    """Weights as they are before pretraining."""
    torch.manual_seed(0)
    DRAWN[name].from_config(AutoConfig.from_pretrained(original, dtype=torch.float32)).save_pretrained(folder)


def made(make: Callable[[str, Path, Path], None], name: str, original: Path, place: Path) -> Path:
    """A model made of another, with its tokenizer or processor."""
    folder = place / name
    if not folder.is_dir():
        make(name, original, folder)
        for file in original.iterdir():
            if file.is_file() and not (folder / file.name).exists() and file.suffix != ".safetensors":
                shutil.copy(file, folder)
    return folder


def models(assets: Path, minilm: Path, smollm2: Path | None, place: Path) -> dict[str, Path]:
    """Folders by name."""
    own = {
        "minilm": minilm,
        "e5": assets / "models/multilingual-e5-small-zhen",
        "stories260k": assets / "models/stories260k",
        "whisper": assets / "models/whisper-tiny-en-encoder",
        "efficientnet": assets / "models/efficientnet-lite0",
        **({"smollm2": smollm2} if smollm2 else {}),
    }
    halved = {name: made(halve, name, own[name.partition("-")[0]], place) for name in HALVED}
    return own | halved | {name: made(draw, name, own[name.partition("-")[0]], place) for name in DRAWN}


def data_of(source: Source, assets: Path, place: Path) -> dict[str, Any]:
    """A recipe's `data`: the same rows for all models."""
    folder = assets / "data"
    always = {"duplicates": "ignore", "similarity": None}
    if source.data is not None:
        files: Any = {"train": str(folder / source.train), "test": str(folder / source.test)}
        return {
            "files": files if source.test else str(folder / source.train),
            **({"split": {"validation": 0}} if source.test else {}),
            **always,
            **source.data,
        }
    rows = pd.read_csv(folder / source.train).dropna().rename(columns={source.text: "text"})
    rows = rows.drop_duplicates("text").sample(frac=1, random_state=0)
    test = pd.read_csv(folder / source.test).sample(TESTED, random_state=0) if source.test else rows[:TESTED]
    rows = rows[~rows["text"].isin(test["text"])][:TRAINED]
    files = {"train": str(place / "train.csv"), "test": str(place / "test.csv")}
    for name, part in (("train", rows), ("test", test)):
        part[["text", "label"]].to_csv(files[name], index=False)
    return {"files": files, "split": {"validation": 0}, "max_length": 64, **always}


def measured(settings: dict[str, Any], model: Path) -> dict[str, Any]:
    """The scores of a model before fine-tuning and its figures afterwards."""
    recipe, console = read(settings, (), {}), Console(quiet=True)
    before = examine(str(model), sample(prepare(recipe), recipe), console)
    if isinstance(before, Unreadable):
        raise SystemExit(before.why)
    started = time.perf_counter()
    run = luthier.train(settings)
    after = run.evaluate()
    return {
        "logme": before.logme,
        "h_score": before.h_score,
        "probe": before.probed.value,
        "probe_interval": before.probed.interval,
        "width": before.vectors.shape[1],
        "weights": before.weights,
        "rows": len(before.vectors),
        "f1": after.metrics["f1_macro"],
        "f1_interval": after.intervals["f1_macro"],
        "accuracy": after.metrics["accuracy"],
        "tested": after.rows,
        "check_seconds": round(before.seconds, 1),
        "train_seconds": round(time.perf_counter() - started, 1),
    }


def measure(assets: str, minilm: str, results: str, chosen: str = "", smollm2: str = "") -> None:
    """All pairs that have no line yet."""
    tune_allocator()
    torch.set_num_threads(1)
    file = Path(results)
    with tempfile.TemporaryDirectory() as folder:
        known = models(Path(assets), Path(minilm), Path(smollm2) if smollm2 else None, Path(folder))
        for data in chosen.split(",") if chosen else SOURCES:
            for name in (name for name in SOURCES[data].models if name in known):
                if (data, name) in {(one["data"], one["model"]) for one in records(file)}:
                    continue
                with tempfile.TemporaryDirectory() as place:
                    settings = {
                        **{"model": str(known[name]), "data": data_of(SOURCES[data], Path(assets), Path(place))},
                        **{"method": METHOD, "train": TRAIN, "seed": 0, "output": f"{place}/run"},
                    }
                    found = {"data": data, "model": name, **measured(settings, known[name])}
                with file.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(found) + "\n")
                print(found, flush=True)


def groups(runs: Sequence[dict[str, Any]], least: int) -> dict[str, list[dict[str, Any]]]:
    """Runs by data set, of those with enough models."""
    found = {data: [run for run in runs if run["data"] == data] for data in SOURCES}
    return {data: some for data, some in found.items() if len(some) >= least}


def standardised(values: Sequence[float]) -> np.ndarray:
    spread = np.std(values)
    return (np.asarray(values) - np.mean(values)) / (spread if spread > 0 else 1)


def concordance(scores: Sequence[np.ndarray], figures: Sequence[np.ndarray]) -> float:
    """Kendall's tau over pairs of models of the same data set, from -1 to 1."""
    signs = [
        np.sign(np.subtract.outer(score, score)) * np.sign(np.subtract.outer(figure, figure))
        for score, figure in zip(scores, figures, strict=True)
    ]
    return float(sum(one.sum() for one in signs) / sum(len(one) * (len(one) - 1) for one in signs))


def pearson(scores: Sequence[np.ndarray], figures: Sequence[np.ndarray]) -> float:
    """Correlation of what stands out in its own data set."""
    left, right = (np.concatenate([standardised(one) for one in many]) for many in (scores, figures))
    return float(np.corrcoef(left, right)[0, 1])


def tested(
    measure: Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], float],
    scores: Sequence[np.ndarray],
    figures: Sequence[np.ndarray],
) -> str:
    """A correlation, and its p-value by dealing figures out anew within each data set."""
    generator = np.random.default_rng(0)
    found = measure(scores, figures)
    dealt = [measure(scores, [generator.permutation(one) for one in figures]) for _ in range(DRAWS)]
    p_value = (1 + sum(one >= found - 1e-12 for one in dealt)) / (1 + DRAWS)
    return f"{found:.2f} (p = {p_value:.2g})"


def pairs_table(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line for each pair."""
    yield "| data | base model | probe F1 | LogME | H-score | fine-tuned F1, 95 % interval | training rows | test rows | check | training |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for some in groups(runs, 1).values():
        for run in sorted(some, key=lambda one: -one["f1"]):
            low, high = run["f1_interval"]
            yield (
                f"| {run['data']} | {run['model']} | {run['probe']:.3f} | {run['logme']:.3f} | {run['h_score']:.3f} | "
                f"{run['f1']:.3f} ({low:.3f} to {high:.3f}) | {run['rows']:,} | {run['tested']:,} | {run['check_seconds']:.0f} s | "
                f"{run['train_seconds']:.0f} s |"
            )


def agreement_table(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    """How well each score foretells the fine-tuned F1."""
    several, all_sets = groups(runs, 3), groups(runs, 2)
    alone = " | ".join(f"tau, {name} (n={len(some)})" for name, some in several.items())
    pooled = f"tau, all {len(several)} (n={sum(map(len, several.values()))})"
    yield f"| score | {alone} | {pooled} | Pearson, all {len(several)} | F1 lost |"
    yield "|---" * (len(several) + 4) + "|"
    for title, name in SCORES.items():
        scores = [np.array([run[name] for run in some]) for some in several.values()]
        figures = [np.array([run["f1"] for run in some]) for some in several.values()]
        each = [
            f"{stats.kendalltau(score, figure).statistic:.2f}" for score, figure in zip(scores, figures, strict=True)
        ]
        lost = [
            max(run["f1"] for run in some) - max(some, key=lambda run: run[name])["f1"] for some in all_sets.values()
        ]
        told = " | ".join(tested(one, scores, figures) for one in (concordance, pearson))
        yield f"| {title} | {' | '.join(each)} | {told} | {np.mean(lost):.3f} on average, {max(lost):.3f} at most |"


def page(results: str, file: str) -> None:
    """Write the pairs and how well the scores agree with fine-tuning into a page."""
    runs = records(Path(results))
    parts = {"pairs": pairs_table, "agreement": agreement_table}
    for name, table in parts.items():
        write(Path(file), f"transfer.py, {name}", "\n".join(table(runs)), "Is this base model suited?")


COMMANDS = {"measure": measure, "page": page}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
