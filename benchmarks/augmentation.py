"""Which augmentations help on few rows: accuracy with and without them, over sizes and seeds.

The learner is cheap and not luthier's: a logistic regression on the mean-pooled outputs of a frozen encoder, trained on the rows and
COPIES changed copies of each (`share: 1`). What it is compared with is the same rows repeated as often, so that only the change of
the texts differs and not the weight of the data against the penalty. A small training set is the start of a larger one of the same seed.

python benchmarks/augmentation.py measure DATA SEEDS ROWS MODEL FOLDER_OF_DATA RESULTS.jsonl [NAME=FILE]
python benchmarks/augmentation.py table RESULTS.jsonl

SEEDS such as 0,1,2; ROWS is the largest of the sizes to measure; FILE is what `synonyms` reads.

`finetune` takes the same arguments and trains with luthier, each row once an epoch, with the augmentations' default share and rate,
against no augmentation. It goes on where it was stopped; `page` writes its table into docs/augmentation.md.

python benchmarks/augmentation.py finetune DATA SEEDS ROWS MODEL FOLDER_OF_DATA RESULTS.jsonl [NAME=FILE]
python benchmarks/augmentation.py page RESULTS.jsonl docs/augmentation.md
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from finetuned import compared, interval, records, run_once
from page import write
from sklearn.linear_model import LogisticRegression
from transformers import AutoModel, AutoTokenizer

from luthier.augment import AUGMENTATIONS, Augmentation, augment
from luthier.hardware import tune_allocator

SIZES = (100, 300, 1000)
COPIES = 2
TESTED = 1000
"""Rows that are scored, the same for all seeds; SST-2 has a test file, from which they are drawn."""
TOKENS = 64
"""What is read of a text: all of SST-2, the start of a long hotel review."""
CONTROL = "repeated"


@dataclass(frozen=True)
class Source:
    """A labelled file, and how the encoder wants its texts."""

    train: str
    test: str | None
    text: str
    prefix: str
    augmentations: tuple[str, ...]


SOURCES = {
    "sst2_en": Source(
        "sst2_en_train.csv", "sst2_en_test.csv", "text", "", ("delete", "swap", "synonyms", "back_translation")
    ),
    "hotel_reviews_zh": Source(
        "hotel_reviews_zh.csv", None, "review", "query: ", ("delete", "swap", "synonyms", "homophones")
    ),
}


class Encoder:
    """Mean of the last hidden states of a frozen model, each text computed once."""

    def __init__(self, folder: str, prefix: str) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.prefix = prefix
        self.known: dict[str, np.ndarray] = {}

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, hidden)."""
        new = sorted(set(texts).difference(self.known), key=len)
        for first in range(0, len(new), 32):
            block = new[first : first + 32]
            self.known.update(zip(block, self._encode(block), strict=True))
        return np.stack([self.known[text] for text in texts])

    @torch.inference_mode()
    def _encode(self, texts: list[str]) -> np.ndarray:
        rows = self.tokenizer(
            [self.prefix + text for text in texts],
            padding=True,
            truncation=True,
            max_length=TOKENS,
            return_tensors="pt",
        )
        states = self.model(**rows).last_hidden_state
        kept = rows["attention_mask"][..., None]
        return ((states * kept).sum(1) / kept.sum(1)).numpy()


def split(source: Source, folder: Path, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training rows of a seed, as many as the largest size, and the test rows of all seeds; no text in both."""
    rows = pd.read_csv(folder / source.train).dropna().drop_duplicates(source.text).sample(frac=1, random_state=0)
    if source.test:
        test = pd.read_csv(folder / source.test).sample(TESTED, random_state=0)
        rows = rows[~rows[source.text].isin(test[source.text])]
    else:
        test, rows = rows[:TESTED], rows[TESTED:]
    return rows.sample(max(SIZES), random_state=seed), test


def accuracy(encode: Encoder, texts: list[str], labels: Iterable[int], test: pd.DataFrame, column: str) -> float:
    """Of a logistic regression with scikit-learn's defaults."""
    model = LogisticRegression(max_iter=2000).fit(encode(texts), list(labels))
    return float(model.score(encode(list(test[column])), test["label"]))


def measure(data: str, seeds: str, rows: str, model: str, folder: str, results: str, *synonyms: str) -> None:
    """All augmentations and the sizes up to `rows`; one line for each into the results."""
    source = SOURCES[data]
    tune_allocator()
    encode = Encoder(model, source.prefix)
    files = dict(pair.split("=") for pair in synonyms)
    for seed in map(int, seeds.split(",")):
        train, test = split(source, Path(folder), seed)
        for name in (CONTROL, *source.augmentations):
            given = {"file": files[name]} if name in files else {}
            chain = [AUGMENTATIONS[name].model_validate({"share": 1, **given})] if name != CONTROL else []
            for found in scores(encode, source, train[: int(rows)], test, chain, seed):
                record = {"data": data, "seed": seed, "augmentation": name} | found
                with Path(results).open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
                print(record, flush=True)


def scores(
    encode: Encoder, source: Source, train: pd.DataFrame, test: pd.DataFrame, chain: list[Augmentation], seed: int
) -> Iterator[dict[str, float]]:
    """One augmentation at every size that there are rows for."""
    originals, labels = list(train[source.text]), list(train["label"])
    start = time.perf_counter()
    copies = changed(chain, originals, seed)
    seconds = time.perf_counter() - start
    same = np.mean([one == other for copy in copies for one, other in zip(copy, originals, strict=True)])
    for size in (size for size in SIZES if size <= len(train)):
        texts = originals[:size] + [text for copy in copies for text in copy[:size]]
        yield {
            "rows": size,
            "accuracy": accuracy(encode, texts, labels[:size] * (1 + COPIES), test, source.text),
            "unchanged": round(float(same), 3),
            "milliseconds_a_copy": round(1000 * seconds / COPIES / len(train), 2),
        }


def changed(chain: list[Augmentation], texts: list[str], seed: int) -> list[list[str]]:
    """COPIES versions of all texts."""
    for one in chain:
        one.ready(texts)
    return [[augment(chain, text, seed, epoch, row) for row, text in enumerate(texts)] for epoch in range(COPIES)]


def table(results: str) -> None:
    """Mean accuracy, and the gain over the control with its 95 % t interval over seeds, in points."""
    found: dict[tuple[str, int, str], dict[int, float]] = defaultdict(dict)
    for line in Path(results).read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        found[one["data"], one["rows"], one["augmentation"]][one["seed"]] = 100 * one["accuracy"]
    print("| data | rows | augmentation | accuracy | gain in points | seeds |\n|---|---|---|---|---|---|")
    for (data, rows, name), scores in sorted(found.items(), key=lambda item: item[0][:2]):
        seeds = sorted(scores)
        gains = [scores[seed] - found[data, rows, CONTROL][seed] for seed in seeds]
        gain = "" if name == CONTROL else interval(gains)
        print(f"| {data} | {rows} | {name} | {np.mean(list(scores.values())):.1f} | {gain} | {len(seeds)} |")


@dataclass(frozen=True)
class Training:
    """How luthier trains on few rows of a source; the rest is its default."""

    epochs: Mapping[int, int]
    """For each number of rows."""
    tested: int
    """Rows that are scored."""
    augmentations: tuple[str, ...]


TRAININGS = {
    "sst2_en": Training({100: 8, 300: 4, 1000: 3}, 500, ("synonyms", "delete", "swap", "back_translation")),
    "hotel_reviews_zh": Training({100: 8, 300: 4, 1000: 2}, 300, ("homophones", "synonyms")),
}
FINETUNED_METHOD = {"name": "top", "blocks": 2}
"""With `full` and its default rate the encoder of the hotel reviews answers with the majority after as many epochs."""
FINETUNED_TOKENS = 128
NONE = "none"


def finetune(data: str, seeds: str, rows: str, model: str, folder: str, results: str, *synonyms: str) -> None:
    """Train with each augmentation and without, for the sizes up to `rows`; what is in the results is not done again."""
    source, training = SOURCES[data], TRAININGS[data]
    files = dict(pair.split("=") for pair in synonyms)
    for seed in map(int, seeds.split(",")):
        train, test = (part.rename(columns={source.text: "text"}) for part in split(source, Path(folder), seed))
        for size in (size for size in training.epochs if size <= int(rows)):
            for name in (NONE, *training.augmentations):
                given = {"name": name} | ({"file": files[name]} if name in files else {})
                recipe = {
                    "model": model,
                    "data": {"max_length": FINETUNED_TOKENS, "augment": [given] if name != NONE else []},
                    "method": FINETUNED_METHOD,
                    "train": {"epochs": training.epochs[size], "batch_size": 16, "precision": "fp32"},
                }
                job = {"data": data, "rows": size, "seed": seed, "arm": name}
                run_once(job, train[:size], test[: training.tested], recipe, Path(results))


def page(results: str, file: str) -> None:
    """Write the table of `finetune` into a page."""
    lines = ["| data | rows | augmentation | accuracy | gain in points | seeds |", "|---|---|---|---|---|---|"]
    for (data, rows, _), arm, mean, gain, seeds in compared(records(Path(results)), NONE, "accuracy"):
        lines.append(f"| {data} | {rows} | {arm} | {mean:.1f} | {gain} | {seeds} |")
    write(Path(file), "augmentation.py finetune", "\n".join(lines), "Augmentation")


COMMANDS: dict[str, Callable[..., None]] = {"measure": measure, "table": table, "finetune": finetune, "page": page}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
