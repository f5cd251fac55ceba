"""A tiny model that reads two texts, and rows for it."""

from __future__ import annotations

import random
from pathlib import Path

from tokenizers import processors
from transformers import AutoModel, AutoTokenizer

NOUNS = ("film", "room", "service", "phone", "story", "battery", "hotel", "cast", "screen", "price")
GOOD = ("good", "great", "lovely", "fine", "superb")
BAD = ("bad", "awful", "poor", "dull", "broken")


def save_reading_pairs(single: Path, folder: Path) -> Path:
    """The model of a folder, with a tokenizer that writes [CLS] a [SEP] b [SEP] and tells the two apart, as BERT's does."""
    tokenizer = AutoTokenizer.from_pretrained(single)
    first, last = (tokenizer.convert_tokens_to_ids(one) for one in ("[CLS]", "[SEP]"))
    tokenizer.backend_tokenizer.post_processor = processors.BertProcessing(("[SEP]", last), ("[CLS]", first))
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = inputs  # saved where both say so
    assert set(tokenizer("a", "b")) == set(inputs)
    tokenizer.save_pretrained(folder)
    AutoModel.from_pretrained(single).save_pretrained(folder)
    return folder


def sentence(draw: random.Random, words: tuple[str, ...]) -> str:
    """A few nouns and one of the words."""
    said = [*draw.choices(NOUNS, k=draw.randint(1, 6)), draw.choice(words)]
    draw.shuffle(said)
    return " ".join(["the", *said])


def pairs(rows: int, seed: int = 0) -> list[tuple[str, str, int]]:
    """Pairs, no two alike, and whether their second text is good: what one text says is not enough to tell."""
    draw = random.Random(seed)
    made: dict[tuple[str, str], int] = {}
    while len(made) < rows:
        label = draw.randint(0, 1)
        first, second = sentence(draw, GOOD + BAD), sentence(draw, GOOD if label else BAD)
        made[first, second] = label
    return [(*texts, label) for texts, label in made.items()]
