"""What went wrong when transformers opened something, in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from safetensors import SafetensorError

from luthier.errors import ModelError
from luthier.models.find import Base
from luthier.models.quiet import quiet


@contextmanager
def explained(base: Base) -> Iterator[None]:
    """Turn transformers' errors into a sentence."""
    try:
        with quiet():
            yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as wrong:
        raise ModelError(f"The model {base.name!r} cannot be used here: {_reason(wrong)}") from wrong


ADVICE = {
    "instantiate the backend tokenizer": "it has no tokenizer: expected tokenizer.json or a vocabulary beside its weights.",
    "no file named model.safetensors": "it has no model.safetensors (pickled weights are not loaded: convert them with save_pretrained).",
    "contains custom code": "it brings its own code. If you trust its source, write trust_remote_code: true.",
    "Can't load image processor": (
        "it does not say how images become numbers. Write a preprocessor_config.json beside its weights, with the size and the colours "
        'that it was trained with, such as {"image_processor_type": "ViTImageProcessor", "size": {"height": 224, "width": 224}, '
        '"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}.'
    ),
    "Can't load feature extractor": (
        "it does not say how recordings become numbers. Write a preprocessor_config.json beside its weights, with the rate that it was "
        'trained with, such as {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 16000}.'
    ),
    "deserializing header": "its model.safetensors is damaged or cut short; fetch it again.",
}
"""What to say where a part of transformers' message tells the cause."""


def _reason(wrong: Exception) -> str:
    """A sentence for the cause, where it is known, else the first line of transformers' message."""
    known = [advice for part, advice in ADVICE.items() if part in str(wrong)]
    return known[0] if known else str(wrong).strip().split("\n")[0][:300]
