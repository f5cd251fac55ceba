"""One contender of train_methods.py, alone in its process: `python method_contenders.py NAME JOB_AS_JSON` prints its figures as JSON.

Every clock starts when the libraries are imported and before the rows are tokenised and the model is opened.
"""

from __future__ import annotations

import ctypes
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

from contenders import Figures, Job, encoded, open_tokenizer, read_rows, stock_model

from luthier import hardware

MIB = 2**20
LOOP = {"schedule": "linear", "warmup": 0, "precision": "fp32", "device": "cpu"}


def recipe(job: Job) -> dict[str, Any]:
    """The job as a luthier recipe."""
    settings = {name: job[name] for name in ("epochs", "batch_size", "lr")}
    return {
        "model": job["model"],
        "data": {
            "files": {"train": job["train"], "validation": job["validation"]},
            "columns": {"text": "text", "label": "label"},
            "max_length": job["max_length"],
        },
        "method": job["method"],
        "save": job["save"],
        "train": {**settings, **LOOP, "gradient_checkpointing": job.get("checkpointing", False)},
        "output": job["runs"],
    }


def luthier(job: Job) -> Figures:
    """The whole call: reading, tokenising, opening, frozen pass, steps, validation each epoch, checkpoints, saving, report."""
    import luthier as package
    from luthier import pipeline
    from luthier.training.frozen import Freeze

    package.train(recipe(job | {"train": job["few"], "epochs": 1, "runs": f"{job['runs']}_few"}))  # imports everything
    parts = {name: (pipeline, name) for name in ("prepare", "get_ready", "run_loop", "finish", "write_report")}
    with clocks(parts | {"frozen": (Freeze, "enter")}) as took:
        start = time.perf_counter()
        run = package.train(recipe(job))
        seconds = time.perf_counter() - start
    events = [json.loads(line) for line in (Path(job["runs"]) / "log.jsonl").read_text().splitlines()]
    steps = next(event["seconds"] for event in events if event["event"] == "stop")
    return {
        "seconds": seconds,
        "rows_per_second": len(read_rows(job["train"])[0]) * job["epochs"] / steps,
        "trained": trained_parameters(run),
        "reading": took["prepare"],
        "tokenising and opening": took["get_ready"],
        "frozen pass": took["frozen"],
        "steps": steps,
        "validation and checkpoints": took["run_loop"] - took["frozen"] - steps,
        "final scores and saving": took["finish"] - took["write_report"],
        "report": took["write_report"],
    }


def trained_parameters(run: Any) -> int:
    """How many numbers a run has trained, by its own account."""
    count: int = run.recipe.resolved["trained_parameters"]
    return count


@contextmanager
def clocks(parts: Mapping[str, tuple[Any, str]]) -> Iterator[dict[str, float]]:
    """Seconds spent in each function, named by the object that holds it and its name there."""
    took = dict.fromkeys(parts, 0.0)

    def clocked(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*given: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*given, **named)
            finally:
                took[part] += time.perf_counter() - start

        return call

    with ExitStack() as patches:
        for part, (owner, name) in parts.items():
            patches.enter_context(patch.object(owner, name, clocked(part, getattr(owner, name))))
        yield took


def memory(job: Job) -> Figures:
    """Most memory that luthier's steps hold above the loaded model, and what of it is optimiser and gradients."""
    import luthier as package
    from luthier import pipeline
    from luthier.training.job import Callback, State, Step
    from luthier.training.job import Job as Training
    from luthier.training.loop import fit
    from luthier.training.optimizer import inner

    figures: Figures = {}

    class Peak(Callback):
        def after_step(self, job: Training, state: State, step: Step) -> None:
            slots = [one for slot in inner(job.work.optimizer).state.values() for one in slot.values()]
            figures["peak"] = hardware.peak_memory_mb()
            figures["optimiser"] = sum(one.numel() * one.element_size() for one in slots) / MIB
            figures["gradients"] = sum(one.numel() * one.element_size() for one in job.work.parameters) / MIB

    def watched(training: Training, state: State, around: list[Callback]) -> None:
        sum(float(one.sum()) for one in training.model.parameters())  # mapped from the file, in memory only when read
        ctypes.CDLL(None).malloc_trim(0)
        hardware.reset_peak_memory()
        figures["loaded"] = hardware.peak_memory_mb()
        fit(training, state, [Peak(), *around])  # first of them: before validation and checkpoints

    with patch.object(pipeline, "fit", watched):
        run = package.train(recipe(job))
    figures["above"] = figures["peak"] - figures["loaded"]
    figures["activations"] = figures["above"] - figures["optimiser"] - figures["gradients"]
    return figures | {"trained": trained_parameters(run)}


def size(job: Job) -> Figures:
    """What a model saved as an increment takes, in bytes, beside the tokenizer that comes with every model."""
    import luthier as package

    package.train(recipe(job))
    saved = Path(job["runs"]) / "model"
    return {
        "weights": sum(file.stat().st_size for file in saved.glob("*.safetensors")),
        "base": sum(file.stat().st_size for file in Path(job["model"]).glob("*.safetensors")),
        "all": sum(file.stat().st_size for file in saved.iterdir() if "token" not in file.name),
    }


def usual_loop(job: Job) -> Figures:
    """A tutorial's loop: the encoder under no_grad in every epoch, each batch tokenised and padded to `max_length`.

    The encoder is in evaluation mode, which spares it the dropout that many tutorials leave on.
    """
    import torch
    from torch.utils.data import DataLoader
    from transformers import AutoModel

    AutoModel.from_pretrained(job["model"])
    started = time.perf_counter()
    texts, labels = read_rows(job["train"])
    tokenizer, encoder = open_tokenizer(job), AutoModel.from_pretrained(job["model"]).eval()

    def collate(rows: list[tuple[str, int]]) -> tuple[Any, Any]:
        batch, targets = zip(*rows, strict=True)
        padding = {"padding": "max_length", "truncation": True, "max_length": job["max_length"]}
        return tokenizer(list(batch), return_tensors="pt", **padding), torch.tensor(targets)

    head = torch.nn.Linear(encoder.config.hidden_size, 2)
    optimizer = torch.optim.AdamW(head.parameters(), lr=job["lr"])
    rows: Any = list(zip(texts, labels, strict=True))
    loader = DataLoader(rows, job["batch_size"], shuffle=True, collate_fn=collate)
    begun = time.perf_counter()
    for inputs, targets in loader:
        with torch.no_grad():
            first = encoder(**inputs).last_hidden_state[:, 0]
        torch.nn.functional.cross_entropy(head(first), targets).backward()
        optimizer.step()
        optimizer.zero_grad()
    epoch = time.perf_counter() - begun
    trained = sum(one.numel() for one in head.parameters())
    return scaled(job, len(texts), begun - started, epoch) | {"trained": trained}


def scaled(job: Job, rows: int, before: float, epoch: float) -> Figures:
    """Seconds of all epochs from those of one, every one of which computes the same."""
    return {"seconds": before + job["epochs"] * epoch, "rows_per_second": rows / epoch, "before": before}


def trainer(job: Job) -> Figures:
    """transformers.Trainer with its defaults, one epoch."""
    import peft  # noqa: F401
    from transformers import TrainerCallback

    stock_model(job)
    times = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_epoch_begin(self, *given: Any, **named: Any) -> None:
            times.append(time.perf_counter())

        on_epoch_end = on_epoch_begin

    with ExitStack() as changes, tempfile.TemporaryDirectory() as place:
        start = time.perf_counter()
        model = NETWORKS[job["network"]](job, changes)
        made = make_trainer(model, job, place)
        made.add_callback(Clock())
        made.train()
        trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
        rows = len(made.train_dataset)
    return scaled(job, rows, times[0] - start, times[1] - times[0]) | {"trained": trained}


def make_trainer(model: Any, job: Job, place: str) -> Any:
    """Random batches, padded to their longest row; AdamW at the same rate."""
    from datasets import Dataset
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    arguments = TrainingArguments(
        output_dir=place,
        num_train_epochs=1,
        per_device_train_batch_size=job["batch_size"],
        learning_rate=job["lr"],
        weight_decay=0.01,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    rows = Dataset.from_dict(dict(zip(("input_ids", "labels"), encoded(job, "train"), strict=True)))
    collator = DataCollatorWithPadding(open_tokenizer(job))
    return Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collator)


def frozen_base(job: Job, changes: ExitStack) -> Any:
    """Only the classifier trains."""
    model = stock_model(job)
    model.base_model.requires_grad_(False)
    return model


def frozen_below(job: Job, changes: ExitStack) -> Any:
    """All but the embeddings and the lower blocks train."""
    model = stock_model(job)
    model.base_model.embeddings.requires_grad_(False)
    model.base_model.encoder.layer[: -job["method"]["blocks"]].requires_grad_(False)
    return model


def by_peft(job: Job, changes: ExitStack) -> Any:
    """LoRA as PEFT's documentation does it, on the linear layers of the blocks."""
    from peft import LoraConfig, get_peft_model

    targets, rank = r".*encoder\.layer\..*\.(query|key|value|dense)", job["method"]["rank"]
    config = LoraConfig(task_type="SEQ_CLS", r=rank, lora_alpha=2 * rank, target_modules=targets)
    return get_peft_model(stock_model(job), config)


def same_network(job: Job, changes: ExitStack) -> Any:
    """The very network that luthier trains, computed by transformers' own layers and attention."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    from luthier.methods import Context
    from luthier.models import attention
    from luthier.recipe.schema import Recipe
    from luthier.training.stages import apply_methods

    # what luthier's prefix goes on to is its own faster attention, which a user of Trainer would not have
    changes.enter_context(patch.object(attention, "dropout_attention", sdpa_attention_forward))
    model = stock_model(job)
    new = [name for name, _ in model.named_parameters() if name.startswith("classifier.")]
    return apply_methods(model, new, Recipe.model_validate(recipe(job)), Context(open_tokenizer(job))).model


NETWORKS: dict[str, Callable[[Job, ExitStack], Any]] = {
    one.__name__: one for one in (frozen_base, frozen_below, by_peft, same_network)
}
CONTENDERS: dict[str, Callable[[Job], Figures]] = {
    one.__name__: one for one in (luthier, memory, size, usual_loop, trainer)
}

if __name__ == "__main__":
    print(json.dumps(CONTENDERS[sys.argv[1]](json.loads(sys.argv[2]))))
