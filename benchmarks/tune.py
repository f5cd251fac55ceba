"""Trials an hour of `luthier tune` beside Trainer.hyperparameter_search: the same rows, space, epochs and sampler.

    OMP_NUM_THREADS=1 python benchmarks/tune.py --model FOLDER     # 10 minutes on one core; writes benchmarks/TUNE.md
    python benchmarks/tune.py --rows 200 --trials 3 --epochs 1 --output /tmp/TUNE.md

Each search is a process of its own, one after the other. Its time is that of the whole search, reading and tokenising the rows
included, without the model and the report that come after it. Nothing is pruned: Trainer counts steps where luthier counts epochs, so
that trials with other batches would be compared, and ended, at other places. Seconds of the processor tell more than those of the
clock where other programs are at work; the table has the ratio of each.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from page import write
from train_text import machine

HERE = Path(__file__).parent
METHODS = {"head": (1e-2, 10), "top": (3e-4, 3)}
"""Methods with the middle of the rates that are searched, and their epochs."""
BATCHES = [16, 32, 64]
BLOCKS = 2
Job = dict[str, Any]


def main() -> None:
    """Measure and write the table, or be one of the searches."""
    options = read_options()
    if options.search:
        print(json.dumps(SEARCHES[options.search](json.loads(options.job))))
        return
    with tempfile.TemporaryDirectory() as place:
        lines = [HEADER]
        for method in options.methods:
            found = {name: measure(name, job(options, method, Path(place))) for name in SEARCHES}
            lines.append(row(method, found))
    told = (
        f"{machine().partition(' Median')[0]} {os.environ.get('OMP_NUM_THREADS', 'all')} thread(s), optuna {version('optuna')}; "
        f"{options.rows} training and {options.held} validation rows, {options.trials} trials of each search, none pruned."
    )
    write(options.output, "tune.py", "\n\n".join([told, "\n".join(lines)]), "Searching settings")


def read_options() -> argparse.Namespace:
    """The command line."""
    assets = Path(os.environ.get("LUTHIER_ASSETS", HERE.parent.parent / "shared" / "assets"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, default=assets / "data" / "sst2_en_train.csv")
    parser.add_argument("--dev", type=Path, default=assets / "data" / "sst2_en_dev.csv")
    parser.add_argument("--model", default="demo/minilm-en", help="demo/minilm-en or a folder")
    parser.add_argument("--rows", type=int, default=1000, help="training rows")
    parser.add_argument("--held", type=int, default=400, help="validation rows")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, help="of each trial; default: 10 for head, 3 for top")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--output", type=Path, default=HERE / "TUNE.md")
    parser.add_argument("--search", choices=list(SEARCHES), help=argparse.SUPPRESS)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    return parser.parse_args()


def job(options: argparse.Namespace, method: str, place: Path) -> Job:
    """What both searches read."""
    from luthier.models.find import find

    for name, file, count in (("train", options.train, options.rows), ("dev", options.dev, options.held)):
        draw(file, count, place / f"{name}.csv")
    rate, epochs = METHODS[method]
    return {
        "model": str(find(options.model).location),
        "train": str(place / "train.csv"),
        "dev": str(place / "dev.csv"),
        "method": method,
        "rates": [rate / 5, rate * 5],
        "epochs": options.epochs or epochs,
        "trials": options.trials,
        "place": str(place),
    }


def draw(file: Path, count: int, target: Path) -> None:
    """Write some rows of a file, drawn at random."""
    import numpy as np

    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    order = np.random.default_rng(0).permutation(len(rows))[:count]
    with target.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([("text", "label"), *((rows[one]["text"], rows[one]["label"]) for one in order)])


def measure(name: str, job: Job) -> dict[str, float]:
    """One search in a process of its own."""
    command = [sys.executable, __file__, "--search", name, "--job", json.dumps(job)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(f"{name} failed:\n{run.stderr[-4000:]}")
    found: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    print(name, job["method"], found, file=sys.stderr, flush=True)
    return found


HEADER = (
    "| method | search | s | s of the processor | trials an hour | luthier's beside it | of the processor | best validation F1 | load |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|---:|"
)


def row(method: str, found: dict[str, dict[str, float]]) -> str:
    """Two lines of the table."""
    ours = found["luthier"]
    return "\n".join(
        f"| {method} | {name} | {one['seconds']:.0f} | {one['processor']:.0f} | {one['per_hour']:.0f} "
        f"| {one['seconds'] / ours['seconds']:.1f} times | {one['processor'] / ours['processor']:.1f} times "
        f"| {one['best']:.4f} | {one['load']:.1f} |"
        for name, one in found.items()
    )


def luthier(job: Job) -> dict[str, float]:
    """`luthier tune` without its last step."""
    from luthier.recipe.reading import read_search
    from luthier.search import tune
    from luthier.show import Console

    low, high = job["rates"]
    recipe = {
        "model": job["model"],
        "data": {"files": {"train": job["train"], "validation": job["dev"]}},
        "method": {"name": "top", "blocks": BLOCKS} if job["method"] == "top" else job["method"],
        "train": {"epochs": job["epochs"], "precision": "fp32", "device": "cpu"},
        "search": {
            "space": {"train.lr": {"from": low, "to": high, "log": True}, "train.batch_size": {"among": BATCHES}},
            "pruner": "none",
        },
        "output": f"{job['place']}/luthier-{job['method']}",
    }
    os.environ["LUTHIER_CACHE"] = f"{job['place']}/cache-{job['method']}"
    began = time.perf_counter(), time.process_time()
    search = tune.Tuning(read_search(recipe), "", Console(quiet=True))
    search.run(tune.Budget(job["trials"], None))
    return told(search.study, began)


def trainer(job: Job) -> dict[str, float]:
    """Trainer.hyperparameter_search with Optuna."""
    import datasets
    import optuna
    from sklearn.metrics import f1_score
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    began = time.perf_counter(), time.process_time()
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    read = datasets.load_dataset("csv", data_files={"train": job["train"], "dev": job["dev"]}, cache_dir=job["place"])
    rows = read.map(lambda part: tokenizer(part["text"], truncation=True), batched=True).remove_columns("text")

    def model_init(trial: optuna.Trial | None = None) -> Any:
        model = AutoModelForSequenceClassification.from_pretrained(job["model"], num_labels=2)
        parts = [
            model.classifier,
            *([model.bert.encoder.layer[-BLOCKS:], model.bert.pooler] if job["method"] == "top" else []),
        ]
        model.requires_grad_(False)
        for part in parts:
            part.requires_grad_(True)
        return model

    settings = TrainingArguments(
        output_dir=f"{job['place']}/trainer",
        num_train_epochs=job["epochs"],
        per_device_eval_batch_size=64,
        eval_strategy="epoch",
        save_strategy="no",
        logging_strategy="no",
        warmup_steps=0.06,
        weight_decay=0.01,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
        seed=0,
    )
    search = Trainer(
        args=settings,
        model_init=model_init,
        train_dataset=rows["train"],
        eval_dataset=rows["dev"],
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda found: {"f1": f1_score(found.label_ids, found.predictions.argmax(-1), average="macro")},
    )
    storage = optuna.storages.InMemoryStorage()
    search.hyperparameter_search(
        hp_space=lambda trial: {
            "learning_rate": trial.suggest_float("learning_rate", *job["rates"], log=True),
            "per_device_train_batch_size": trial.suggest_categorical("per_device_train_batch_size", BATCHES),
        },
        compute_objective=lambda figures: figures["eval_f1"],
        n_trials=job["trials"],
        direction="maximize",
        backend="optuna",
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.NopPruner(),
        storage=storage,
        study_name="trainer",
    )
    return told(optuna.load_study(study_name="trainer", storage=storage), began)


def told(study: Any, began: tuple[float, float]) -> dict[str, float]:
    """What came of a search that began at these seconds of the clock and of the processor."""
    seconds, processor = time.perf_counter() - began[0], time.process_time() - began[1]
    per_hour, load = 3600 * len(study.trials) / seconds, os.getloadavg()[0]
    return {"seconds": seconds, "processor": processor, "per_hour": per_hour, "best": study.best_value, "load": load}


SEARCHES: dict[str, Callable[[Job], dict[str, float]]] = {"luthier": luthier, "trainer": trainer}

if __name__ == "__main__":
    main()
