"""Simulated predictions and run folders for the tests of evaluation."""

import json

import numpy as np
import pandas as pd


def single(rows, classes, seed=0, skill=1.5):
    random = np.random.default_rng(seed)
    targets = random.choice(classes, size=rows, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    logits = random.normal(size=(rows, classes))
    logits[np.arange(rows), targets] += skill
    shares = np.exp(logits)
    return targets, (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def several(rows, labels, seed=0):
    random = np.random.default_rng(seed)
    targets = (random.random((rows, labels)) < 0.3).astype(int)
    return targets, (1 / (1 + np.exp(-(random.normal(size=targets.shape) + 2 * targets - 1)))).astype(np.float32)


def measured(rows, seed=0):
    """Numbers and predictions of them, (rows, 1)."""
    random = np.random.default_rng(seed)
    targets = random.normal(1, 2, size=(rows, 1)).round(2)
    return targets, (targets + random.normal(size=targets.shape)).astype(np.float32)


REVIEWS = {
    "en": [
        "Works great, I would buy it again.",
        "Broke after two days & <b>no</b> refund!",
        "It is fine for the price, nothing more.",
    ],
    "zh": [
        "房间很干净，服务也不错，下次还会来。",
        "早餐太差了，隔音也不好，再也不会住这里。",
        "位置方便，价格合理，就是空调有点吵。",
    ],
}


def write_run(folder, labels, *, kind, rows=300, seed=0, language="en", skill=1.5, epochs=4):
    """A run folder with simulated predictions, in the formats that `luthier train` writes."""
    folder.mkdir(parents=True)
    data = several(rows, len(labels), seed) if kind == "multilabel" else single(rows, len(labels), seed, skill)
    write_predictions(folder, labels, *data, language)
    (folder / "data.json").write_text(
        json.dumps(data_facts(labels, kind, data[0]), ensure_ascii=False), encoding="utf-8"
    )
    with (folder / "log.jsonl").open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(one) + "\n" for one in log_records(epochs, seed))
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return folder


def write_numbers(folder, rows=300):
    """The same of a run that predicts a number."""
    from luthier.tasks.regress import Regress

    write_run(folder, ["a", "b"], kind="binary", rows=rows)
    targets, scores = measured(rows)
    target = Regress().learn(targets[:, 0].tolist())
    table = pd.read_parquet(folder / "predictions.parquet").drop(columns=["confidence", "probabilities"])
    answers = [one.label for one in target.predictions(scores)]
    table.assign(label=targets[:, 0], predicted=answers).to_parquet(folder / "predictions.parquet")
    facts = json.loads((folder / "data.json").read_text(encoding="utf-8"))
    facts["target"] = target.facts
    for part in facts["splits"].values():
        part["labels"] = {name: count * part["rows"] // rows for name, count in target.count(targets).items()}
    (folder / "data.json").write_text(json.dumps(facts), encoding="utf-8")
    recipe = RECIPE.replace("{name: classify, weights: null}", "{name: regress, loss: mse}")
    (folder / "recipe.yaml").write_text(recipe.replace("monitor: f1_macro", "monitor: null"), encoding="utf-8")
    log = (folder / "log.jsonl").read_text(encoding="utf-8").replace("f1_macro", "r2")
    (folder / "log.jsonl").write_text(log, encoding="utf-8")
    return folder


def write_predictions(folder, labels, targets, probabilities, language):
    texts = [REVIEWS[language][i % 3] * (1 + i % 9 * (i % 5 == 0)) for i in range(len(targets))]
    if targets.ndim == 2:
        named = [[label for label, mark in zip(labels, row, strict=True) if mark] for row in targets]
        answers = [[label for label, mark in zip(labels, row >= 0.5, strict=True) if mark] for row in probabilities]
    else:
        named, answers = ([labels[i] for i in one] for one in (targets, probabilities.argmax(axis=1)))
    table = {
        "row": np.arange(len(targets)) * 7,
        "split": "test",
        "review": texts,
        "label": named,
        "predicted": answers,
        "confidence": probabilities.max(axis=1),
        "probabilities": list(probabilities),
    }
    pd.DataFrame(table).to_parquet(folder / "predictions.parquet")


def data_facts(labels, kind, targets):
    counts = targets.sum(axis=0) if targets.ndim == 2 else np.bincount(targets, minlength=len(labels))

    def split(times, cut):
        return {
            "rows": len(targets) * times,
            "labels": {str(label): int(count) * times for label, count in zip(labels, counts, strict=True)},
            "length": {"median": 24, "p95": 180, "max": 612},
            "too_long": {"rows": cut, "lost": cut * 90, "action": "cut"},
        }

    return {
        "files": "reviews.csv",
        "fingerprint": "5f2c",
        "columns": {"text": "review", "label": "stars", "why": "review is the longest text, stars has few values"},
        "target": {"labels": labels, "kind": kind, "weights": None},
        "splits": {"train": split(8, 40), "validation": split(1, 5), "test": split(1, 0)},
        "split": "random, stratified 8:1:1, seed 0",
        "bad_rows": {
            "rows": 3,
            "examples": [{"split": "reviews.csv", "row": row, "reason": "no text"} for row in (17, 99)],
        },
        "max_length": 256,
        "unit": "tokens",
        "warnings": ["12 rows of the test split stand in the training split as well."],
        "held_out": "test",
    }


def log_records(epochs, seed, steps=240):
    random = np.random.default_rng(seed)
    for step in range(1, steps + 1):
        loss = 0.25 + 0.5 * np.exp(-step / 60) + 0.04 * random.normal()
        lr = 3e-5 * min(step / 15, (steps - step) / (steps - 15) + 1e-9)
        speed = {"samples_per_second": 71.5, "tokens_per_second": 2900.0, "padding": 1.13, "memory_mb": 812.0}
        at = {"step": step, "epoch": step / steps * epochs}
        yield {"event": "step", **at, "stage": 0, "loss": float(loss), "lr": lr, "grad_norm": 1.2, **speed}
        if step % (steps // epochs) == 0:
            progress = step / steps
            scores = {"loss": 0.38 + 0.2 * np.exp(-8 * progress), "f1_macro": 0.86 - 0.3 * np.exp(-6 * progress)}
            yield {"event": "evaluate", "split": "validation", **at, **scores}
    yield {"event": "note", "text": "Memory ran out at step 12: micro-batches were halved, the batch stays 32."}
    yield {"event": "stop", "reason": "all epochs done", "step": steps, "seconds": 512.3}


def save_tiny(folder, config, adapter=False):
    """A random BERT with a vocabulary of letters, saved as a model or as a LoRA adapter on one."""
    from peft import LoraConfig, TaskType, get_peft_model
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    base = folder.parent / "base"
    base.mkdir(parents=True)
    (base / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz."])
    )
    network = BertConfig(
        vocab_size=32,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        **config,
    )
    model = BertForSequenceClassification(network)
    if adapter:
        model.save_pretrained(base)
        model = get_peft_model(
            BertForSequenceClassification.from_pretrained(base), LoraConfig(task_type=TaskType.SEQ_CLS, r=2)
        )
    model.save_pretrained(folder)
    BertTokenizer(str(base / "vocab.txt")).save_pretrained(folder)


RECIPE = """\
task: {name: classify, weights: null}
model: demo/minilm-en
data:
  files: reviews.csv
  columns: {text: review, label: stars}
  max_length: 256
method:
- {name: lora, rank: 16}
train: {epochs: 4, batch_size: 32, lr: 3.0e-5, monitor: f1_macro, early_stopping: null}
seed: 0
output: runs/reviews
resolved:
  versions: {luthier: 0.1.0, torch: 2.13.0, transformers: 5.23.0}
  hardware: {cpu: 2 cores, memory: 8 GB, device: cpu}
  lr: 3.0e-5
  trained_parameters: 295682
  all_parameters: 23009026
  precision: fp32
  precision_reason: bf16 is slower here
"""
