"""What all tests share: where the real assets are, a cache of their own, and small models and data made on the spot."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # before torch is imported: tiny models gain nothing from threads, and busy machines lose much

POSITIVE = ["good", "great", "lovely", "fine", "superb"]
NEGATIVE = ["bad", "awful", "poor", "dull", "broken"]
FILLER = ["film", "room", "service", "phone", "story", "battery", "hotel", "cast", "screen", "price"]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of this test run alone, so that nothing comes from an earlier one and nothing is left behind."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["LUTHIER_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real models and data; tests that need it are skipped where it is not at hand."""
    folder = os.environ.get("LUTHIER_ASSETS", "")
    if not folder or not Path(folder, "data").is_dir():
        pytest.skip("LUTHIER_ASSETS names no folder of real models and data")
    return Path(folder)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of two blocks with a word tokenizer, dropout on, saved as a Hugging Face folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *POSITIVE, *NEGATIVE, *FILLER, "the", "is", "very", "not"]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=64,
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    BertModel(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def sentences() -> Callable[[int, int], list[tuple[str, str]]]:
    """`sentences(rows, seed)`: learnable (text, label) pairs of very different lengths."""
    import random

    def make(rows: int, seed: int) -> list[tuple[str, str]]:
        draw = random.Random(seed)
        made = []
        for row in range(rows):
            label = ("negative", "positive")[row % 2]
            words = [draw.choice(FILLER) for _ in range(draw.choice([1, 2, 3, 5, 8, 20]))]
            words.insert(draw.randrange(len(words) + 1), draw.choice(POSITIVE if row % 2 else NEGATIVE))
            made.append((" ".join(["the", *words]), label))
        return made

    return make


@pytest.fixture(scope="session")
def write_reviews(sentences: Callable[[int, int], list[tuple[str, str]]]) -> Callable[..., Path]:
    """`write_reviews(folder, rows, seed)`: a csv of such rows with the columns review and sentiment."""

    def write(folder: Path, rows: int = 120, seed: int = 0) -> Path:
        file = folder / "reviews.csv"
        lines = [f"{text},{label}" for text, label in sentences(rows, seed)]
        file.write_text("\n".join(["review,sentiment", *lines]) + "\n", encoding="utf-8")
        return file

    return write


@pytest.fixture
def reviews(tmp_path: Path, write_reviews: Callable[..., Path]) -> Path:
    """A csv of 120 such rows."""
    return write_reviews(tmp_path)


@dataclass(frozen=True)
class Said:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def luthier(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """`luthier("train", "recipe.yaml")`: the command line, in this process."""
    from luthier.__main__ import main

    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Said:
        capsys.readouterr()
        try:
            main([str(one) for one in arguments])
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return run
