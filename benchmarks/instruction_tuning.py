"""Instruction tuning with LoRA beside transformers.Trainer with PEFT, in real tokens a second (padding does not count).

    python benchmarks/instruction_tuning.py --model SmolLM2-135M-Instruct --rows 96

Both see the same rows as the same ids, in random batches, with the same adapter, rate, AdamW and fp32; Trainer pads each batch to its
longest row (DataCollatorForSeq2Seq). Every contender is a process of its own. Seconds are those that the processor worked, which other
programs on the machine change less than the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LORA = {"name": "lora", "rank": 16}
LEAST = 1.5
"""Times faster that luthier must be."""

Job = dict[str, Any]


def encoded(job: Job) -> tuple[Any, Any, list[Any]]:
    """Modality, and of each row its ids and what is learned of them."""
    from luthier.inputs import Asked, entrance
    from luthier.models.open import find

    modality = entrance("instruction", Asked(find(job["model"]), limit=job["max_length"])).modality
    rows = json.loads(Path(job["file"]).read_text(encoding="utf-8"))
    columns = modality.encode([(row["instruction"], row["input"], row["output"]) for row in rows]).columns
    return modality, columns, [len(ids) for ids in columns["input_ids"]]


def luthier(job: Job) -> float:
    """Processor seconds of the steps of a run."""
    from luthier.build import get_ready, make_accelerator, make_job
    from luthier.folder import RunFolder
    from luthier.prepare import prepare
    from luthier.recipe.reading import read
    from luthier.show import Console
    from luthier.training.job import State
    from luthier.training.loop import fit

    recipe = read(
        {
            "task": "generate",
            "model": job["model"],
            "data": {"files": {"train": job["file"]}, "split": {"validation": 0}, "max_length": job["max_length"]},
            "method": LORA,
            "train": {"epochs": 1, "batch_size": job["batch_size"], "precision": "fp32", "device": "cpu"},
            "output": job["place"],
        },
        (),
        {},
    )
    accelerator = make_accelerator(recipe, RunFolder(job["place"]))
    ready = get_ready(recipe, prepare(recipe), accelerator, Console(quiet=True))
    made = make_job(ready, accelerator)
    start = time.process_time()
    fit(made, State(), [])
    return time.process_time() - start


def trainer(job: Job) -> float:
    """Processor seconds of `Trainer.train`."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, DataCollatorForSeq2Seq, Trainer, TrainingArguments

    modality, columns, _ = encoded(job)
    rows = Dataset.from_dict({"input_ids": columns["input_ids"], "labels": columns["target_tokens"]})
    network = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
    network = get_peft_model(network, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"))
    settings = TrainingArguments(
        job["place"],
        per_device_train_batch_size=job["batch_size"],
        num_train_epochs=1,
        learning_rate=4e-4,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    made = Trainer(
        network, settings, train_dataset=rows, data_collator=DataCollatorForSeq2Seq(modality.tokenizer, padding=True)
    )
    start = time.process_time()
    made.train()
    return time.process_time() - start


CONTENDERS = {"luthier": luthier, "trainer": trainer}


def alone(name: str, job: Job) -> dict[str, float]:
    """A contender in a process of its own: seconds, and its largest memory."""
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, __file__, "--contender", name, "--job", json.dumps({**job, "place": place})]
        settings = {"OMP_NUM_THREADS": str(job["threads"]), "LUTHIER_CACHE": place, "HF_HUB_OFFLINE": "1"}
        said = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | settings).stdout
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found


def main() -> None:
    """Measure both, and print the table."""
    assets = Path(os.environ.get("LUTHIER_ASSETS", HERE.parent.parent / "shared" / "assets"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="HuggingFaceTB/SmolLM2-135M-Instruct")
    parser.add_argument("--file", type=Path, default=assets / "data/alpaca_en_demo.json")
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--job", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        from luthier import hardware

        seconds = CONTENDERS[options.contender](options.job)
        print(json.dumps({"seconds": seconds, "memory_mb": hardware.peak_memory_mb()}))
        return
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "rows.json"
        file.write_text(json.dumps(json.loads(options.file.read_text(encoding="utf-8"))[: options.rows]))
        job = {"model": options.model, "file": str(file), "batch_size": options.batch_size}
        job |= {"max_length": options.max_length, "threads": options.threads}
        tokens = sum(encoded(job)[2])
        found = {name: alone(name, job) for name in CONTENDERS}
    print(f"{options.rows} rows, {tokens} real tokens, batches of {options.batch_size}, {options.threads} threads\n")
    print("| contender | processor seconds | real tokens a second | memory, MB |\n|---|---|---|---|")
    for name, figures in found.items():
        print(f"| {name} | {figures['seconds']:.1f} | {tokens / figures['seconds']:.1f} | {figures['memory_mb']:.0f} |")
    ratio = found["trainer"]["seconds"] / found["luthier"]["seconds"]
    print(f"\nluthier is {ratio:.2f} times as fast; it must be {LEAST} times.")


if __name__ == "__main__":
    main()
