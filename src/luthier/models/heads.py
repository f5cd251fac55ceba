"""Which of transformers' classes opens a network, by what its head is to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import transformers
from transformers import (
    MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING,
    MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
)

from luthier.models.words import predicts_masked, predicts_next


@dataclass(frozen=True)
class Head:
    """A kind of head."""

    can: Callable[[Any], bool]
    """Whether transformers has networks of this configuration with such a head."""
    auto: Callable[[Any], Any]
    """The class whose `from_pretrained` opens one."""
    needs: str
    """What to say where there is none; `{kind}` is the configuration's `model_type`."""


def _listed(auto: str, mapping: Mapping[Any, Any], reads: str) -> Head:
    needs = f"its architecture, {{kind}}, has no head for this task in transformers; it must be one that reads {reads}."
    return Head(lambda config: type(config) in mapping, lambda config: getattr(transformers, auto), needs)


def _predicting(config: Any) -> Any:
    return transformers.AutoModelForMaskedLM if predicts_masked(config) else transformers.AutoModelForCausalLM


HEADS: Mapping[str, Head] = {
    "text": _listed("AutoModelForSequenceClassification", MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, "text"),
    "image": _listed("AutoModelForImageClassification", MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING, "images"),
    "audio": _listed("AutoModelForAudioClassification", MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING, "audio"),
    "tokens": _listed("AutoModelForTokenClassification", MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING, "text"),
    "words": Head(
        lambda config: predicts_masked(config) or predicts_next(config),
        _predicting,
        "method cloze needs an encoder or a decoder that predicts words, and {kind} is neither.",
    ),
}
"""By name: a head that gives one answer a row of `text`, `image` or `audio`; one a token (`tokens`); one that predicts `words`."""
WORDS = "words"
