"""Images, sound and tags beside transformers.Trainer on the same work: the speed table of their issue.

    python benchmarks/train_media.py                       # all parts, two rounds; writes benchmarks/MEDIA.md
    python benchmarks/train_media.py --parts images --rounds 1

Contenders take turns, each in a process of its own with an empty cache. Both have the same rows, rate, batch size, AdamW, fp32 and
threads, and both score the validation rows after each epoch. Clocks start when the libraries are imported and before a file is read.
Trainer decodes each image in its collator and reads features of sound and pieces of words that were made once before (`map`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from page import write
from train_text import machine, middle

HERE = Path(__file__).parent
Job = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """One comparison."""

    title: str
    job: Job
    least: float
    """How many times faster luthier must be."""


PARTS = {
    "images": Part(
        "head of efficientnet-lite0 on ants_bees, 10 epochs",
        {"what": "images", "model": "efficientnet-lite0", "method": "head", "epochs": 10, "lr": 1e-2, "rows": 244},
        6.0,
    ),
    "digits": Part(
        "head of Whisper's encoder on spoken_digits, 1 s, 10 epochs",
        {"what": "digits", "model": "whisper-tiny-en-encoder", "method": "head", "epochs": 10, "lr": 1e-2, "rows": 600},
        6.0,
    ),
    "tags": Part(
        "full, e5-small on resume_ner_zh, 1 epoch",
        {
            "what": "tags",
            "model": "multilingual-e5-small-zhen",
            "method": "full",
            "epochs": 1,
            "lr": 5e-5,
            "rows": 1000,
        },
        2.5,
    ),
}


def main() -> None:
    """Measure, or be a contender."""
    options = read_options()
    if options.contender:
        print(json.dumps(CONTENDERS[options.contender](json.loads(options.job))))
        return
    for name in options.parts.split(","):
        part, found = PARTS[name], {}
        for _ in range(options.rounds):
            for contender in CONTENDERS:
                result = measure(contender, part.job | {"assets": str(options.assets), "threads": options.threads})
                found.setdefault(contender, []).append(result)
                print(name, contender, result, file=sys.stderr, flush=True)
        write(
            options.output, f"train_media.py, {name}", table(part, found, options), "Images, sound and tags, measured"
        )


def read_options() -> argparse.Namespace:
    """The command line."""
    assets = Path(os.environ.get("LUTHIER_ASSETS", HERE.parent.parent / "shared" / "assets"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--assets", type=Path, default=assets)
    parser.add_argument("--output", type=Path, default=HERE / "MEDIA.md")
    parser.add_argument("--contender", default="", help=argparse.SUPPRESS)
    parser.add_argument("--job", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(contender: str, job: Job) -> dict[str, float]:
    """Run one contender in a process of its own, with an empty cache."""
    with tempfile.TemporaryDirectory() as place:
        around = os.environ | {"LUTHIER_CACHE": f"{place}/cache", "OMP_NUM_THREADS": str(job["threads"])}
        given = json.dumps(job | {"place": place})
        command = [sys.executable, __file__, "--contender", contender, "--job", given]
        run = subprocess.run(command, capture_output=True, text=True, check=False, env=around)
    if run.returncode:
        raise SystemExit(f"{contender} failed:\n{run.stderr[-3000:]}")
    result: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return result


def table(part: Part, found: Mapping[str, list[dict[str, float]]], options: argparse.Namespace) -> str:
    """Seconds of each, and the ratio."""
    ours, theirs = (middle(found[name], "seconds") for name in CONTENDERS)
    lines = [
        f"### {part.title}, {part.job['rows']} rows",
        f"{machine().partition(' Median')[0]} {options.threads} threads, fp32; medians of {options.rounds}.",
        "| | seconds from raw files to scores | accuracy on validation rows |\n|---|---|---|\n"
        + "\n".join(
            f"| {name} | {middle(one, 'seconds'):.1f} | {middle(one, 'score'):.3f} |" for name, one in found.items()
        ),
        f"luthier is {theirs / ours:.1f} times faster; at least {part.least:g} was asked.",
    ]
    return "\n\n".join(lines)


def rows_of(job: Job) -> dict[str, list[tuple[Any, Any]]]:
    """Raw rows with labels: the same for both contenders."""
    return ROWS[job["what"]](Path(job["assets"]) / "data", job["rows"])


def _images(data: Path, rows: int) -> dict[str, list[tuple[Any, Any]]]:
    splits = {"train": "train", "validation": "val"}
    return {
        name: [(str(file), file.parent.name) for file in sorted((data / "ants_bees" / folder).glob("*/*.jpg"))]
        for name, folder in splits.items()
    }


def _digits(data: Path, rows: int) -> dict[str, list[tuple[Any, Any]]]:
    files = sorted((data / "spoken_digits").glob("*.wav"))
    held = [file for file in files if file.name.split("_")[1] == "theo"][::5]
    learned = [file for file in files if file.name.split("_")[1] != "theo"]
    learned = learned[:: len(learned) // rows][:rows]
    return {
        name: [(str(file), file.name[0]) for file in part]
        for name, part in {"train": learned, "validation": held}.items()
    }


def _tags(data: Path, rows: int) -> dict[str, list[tuple[Any, Any]]]:
    found = {}
    for name, (split, count) in {"train": ("train", rows), "validation": ("dev", 200)}.items():
        blocks = (data / f"resume_ner_zh_{split}.bmes").read_text(encoding="utf-8").strip().split("\n\n")[:count]
        pairs = [[line.split(" ") for line in block.split("\n")] for block in blocks]
        found[name] = [([word for word, _ in one], [_io(tag) for _, tag in one]) for one in pairs]
    return found


def _io(tag: str) -> str:
    """BMES as BIO."""
    return {"M": "I", "E": "I", "S": "B"}.get(tag[0], tag[0]) + tag[1:]


ROWS: dict[str, Callable[[Path, int], dict[str, list[tuple[Any, Any]]]]] = {
    "images": _images,
    "digits": _digits,
    "tags": _tags,
}


def luthier(job: Job) -> dict[str, float]:
    """The whole call, after one on a few rows that imports everything."""
    import luthier as package

    rows = rows_of(job)
    recipe = {
        "task": "tag" if job["what"] == "tags" else "classify",
        "model": f"{job['assets']}/models/{job['model']}",
        "data": {
            "files": _written(job, rows),
            "duplicates": "ignore",
            "max_length": 1 if job["what"] == "digits" else None,
        },
        "method": job["method"],
        "train": {"epochs": job["epochs"], "lr": job["lr"], "precision": "fp32", "device": "cpu", "warmup": 0},
    }
    few = {name: part[:: max(1, len(part) // 64)] for name, part in rows.items()}
    files = _written(job | {"place": f"{job['place']}/few"}, few)
    package.train(recipe | {"data": recipe["data"] | {"files": files}, "output": f"{job['place']}/few_run"})
    start = time.perf_counter()
    run = package.train(recipe | {"output": f"{job['place']}/run"})
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "score": run.evaluate("validation").metrics["accuracy"]}


def _written(job: Job, rows: Mapping[str, list[tuple[Any, Any]]]) -> dict[str, str]:
    """The rows as files."""
    Path(job["place"]).mkdir(parents=True, exist_ok=True)
    files = {}
    for name, part in rows.items():
        column = {"images": "image", "digits": "audio", "tags": "tokens"}[job["what"]]
        label = "tags" if job["what"] == "tags" else "label"
        file = Path(job["place"]) / f"{name}.jsonl"
        lines = (json.dumps({column: value, label: answer}, ensure_ascii=False) for value, answer in part)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        files[name] = str(file)
    return files


def trainer(job: Job) -> dict[str, float]:
    """transformers.Trainer with the base frozen where only the head learns."""
    import numpy as np
    from transformers import Trainer, TrainingArguments

    rows = rows_of(job)
    few = {name: part[:4] for name, part in rows.items()}
    SETS[job["what"]](job, few)  # imports everything, as luthier's first run does
    start = time.perf_counter()
    data, collate, model = SETS[job["what"]](job, rows)
    if job["method"] == "head":
        for name, one in model.named_parameters():
            one.requires_grad_(name.startswith(("classifier", "projector")))
    settings = TrainingArguments(
        output_dir=f"{job['place']}/out",
        num_train_epochs=job["epochs"],
        learning_rate=job["lr"],
        per_device_train_batch_size=32,
        per_device_eval_batch_size=32,
        eval_strategy="epoch",
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        remove_unused_columns=False,
        warmup_steps=0,
        weight_decay=0.01,
        disable_tqdm=True,
    )

    def accuracy(found: Any) -> dict[str, float]:
        known = found.label_ids != -100
        return {"accuracy": float((found.predictions.argmax(-1) == found.label_ids)[known].mean())}

    machine_of = Trainer(
        model=model,
        args=settings,
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        data_collator=collate,
        compute_metrics=accuracy,
    )
    machine_of.train()
    score = next(one["eval_accuracy"] for one in reversed(machine_of.state.log_history) if "eval_accuracy" in one)
    return {"seconds": time.perf_counter() - start, "score": float(np.asarray(score))}


def _image_set(job: Job, rows: Mapping[str, list[tuple[Any, Any]]]) -> tuple[Any, Any, Any]:
    import PIL.Image
    import torch
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    folder = f"{job['assets']}/models/{job['model']}"
    processor, names = AutoImageProcessor.from_pretrained(folder), sorted({label for _, label in rows["train"]})

    def collate(batch: list[tuple[str, str]]) -> dict[str, Any]:
        images = [PIL.Image.open(path).convert("RGB") for path, _ in batch]
        labels = torch.tensor([names.index(label) for _, label in batch])
        return dict(processor(images, return_tensors="pt")) | {"labels": labels}

    model = AutoModelForImageClassification.from_pretrained(folder, num_labels=len(names), ignore_mismatched_sizes=True)
    return rows, collate, model


def _sound_set(job: Job, rows: Mapping[str, list[tuple[Any, Any]]]) -> tuple[Any, Any, Any]:
    import soundfile
    import soxr
    import torch
    from transformers import AutoModelForAudioClassification, WhisperFeatureExtractor

    from luthier.models.shorten import shorten

    folder, names = f"{job['assets']}/models/{job['model']}", sorted({label for _, label in rows["train"]})
    extractor = WhisperFeatureExtractor(chunk_length=1)

    def made(row: tuple[str, str]) -> dict[str, Any]:
        samples, rate = soundfile.read(row[0], dtype="float32")
        heard = soxr.resample(samples, rate, 16_000)
        features = extractor(heard, sampling_rate=16_000, return_tensors="pt")["input_features"][0]
        return {"input_features": features, "labels": torch.tensor(names.index(row[1]))}

    def collate(batch: list[dict[str, Any]]) -> dict[str, Any]:
        return {name: torch.stack([one[name] for one in batch]) for name in batch[0]}

    model = AutoModelForAudioClassification.from_pretrained(folder, num_labels=len(names), dtype=torch.float32)
    shorten(model, 50)  # Trainer's user gets the short window too: without it each row is 30 s
    return {name: [made(row) for row in part] for name, part in rows.items()}, collate, model


def _tag_set(job: Job, rows: Mapping[str, list[tuple[Any, Any]]]) -> tuple[Any, Any, Any]:
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer, DataCollatorForTokenClassification

    folder = f"{job['assets']}/models/{job['model']}"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    names = sorted({tag for part in rows.values() for _, tags in part for tag in tags})

    def made(row: tuple[list[str], list[str]]) -> dict[str, Any]:
        encoded = tokenizer(row[0], is_split_into_words=True, truncation=True, max_length=512)
        words = encoded.word_ids()
        first = [at for at, word in enumerate(words) if word is not None and word != words[at - 1]]
        labels = [-100] * len(words)
        for at in first:
            labels[at] = names.index(row[1][words[at]])
        return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"], "labels": labels}

    model = AutoModelForTokenClassification.from_pretrained(folder, num_labels=len(names), dtype=torch.float32)
    data = {name: [made(row) for row in part] for name, part in rows.items()}
    return data, DataCollatorForTokenClassification(tokenizer), model


SETS: dict[str, Callable[[Job, Mapping[str, list[tuple[Any, Any]]]], tuple[Any, Any, Any]]] = {
    "images": _image_set,
    "digits": _sound_set,
    "tags": _tag_set,
}
CONTENDERS: dict[str, Callable[[Job], dict[str, float]]] = {"luthier": luthier, "trainer": trainer}


if __name__ == "__main__":
    main()
