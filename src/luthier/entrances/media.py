"""Rows of images and recordings, alone and with words."""

from __future__ import annotations

from dataclasses import replace

from luthier.entrances import Asked, Entrance, whole
from luthier.entrances.written import ending
from luthier.errors import ModelError, RecipeError
from luthier.methods import Context
from luthier.modalities.text import Text
from luthier.models.aligned import PADDED
from luthier.models.heads import ALIGNED, CAPTIONED, CAPTIONER, CAPTIONS, SPEECH, TOWERS
from luthier.models.open import architecture, can_answer, open_processor, open_tokenizer, positions

ROWS = {
    "image": "images",
    "audio": "recordings",
    "speech": "recordings",
    **dict.fromkeys((CAPTIONS, CAPTIONER), "images"),
}
"""What a network reads that reads no text; all others read images and texts."""


def image(asked: Asked) -> Entrance:
    from luthier.modalities.image import Image

    context = _perceiving(asked, "image")
    size = None if asked.saved else whole(asked.limit)  # what is saved has its size, which need not be a square
    return Entrance(context, Image(open_processor(asked.base, "image"), size))


def audio(asked: Asked) -> Entrance:
    from luthier.modalities.audio import Audio

    context = _perceiving(asked, "audio")
    modality = Audio(open_processor(asked.base, "audio"), asked.limit)
    return Entrance(replace(context, positions=modality.positions), modality)


def captioned(asked: Asked) -> Entrance:
    return _with_texts(asked, CAPTIONED)


def aligned(asked: Asked) -> Entrance:
    return _with_texts(asked, TOWERS if can_answer(asked.base, TOWERS) else ALIGNED)


def _with_texts(asked: Asked, head: str) -> Entrance:
    """The entrance of rows of an image and a text, for a network with that head.

    Raises:
        ModelError: the network does not read such rows.
        RecipeError: a method writes text around the input.
    """
    from luthier.modalities.captioned import Captioned, Matched
    from luthier.modalities.image import Image

    context, tokenizer = _perceiving(asked, head), open_tokenizer(asked.base)
    config = architecture(asked.base, head)
    text = Text(tokenizer, whole(asked.limit), None if asked.saved else positions(config))
    image = Image(open_processor(asked.base, "image"))
    modality = (Captioned if head == CAPTIONED else Matched)(image, text, padded=config.model_type in PADDED)
    return Entrance(replace(context, tokenizer=tokenizer), modality)


def speech(asked: Asked) -> Entrance:
    from luthier.modalities.audio import Audio
    from luthier.modalities.languages import spoken
    from luthier.modalities.speech import Speech

    context = _perceiving(asked, SPEECH)
    config, tokenizer = architecture(asked.base, SPEECH), open_tokenizer(asked.base)
    audio = Audio(open_processor(asked.base, "audio"), asked.limit)
    start, room = config.decoder_start_token_id, config.to_dict().get("max_target_positions")
    modality = Speech(audio, tokenizer, room, start, spoken(tokenizer, asked.languages, asked.base.name))
    return Entrance(replace(context, tokenizer=tokenizer, positions=audio.positions), modality)


def captions(asked: Asked) -> Entrance:
    from luthier.modalities.captioning import Captioning
    from luthier.modalities.image import Image

    head = CAPTIONER if can_answer(asked.base, CAPTIONER) else CAPTIONS
    context = _perceiving(asked, head)
    config, tokenizer = architecture(asked.base, head), ending(open_tokenizer(asked.base), asked.base)
    if config.decoder_start_token_id is None or config.pad_token_id is None:
        raise ModelError(
            f"The model {asked.base.name!r} cannot be used here: its config.json does not say with which token a text begins and which one "
            "fills it up. Set decoder_start_token_id and pad_token_id there."
        )
    image, room = Image(open_processor(asked.base, "image")), None if asked.saved else positions(config)
    modality = Captioning(image, tokenizer, room, config.decoder_start_token_id, max_length=whole(asked.limit))
    return Entrance(replace(context, tokenizer=tokenizer), modality)


def _perceiving(asked: Asked, medium: str) -> Context:
    """The context of a network that reads no text.

    Raises:
        ModelError: the network does not read such rows.
        RecipeError: a method writes text around the input.
    """
    speaking = [method.name for method in asked.methods if method.tokens or method.words]
    if speaking:
        raise RecipeError(
            f"method {speaking[0]} puts tokens beside a text, and these rows are {ROWS.get(medium, 'images and texts')}."
        )
    architecture(asked.base, medium)
    return Context(None, asked.labels, medium)
