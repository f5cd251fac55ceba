"""The lines of a suggested recipe that follow from what a model reads: the model itself, and the longest row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from luthier.commented import line
from luthier.first_look import Facts
from luthier.tasks import Labels

LONGEST = 512
"""Tokens that BERT and most of its kin can read."""

SUGGESTED: Mapping[str, tuple[str, ...]] = {
    "text": ("demo/minilm-en", "intfloat/multilingual-e5-small"),
    "image": ("google/vit-base-patch16-224",),
    "audio": ("openai/whisper-tiny",),
}
"""Base models that the lines below name, by what rows are."""

CHINESE = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
OTHER_SCRIPT = re.compile(r"[^\W\d_a-zA-Z\u00c0-\u024f]")
Lines = Callable[[Facts], Iterator[str]]


def lines_of(facts: Facts) -> tuple[Lines, Lines]:
    """What writes the lines of the model, and those of the longest row."""
    return MEDIUM_LINES.get(facts.found.medium, (_reading, _length))


def _reading(facts: Facts) -> Iterator[str]:
    if _share(facts, CHINESE) > 0.2:
        yield from _foreign("Chinese", "intfloat/multilingual-e5-small", "or bert-base-chinese")
    elif _share(facts, OTHER_SCRIPT) > 0.2:
        yield from _foreign("not in Latin script", "intfloat/multilingual-e5-small", "reads 100 languages")
    else:
        yield line("model: demo/minilm-en", "small, quick, English; a Hugging Face name or a folder works as well")


def _share(facts: Facts, script: re.Pattern[str]) -> float:
    """Share of texts with a character of a script."""
    return sum(bool(script.search(text)) for text in facts.texts) / len(facts.texts)


def _foreign(what: str, better: str, remark: str) -> Iterator[str]:
    yield line("model: demo/minilm-en", f"is English only, and the texts are {what}: it runs, and learns less")
    yield line(f"# model: {better}", f"better, fetched from the Hugging Face hub; {remark}")


def _seeing(facts: Facts) -> Iterator[str]:
    yield line("model: google/vit-base-patch16-224", "images take a model that reads images, and demo/* read text;")
    yield line("", "this one comes from the Hugging Face hub, and a folder with another works as well")


def _joining(facts: Facts) -> Iterator[str]:
    yield "model:"
    yield line(
        "  image: google/vit-base-patch16-224",
        "reads the images; this one comes from the Hugging Face hub, and a folder",
    )
    yield line("", "with another works as well")
    yield line("  text: demo/minilm-en", "reads the texts, in English; multilingual-e5-small reads 100 languages")
    yield line("  fusion: concat", "both vectors side by side; with `gated` the text looks at all places of the image")


def _aligning(facts: Facts) -> Iterator[str]:
    yield line(
        "model: openai/clip-vit-base-patch32",
        "makes vectors of images and texts; from the Hugging Face hub, and a folder",
    )
    yield line("", "with another CLIP or SigLIP works as well, as do two networks: {image: ..., text: ...}")


JOINED_BY: Mapping[Labels, Lines] = {"none": _aligning}
"""The model of images and texts that need no answer; all others are two networks with a head."""


def _both(facts: Facts) -> Iterator[str]:
    return JOINED_BY.get(facts.wanted, _joining)(facts)


def _hearing(facts: Facts) -> Iterator[str]:
    yield line(
        "model: openai/whisper-tiny", "recordings take a model that hears, and demo/* read text; this one, for speech,"
    )
    yield line("", "comes from the Hugging Face hub, and a folder with another works as well")


def _writing(facts: Facts) -> Iterator[str]:
    yield line(
        "model: HuggingFaceTB/SmolLM2-135M-Instruct", "answers take a model that writes, and demo/* do not; this one,"
    )
    yield line("", "small and English, comes from the Hugging Face hub, and a folder with another works as well")


def _pixels(facts: Facts) -> Iterator[str]:
    yield line("  # max_length: 224", "pixels of a side; left out, what the model was made for")


def _seconds(facts: Facts) -> Iterator[str]:
    yield line(f"  # max_length: {facts.longest}", "seconds, of the longest recording; more than 30 are never read")


def _windows(facts: Facts) -> Iterator[str]:
    yield line("  max_length: 384", "tokens of a window: a text that is longer is read in several, which overlap")


def _length(facts: Facts) -> Iterator[str]:
    lengths = np.array([_tokens(text) for text in facts.texts])
    usual = float(np.percentile(lengths, 99))
    limit = min(LONGEST, max(32, int(-(-usual * 1.25 // 32) * 32)))
    longer = float((lengths > limit).mean())
    reason = f"99 of 100 texts have at most about {usual:.0f} tokens (estimated)"
    yield line(
        f"  max_length: {limit}",
        reason if longer < 0.02 else f"what most models can read; about {longer:.0%} of texts are longer",
    )
    if longer >= 0.02:
        yield line("  too_long: cut", "their end is cut off, counted and reported; `drop` or `error` instead")


def _tokens(text: str) -> float:
    """A guess without a tokenizer: a token for a Chinese character, 1.4 for a word, and two for the marks at both ends."""
    return len(CHINESE.findall(text)) + 1.4 * len(CHINESE.sub(" ", text).split()) + 2


MEDIUM_LINES: Mapping[str, tuple[Lines, Lines]] = {
    "image": (_seeing, _pixels),
    "audio": (_hearing, _seconds),
    "image+text": (_both, _length),
    "prompt": (_writing, lambda facts: iter(())),
    "instruction": (_writing, lambda facts: iter(())),
    "dialogue": (_writing, lambda facts: iter(())),
    "question": (_reading, _windows),
}
"""The lines of the model and of the longest row, for what the demo model does not read or write."""
