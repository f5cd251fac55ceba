"""A network that a function makes: any `torch.nn.Module`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from luthier.errors import ModelError
from luthier.networks import Network

if TYPE_CHECKING:
    import torch

    from luthier.models.made_config import MadeConfig


Side = Annotated[int, Field(ge=1)]
Colours = Annotated[list[float], Field(min_length=3, max_length=3)]
SEED = 0
"""Of the weights in the folder; method scratch draws them anew by the recipe's seed."""
TRIED, TOKENS = 2, 8
"""Rows that a network is tried with, and tokens of each where they are text."""


def _function(name: str) -> str:
    if not re.fullmatch(r"\w+(\.\w+)*:\w+", name):
        raise PydanticCustomError(
            "member",
            "expected the name of a function in a module, such as my_networks:small_cnn; got {name}.",
            {"name": repr(name)},
        )
    return name


class Factory(Network):
    """A `torch.nn.Module`, made by a function or class of your own."""

    name: ClassVar[str] = "factory"
    places: ClassVar[frozenset[str]] = frozenset({"weights", "tokenizer", "folder"})

    factory: Annotated[str, AfterValidator(_function)]
    """`module:function`, or `module:Class`. The module is a file beside the recipe or in the current folder, or an installed one. Where
    the function takes `num_labels`, `num_outputs` or `num_classes`, it is called with the number of outputs."""
    settings: dict[str, Any] = {}
    """What it is called with."""
    weights: str | None = None
    """A safetensors file with the network's pretrained weights, all but those of its head. Default: the factory's own, drawn at random."""
    head: str | None = None
    """Name of the module that gives the outputs, which is drawn anew for the labels. Default: the linear or convolutional layer that
    is computed last."""
    image_size: Side | Annotated[list[Side], Field(min_length=2, max_length=2)] | None = None
    """For a network that reads images, (rows, 3, height, width): pixels of a side, or height and width."""
    mean: Colours = [0.5, 0.5, 0.5]
    """Of each colour, between 0 and 1: what is subtracted."""
    std: Colours = [0.5, 0.5, 0.5]
    """Of each colour: what the rest is divided by."""
    sampling_rate: Annotated[int, Field(ge=100)] | None = None
    """For a network that reads sound, (rows, samples): samples a second. They have mean 0 and variance 1, and shorter rows end in
    zeros; a network that takes `attention_mask` is told where."""
    tokenizer: str | None = None
    """For a network that reads text, (rows, tokens): a model or folder whose tokenizer makes the ids."""
    folder: str = ""
    """Where the module's file is, if not in the current folder; filled in where it lies beside the recipe."""

    @property
    def title(self) -> str:
        """The factory's name."""
        return self.factory

    def beside(self, folder: Path) -> Factory:
        """With `folder` where the module's file lies there and the recipe does not say otherwise."""
        there = (folder / f"{self.factory.partition(':')[0]}.py").is_file()
        return self.model_copy(update={"folder": str(folder)}) if there and not self.folder else self

    def contents(self) -> list[str]:
        """Hashes of the module's file, the weights and the tokenizer."""
        from luthier.folder import sha256
        from luthier.models.code import keep

        parts, weights = [keep(self.factory, self.folder)], self._weights()
        if weights is not None:
            parts.append(sha256(weights))
        if self.tokenizer is not None:
            parts.append(hashlib.sha256(self._processor().backend_tokenizer.to_str().encode()).hexdigest())
        return parts

    def build(self, folder: Path) -> None:
        """Make the network, see that it answers, and write it with what makes its input."""
        import torch

        from luthier.models.tried import settled, write

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            processor = self._processor()
            config = settled(self._config(), self._rows(processor), self.head)
            write(config, folder, self._weights())
        processor.save_pretrained(str(folder))

    @property
    def medium(self) -> str:
        """What it reads."""
        return next(medium for medium, key in KEYS.items() if getattr(self, key) is not None)

    def _config(self) -> MadeConfig:
        from luthier.models.code import keep
        from luthier.models.made import KINDS

        code = keep(self.factory, self.folder)
        return KINDS[self.medium][0](factory=self.factory, code=code, settings=self.settings)

    def _processor(self) -> Any:
        return PROCESSORS[self.medium](self)

    def _rows(self, processor: Any) -> torch.Tensor:
        return ROWS[self.medium](processor)

    def _weights(self) -> Path | None:
        if self.weights is None:
            return None
        file = Path(self.weights).expanduser()
        if not file.is_file():
            raise ModelError(f"model: there is no file {self.weights!r} with weights.")
        return file

    @model_validator(mode="after")
    def _one_medium(self) -> Factory:
        given = [key for key in KEYS.values() if getattr(self, key) is not None]
        if len(given) != 1:
            raise PydanticCustomError(
                "member",
                "expected one of {keys}, by what the network reads; got {given}.",
                {"keys": ", ".join(KEYS.values()), "given": " and ".join(given) or "none"},
            )
        return self


KEYS: Mapping[str, str] = {"image": "image_size", "audio": "sampling_rate", "text": "tokenizer"}
"""By what rows are, the key that says how they become numbers."""


def _image(asked: Factory) -> Any:
    from luthier.models.quiet import quiet

    side = asked.image_size
    height, width = side if isinstance(side, list) else (side, side)
    with quiet():  # transformers tells whether Pillow or torchvision resizes
        from transformers import ViTImageProcessor

        return ViTImageProcessor(size={"height": height, "width": width}, image_mean=asked.mean, image_std=asked.std)


def _audio(asked: Factory) -> Any:
    from transformers import Wav2Vec2FeatureExtractor

    return Wav2Vec2FeatureExtractor(sampling_rate=asked.sampling_rate, return_attention_mask=True)


def _text(asked: Factory) -> Any:
    from luthier.models.open import find, open_tokenizer

    return open_tokenizer(find(str(asked.tokenizer)))


PROCESSORS: Mapping[str, Callable[[Factory], Any]] = {"image": _image, "audio": _audio, "text": _text}
"""What makes the network's input."""


def _pixels(processor: Any) -> torch.Tensor:
    import torch

    return torch.randn(TRIED, 3, processor.size["height"], processor.size["width"])


def _samples(processor: Any) -> torch.Tensor:
    import torch

    return torch.randn(TRIED, processor.sampling_rate)


def _ids(processor: Any) -> torch.Tensor:
    import torch

    return torch.randint(len(processor), (TRIED, TOKENS))


ROWS: Mapping[str, Callable[[Any], torch.Tensor]] = {"image": _pixels, "audio": _samples, "text": _ids}
"""Random rows to try a network with: images, a second of sound, tokens."""
