"""An image tower and a language model as one network that writes what is in an image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from luthier.networks import Network
from luthier.networks.towers import base, contents_of


class Captioner(Network):
    """A network that reads images and a language model, which looks at the image between its blocks (Alayrac et al. 2022, "Flamingo").

    The layers that look are new. Their gates are closed at the start, so that it begins as the language model alone.
    """

    name: ClassVar[str] = "captioner"
    places: ClassVar[frozenset[str]] = frozenset({"image", "writer"})

    image: str
    """Model that reads images, as `model` names one."""
    writer: str
    """Language model that writes, a decoder, as `model` names one."""
    every: Annotated[int, Field(ge=1)] = 4
    """The language model looks at the image before its last block and before each so many blocks below: 1 for all of them. Flamingo takes
    1, 4 and 7, the more the larger (Alayrac et al. 2022, table 1)."""

    @property
    def title(self) -> str:
        """Both names."""
        return f"{self.image} + {self.writer}"

    def contents(self) -> list[str]:
        """Hashes of both networks' weights and settings."""
        return contents_of(self.image, self.writer)

    def build(self, folder: Path) -> None:
        """Write both networks, the first without its head, and what makes their input and output."""
        from luthier.models.captioning_made import make

        make(base(self.image), base(self.writer), self.every, folder)
