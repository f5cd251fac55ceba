"""What a model reads: the modality for a kind of data, once methods have taken their share of its input."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from luthier.entrances import Asked, Entrance, media, texts, written

__all__ = ["ENTRANCES", "Asked", "Entrance", "entrance"]


def entrance(medium: str, asked: Asked) -> Entrance:
    """Open what makes a model's input of raw rows.

    Args:
        medium: what rows are, a key of `ENTRANCES`.
        asked: of which model, for what.

    Raises:
        ModelError: the model does not read such rows.
        RecipeError: nothing is left for the text, or the limit does not fit.
    """
    return ENTRANCES[medium](asked)


ENTRANCES: Mapping[str, Callable[[Asked], Entrance]] = {
    "text": texts.text,
    "tokens": texts.tokens,
    "pair": texts.pair,
    "twins": texts.twins,
    "prompt": written.prompt,
    "instruction": written.prompt,
    "question": texts.question,
    "dialogue": written.dialogue,
    "image": media.image,
    "audio": media.audio,
    "image+text": media.captioned,
    "aligned": media.aligned,
    "speech": media.speech,
    "captions": media.captions,
}
