"""Which of transformers' classes opens a network, by what its head is to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

import transformers
from torch import nn
from transformers import (
    MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING,
    MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    MODEL_FOR_QUESTION_ANSWERING_MAPPING,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING,
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING,
    MODEL_MAPPING,
)

from luthier.models.aligned import answer_vectors
from luthier.models.both_ends import read_ends
from luthier.models.captioning import Captioner
from luthier.models.captioning_config import CaptionerConfig
from luthier.models.fused import FusedForAlignment, FusedForClassification
from luthier.models.fused_config import FusedConfig
from luthier.models.twin import read_twins
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
    given: bool = False
    """Whether the checkpoint has it: it is not drawn, and trains only where a method says so."""
    around: Callable[[nn.Module], None] = lambda network: None
    """What is done to a network that was opened, so that it answers with logits, rows first."""


def _listed(auto: str, mapping: Mapping[Any, Any], reads: str) -> Head:
    needs = f"its architecture, {{kind}}, has no head for this task in transformers; it must be one that reads {reads}."
    return Head(lambda config: type(config) in mapping, lambda config: getattr(transformers, auto), needs)


def _predicting(config: Any) -> Any:
    return transformers.AutoModelForMaskedLM if predicts_masked(config) else transformers.AutoModelForCausalLM


def answers_apart(config: Any) -> bool:
    """Whether models of this configuration read by an encoder and write by a decoder."""
    return config.is_encoder_decoder and type(config) in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING


def sees_and_writes(config: Any) -> bool:
    """Whether models of this configuration read an image, and nothing else, by an encoder and write by a decoder."""
    if not config.is_encoder_decoder or type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return False
    inputs = signature(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING[type(config)].forward).parameters
    return {"pixel_values", "decoder_input_ids"} <= inputs.keys() and "input_ids" not in inputs


def _writing(config: Any) -> Any:
    return transformers.AutoModelForSeq2SeqLM if answers_apart(config) else transformers.AutoModelForCausalLM


HEADS: Mapping[str, Head] = {
    "text": _listed("AutoModelForSequenceClassification", MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, "text"),
    "image": _listed("AutoModelForImageClassification", MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING, "images"),
    "audio": _listed("AutoModelForAudioClassification", MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING, "audio"),
    "tokens": _listed("AutoModelForTokenClassification", MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING, "text"),
    "ends": replace(
        _listed("AutoModelForQuestionAnswering", MODEL_FOR_QUESTION_ANSWERING_MAPPING, "text"), around=read_ends
    ),
    "words": Head(
        lambda config: predicts_masked(config) or predicts_next(config),
        _predicting,
        "method cloze needs an encoder or a decoder that predicts words, and {kind} is neither.",
        given=True,
    ),
    "causal": Head(
        lambda config: predicts_next(config) or answers_apart(config),
        _writing,
        "task generate needs a decoder, which predicts the next word, and {kind} is none. Take one such as Llama, Qwen or GPT-2, or one "
        "with an encoder too, such as T5 or BART.",
        given=True,
    ),
    "speech": Head(
        lambda config: config.is_encoder_decoder and type(config) in MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING,
        lambda config: transformers.AutoModelForSpeechSeq2Seq,
        "task transcribe needs a model that hears and writes, and {kind} is none. Take one such as Whisper.",
        given=True,
    ),
    "captions": Head(
        sees_and_writes,
        lambda config: transformers.AutoModelForImageTextToText,
        "task generate writes captions of these images by two networks, model: {{image: ..., writer: ...}}, or by one that has an encoder "
        "for images and a decoder, such as a VisionEncoderDecoderModel; {kind} is none.",
        given=True,
    ),
    "captioner": Head(
        lambda config: isinstance(config, CaptionerConfig),
        lambda config: Captioner,
        "{kind} is not made of an image tower and a language model.",
    ),
    "twin": Head(
        lambda config: type(config) in MODEL_MAPPING and not config.is_encoder_decoder,
        lambda config: transformers.AutoModel,
        "task match makes vectors with kind: twin, which needs an encoder or a decoder, and {kind} is neither.",
        given=True,
        around=read_twins,
    ),
    "image+text": Head(
        lambda config: isinstance(config, FusedConfig),
        lambda config: FusedForClassification,
        "these rows are images with texts, and {kind} does not read both. Name two networks, model: {{image: ..., text: ...}}; or name "
        "one column, as in data: {{columns: {{text: ...}}}}.",
    ),
    "aligned towers": Head(
        lambda config: isinstance(config, FusedConfig),
        lambda config: FusedForAlignment,
        "{kind} has no two towers.",
    ),
    "aligned": Head(
        lambda config: type(config) in MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING,
        lambda config: transformers.AutoModelForZeroShotImageClassification,
        "task align needs a network that makes vectors of images and of texts, such as CLIP or SigLIP, and {kind} is none. Take one, or "
        "two networks: model: {{image: ..., text: ...}}.",
        given=True,
        around=answer_vectors,
    ),
}
"""By name: a head that gives one answer a row of `text`, `image` or `audio`; one a token (`tokens`); two a token, where an answer
begins and `ends`; one that predicts `words`, masked or next; one that predicts the next word and so writes (`causal`), behind an
encoder or not; one that writes what is said (`speech`) or seen (`captions`; `captioner` where it is made of two networks); none, where
two texts become vectors (`twin`), or an image and a text (`aligned`)."""
WORDS = "words"
ENDS = "ends"
TWIN = "twin"
CAUSAL = "causal"
SPEECH = "speech"
CAPTIONS = "captions"
CAPTIONER = "captioner"
CAPTIONED = "image+text"
ALIGNED = "aligned"
TOWERS = "aligned towers"
TYPES = "token_type_ids"
"""The input that says which of two texts a token belongs to."""


def has_types(config: Any, head: str) -> bool:
    """Whether a network of this configuration is told which of two texts a token belongs to; code of its own is taken to be."""
    return reads(config, head, TYPES) and getattr(config, "type_vocab_size", None) != 1


def reads(config: Any, head: str, name: str) -> bool:
    """Whether a network of this configuration has an input of that name; code of its own is taken to have it."""
    mapping = HEADS[head].auto(config)._model_mapping
    return type(config) not in mapping or name in signature(mapping[type(config)].forward).parameters
