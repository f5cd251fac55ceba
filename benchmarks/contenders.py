"""One contender of train_text.py, alone in its process: `python contenders.py NAME JOB_AS_JSON` prints its figures as JSON."""

from __future__ import annotations

import csv
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from luthier import hardware

Job = dict[str, Any]
Figures = dict[str, float]


def read_rows(file: str) -> tuple[list[str], list[int]]:
    """Texts and labels."""
    with Path(file).open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    names = sorted({row["label"] for row in rows})
    return [row["text"] for row in rows], [names.index(row["label"]) for row in rows]


def recipe(job: Job) -> dict[str, Any]:
    """The job as a luthier recipe."""
    settings = {name: job[name] for name in ("epochs", "batch_size", "lr", "precision")}
    return {
        "model": job["model"],
        "data": {
            "files": {"train": job["train"], "test": job["test"]},
            "columns": {"text": "text", "label": "label"},
            "split": {"validation": 0},
            "max_length": job["max_length"],
        },
        "method": "full",
        "train": {**settings, "schedule": "linear", "warmup": 0, "keep_best": False, "device": "cpu"},
        "seed": job["seed"],
        "output": job["runs"],
    }


def luthier(job: Job) -> Figures:
    """The whole public path; the seconds are those that its steps took by its own log, callbacks left out."""
    import luthier as package

    run = package.train(recipe(job), restart=True)
    events = [json.loads(line) for line in (Path(job["runs"]) / "log.jsonl").read_text().splitlines()]
    stop = next(event for event in events if event["event"] == "stop")
    memory = max(event["memory_mb"] for event in events if event["event"] == "step")
    figures = {
        "rows_per_second": len(read_rows(job["train"])[0]) * job["epochs"] / stop["seconds"],
        "memory_mb": memory,
    }
    if job.get("score"):
        scored = run.evaluate("test")
        low, high = scored.intervals["accuracy"]
        figures |= {"accuracy": scored.metrics["accuracy"], "low": low, "high": high}
    return figures


def bare_loop(job: Job) -> Figures:
    """A PyTorch loop over the same model and micro-batches, with nothing around it."""
    import numpy as np
    import torch

    from luthier.models.quick import quicken
    from luthier.training.microbatch import CALL_COST, cut

    hardware.tune_allocator()
    model, ids, labels = quicken(stock_model(job)).train(), *encoded(job, "train")
    lengths = np.array([len(row) for row in ids])
    optimizer = torch.optim.AdamW(model.parameters(), lr=job["lr"], weight_decay=0.01, fused=True)
    order = np.random.default_rng(job["seed"]).permutation(len(ids))
    steps = [order[first : first + job["batch_size"]] for first in range(0, len(order), job["batch_size"])]
    torch.manual_seed(job["seed"])
    start = time.perf_counter()
    for number, rows in enumerate(steps):
        for piece in cut(lengths[rows], CALL_COST["cpu"]):
            inputs, targets = padded([ids[row] for row in rows[piece]], [labels[row] for row in rows[piece]])
            loss = torch.nn.functional.cross_entropy(model(**inputs).logits, targets, reduction="sum")
            (loss / len(rows)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = job["lr"] * (1 - number / len(steps))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return {
        "rows_per_second": len(ids) / (time.perf_counter() - start),
        "memory_mb": hardware.peak_memory_mb(),
    }


def trainer(job: Job) -> Figures:
    """transformers.Trainer with its defaults: random batches, DataCollatorWithPadding."""
    return train_with_trainer(job, "random")


def trainer_by_length(job: Job) -> Figures:
    """transformers.Trainer with `train_sampling_strategy="group_by_length"`."""
    return train_with_trainer(job, "group_by_length")


def train_with_trainer(job: Job, sampling: str) -> Figures:
    """Train, and score the test rows where the job asks for it."""
    with tempfile.TemporaryDirectory() as place:
        made = make_trainer(job, place, sampling)
        seconds = made.train().metrics["train_runtime"]
        memory = hardware.peak_memory_mb()
        figures = {"rows_per_second": len(made.train_dataset) * job["epochs"] / seconds, "memory_mb": memory}
        if job.get("score"):
            found = made.predict(made.eval_dataset)
            figures["accuracy"] = float((found.predictions.argmax(-1) == found.label_ids).mean())
    return figures


def luthier_predict(job: Job) -> Figures:
    """A run scoring texts, tokenisation included; the rows are the test rows in random order."""
    import luthier as package

    texts, _ = read_rows(job["test"])
    model = package.open(job["runs"]).model
    model.score(texts[:64])
    start = time.perf_counter()
    model.score(texts)
    return {"rows_per_second": len(texts) / (time.perf_counter() - start), "memory_mb": hardware.peak_memory_mb()}


def trainer_predict(job: Job) -> Figures:
    """Trainer.predict on the same rows, tokenised beforehand."""
    with tempfile.TemporaryDirectory() as place:
        made = make_trainer(job, place, "random")
        made.predict(made.eval_dataset.select(range(64)))
        start = time.perf_counter()
        made.predict(made.eval_dataset)
        seconds = time.perf_counter() - start
    return {"rows_per_second": len(made.eval_dataset) / seconds, "memory_mb": hardware.peak_memory_mb()}


def make_trainer(job: Job, place: str, sampling: str) -> Any:
    """A Trainer whose settings are the defaults but for what the job says."""
    from datasets import Dataset
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    arguments = TrainingArguments(
        output_dir=place,
        num_train_epochs=job["epochs"],
        per_device_train_batch_size=job["batch_size"],
        per_device_eval_batch_size=job["batch_size"],
        learning_rate=job["lr"],
        train_sampling_strategy=sampling,
        weight_decay=0.01,
        seed=job["seed"],
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    splits = {
        name: Dataset.from_dict(dict(zip(("input_ids", "labels"), encoded(job, name), strict=True)))
        for name in ("train", "test")
    }
    return Trainer(
        model=stock_model(job),
        args=arguments,
        train_dataset=splits["train"],
        eval_dataset=splits["test"],
        data_collator=DataCollatorWithPadding(open_tokenizer(job)),
    )


def stock_model(job: Job) -> Any:
    """The model as transformers opens it."""
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(job["seed"])
    return AutoModelForSequenceClassification.from_pretrained(job["model"], num_labels=2)


def open_tokenizer(job: Job) -> Any:
    """The tokenizer, without the truncation and padding that its file has stored."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def encoded(job: Job, split: str) -> tuple[list[list[int]], list[int]]:
    """Token ids, cut at `max_length`, and labels."""
    texts, labels = read_rows(job[split])
    ids = open_tokenizer(job)(texts, truncation=True, max_length=job["max_length"])["input_ids"]
    return [list(row) for row in ids], labels


def padded(rows: list[list[int]], labels: list[int]) -> tuple[dict[str, Any], Any]:
    """A batch padded to its longest row."""
    import torch

    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return {"input_ids": ids, "attention_mask": mask}, torch.tensor(labels)


CONTENDERS: dict[str, Callable[[Job], Figures]] = {
    one.__name__: one for one in (luthier, bare_loop, trainer, trainer_by_length, luthier_predict, trainer_predict)
}

if __name__ == "__main__":
    print(json.dumps(CONTENDERS[sys.argv[1]](json.loads(sys.argv[2]))))
