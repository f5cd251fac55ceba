"""How many planted wrong labels are found, and what it helps to drop or to fix them.

    python benchmarks/suspect_labels.py                                # hotel reviews, 2,000 training rows, 5 % flipped
    python benchmarks/suspect_labels.py --data sst2_en_train.csv --text text --model demo/minilm-en
    python benchmarks/suspect_labels.py --finetune benchmarks/suspect_labels.jsonl --rows 600 --test 500 --seeds 3
    python benchmarks/suspect_labels.py --page docs/suspect-labels.md       # the table of --finetune

Rows are made vectors once, by the frozen base model. Each seed then divides them anew into training and test rows, flips a share of
the training labels, looks for suspects and fits a linear probe on the training rows: as they were, flipped, without the suspects,
with the suspects' labels fixed, and, to compare, without as many rows at random. Test labels are never touched. Two probes: luthier's
own, which is kept so simple that it minds few wrong labels, and scikit-learn's default, which learns them by heart.

`--finetune` trains with luthier in place of probes, with `data.labels` as a recipe has it, on the same test rows for all seeds. It
goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
from finetuned import compared, records, run_once
from page import write
from scipy import stats
from sklearn.metrics import f1_score

from luthier.data import mislabeled, split, splits
from luthier.data.found import Found
from luthier.data.normal import mark
from luthier.data.probe import STRENGTH, linear_probe
from luthier.embed import embed
from luthier.models.open import find

ASSETS = Path(os.environ.get("LUTHIER_ASSETS", "../shared/assets"))
LEVEL = 0.95
MAX_LENGTH = 256
STRENGTHS = (STRENGTH, 1.0)
"""`C` of luthier's probe, and scikit-learn's default."""
ARMS = ("as they were", "flipped", "suspects dropped", "suspects fixed", "as many dropped at random")


@dataclass(frozen=True)
class Pool:
    """Rows to draw from."""

    texts: list[str]
    labels: np.ndarray
    vectors: np.ndarray


def main() -> None:
    given = arguments()
    if given.page:
        page(given)
    elif given.finetune:
        finetune(given)
    else:
        probe(given)


def probe(given: argparse.Namespace) -> None:
    """What is found, and what it helps two linear probes."""
    pool = prepare(given)
    seeds = [measure(pool, given, seed) for seed in range(given.seeds)]
    show(seeds, given, pool)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="hotel_reviews_zh.csv", help="a csv file of the assets")
    parser.add_argument("--text", default="review")
    parser.add_argument("--label", default="label")
    parser.add_argument("--model", default=str(ASSETS / "models" / "multilingual-e5-small-zhen"))
    parser.add_argument("--rows", type=int, default=2000, help="training rows")
    parser.add_argument("--test", type=int, default=1500, help="test rows")
    parser.add_argument("--flip", type=float, default=0.05, help="share of training labels that are made wrong")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--finetune", type=Path, help="train with luthier, and add to this jsonl file")
    parser.add_argument("--page", type=Path, help="write the table of RESULTS into this page")
    return parser.parse_args()


def prepare(given: argparse.Namespace) -> Pool:
    """Distinct texts, drawn with every class in its share, and their vectors."""
    table = read(given)
    drawn = table.iloc[split.draw(table[given.label].tolist(), given.rows + given.test, seed=0)]
    rows = datasets.Dataset.from_dict({"text": drawn[given.text].tolist()})
    start = time.perf_counter()
    vectors = embed(find(given.model), rows, Found("text", "label", None, "single", ""), MAX_LENGTH)
    print(f"{len(rows)} rows embedded in {time.perf_counter() - start:.1f} s")
    return Pool(list(rows["text"]), drawn[given.label].to_numpy(), vectors)


def read(given: argparse.Namespace) -> pd.DataFrame:
    """Distinct texts with a label."""
    table = pd.read_csv(ASSETS / "data" / given.data).dropna(subset=[given.text, given.label])
    return table[~table[given.text].map(mark).duplicated()].reset_index(drop=True)


def measure(pool: Pool, given: argparse.Namespace, seed: int) -> dict[str, float]:
    """One division, one set of flips: what was found, and the test F1 of each arm."""
    parts = splits.divide(
        "random", splits.Basis(pool.labels.tolist(), seed=seed), splits.Parts.ratio([given.rows, given.test])
    ).rows
    training, test = parts["train"], parts["validation"]
    right = pool.labels[training]
    wrong, planted = flip(right, given.flip, seed)
    start = time.perf_counter()
    suspects = mislabeled.find(pool.vectors[training], wrong.tolist(), seed=seed).suspects
    seconds = time.perf_counter() - start
    labels = arms(suspects, right, wrong, seed)
    scores = {
        f"{arm} {strength}": score(pool, training[rows], chosen, test, strength)
        for strength in STRENGTHS
        for arm, (rows, chosen) in zip(ARMS, labels, strict=True)
    }
    return found(suspects, planted, right) | scores | {"seconds": seconds}


def flip(right: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Another label, drawn evenly from the others, for a share of the rows; and which rows."""
    random = np.random.default_rng(seed)
    names = np.unique(right)
    planted = random.choice(len(right), round(share * len(right)), replace=False)
    wrong = right.copy()
    for row in planted:
        wrong[row] = random.choice(names[names != right[row]])
    return wrong, planted


def found(suspects: Sequence[mislabeled.Suspect], planted: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Precision and recall against what was planted; real mistakes in the data count as false alarms."""
    rows = [suspect.index for suspect in suspects]
    hits = [suspect for suspect in suspects if suspect.index in set(planted.tolist())]
    first = np.isin(rows[: len(planted)], planted)
    return {
        "suspects": float(len(rows)),
        "precision": len(hits) / max(1, len(rows)),
        "recall": len(hits) / len(planted),
        "precision of the first": float(first.mean()) if len(first) else 0.0,
        "rightly fixed": float(np.mean([suspect.likely == right[suspect.index] for suspect in hits])) if hits else 0.0,
    }


def arms(
    suspects: Sequence[mislabeled.Suspect], right: np.ndarray, wrong: np.ndarray, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training rows and their labels, in the order of `ARMS`."""
    everything = np.arange(len(right))
    treated = [mislabeled.treat(suspects, wrong.tolist(), how) for how in ("drop", "fix")]
    some = np.random.default_rng(1000 + seed).choice(everything, len(treated[0].kept), replace=False)
    return [
        (everything, right),
        (everything, wrong),
        *((one.kept, np.array(one.labels)) for one in treated),
        (some, wrong[some]),
    ]


def score(pool: Pool, training: np.ndarray, labels: np.ndarray, test: np.ndarray, strength: float) -> float:
    """Macro F1 on the test rows of a probe fitted on the training rows."""
    answers = linear_probe(strength).fit(pool.vectors[training], labels).predict(pool.vectors[test])
    return float(f1_score(pool.labels[test], answers, average="macro"))


def show(seeds: Sequence[Mapping[str, float]], given: argparse.Namespace, pool: Pool) -> None:
    """Tables in Markdown: means over the seeds, with Student's 95 % intervals."""
    values = {name: np.array([one[name] for one in seeds]) for name in seeds[0]}
    print(
        f"\n{given.data}: {given.rows} training rows, {given.flip:.0%} flipped, {given.test} test rows, {given.seeds} seeds\n"
    )
    print("| found | mean | 95 % interval |\n|---|---|---|")
    for name in ("suspects", "precision", "recall", "precision of the first", "rightly fixed", "seconds"):
        print(f"| {name} | {said(values[name])} |")
    for strength in STRENGTHS:
        print(
            f"\n| training rows, C = {strength} | test F1 (macro) | gain over flipped | 95 % interval |\n|---|---|---|---|"
        )
        for arm in ARMS:
            gain = values[f"{arm} {strength}"] - values[f"flipped {strength}"]
            print(f"| {arm} | {values[f'{arm} {strength}'].mean():.4f} | {said(gain, 4)} |")
    examples(pool, given)


def said(values: np.ndarray, digits: int = 3) -> str:
    """Mean and interval of a mean."""
    if len(values) < 2 or not values.std():
        return f"{values.mean():.{digits}f} | "
    low, high = stats.t.interval(LEVEL, len(values) - 1, values.mean(), stats.sem(values))
    return f"{values.mean():.{digits}f} | {low:.{digits}f} to {high:.{digits}f}"


def examples(pool: Pool, given: argparse.Namespace) -> None:
    """What is suspect before anything was planted."""
    labels: list[Any] = pool.labels.tolist()
    suspects = mislabeled.find(pool.vectors, labels).suspects
    print(f"\nSuspects among the {len(labels)} rows as they are: {len(suspects)}. The first of them:\n")
    for suspect in suspects[:5]:
        print(f"- {pool.texts[suspect.index][:80]} ... {suspect.reason}")


RESULTS = Path(__file__).with_suffix(".jsonl")
TREATED = {"clean": "ignore", "ignore": "ignore", "drop": "drop", "fix": "fix"}
"""Arms of the fine-tuning, and the recipe's `data.labels`; `clean` has no flipped labels."""


def finetune(given: argparse.Namespace) -> None:
    """Train the last two blocks on flipped labels that are ignored, dropped or fixed, and on clean ones."""
    table = read(given).rename(columns={given.text: "text", given.label: "label"})
    held = split.draw(table["label"].tolist(), given.test, seed=0)
    test, rest = table.iloc[held], table.drop(index=table.index[held])
    for seed in range(given.seeds):
        train = rest.iloc[split.draw(rest["label"].tolist(), given.rows, seed=seed)]
        wrong, _ = flip(train["label"].to_numpy(), given.flip, seed)
        for arm, treatment in TREATED.items():
            recipe = {
                "model": given.model,
                "data": {"max_length": 128, "labels": treatment},
                "method": {"name": "top", "blocks": 2},
                "train": {"epochs": 3, "batch_size": 32, "precision": "fp32", "cache": "disk"},
            }
            flipped = 0.0 if arm == "clean" else given.flip
            job = {"data": given.data, "rows": given.rows, "flipped": flipped, "seed": seed, "arm": arm}
            run_once(job, train if arm == "clean" else train.assign(label=wrong), test, recipe, given.finetune)


def page(given: argparse.Namespace) -> None:
    """Write the table of the fine-tuning into a page; clean labels are compared with each share of flipped ones."""
    runs = records(RESULTS)
    clean = [run for run in runs if run["arm"] == "clean"]
    lines = [
        "| rows | flipped | labels | F1 (macro) | gain over `ignore` | accuracy | gain | seeds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for share in sorted({run["flipped"] for run in runs} - {0.0}):
        some = [{**run, "flipped": share} for run in clean] + [run for run in runs if run["flipped"] == share]
        pairs = zip(compared(some, "ignore", "f1"), compared(some, "ignore", "accuracy"), strict=True)
        for ((_, rows, _), arm, f1, gain, seeds), (_, _, accuracy, other, _) in pairs:
            lines.append(f"| {rows} | {share:.0%} | {arm} | {f1:.1f} | {gain} | {accuracy:.1f} | {other} | {seeds} |")
    write(given.page, "suspect_labels.py --finetune", "\n".join(lines), "Suspect labels")


if __name__ == "__main__":
    main()
