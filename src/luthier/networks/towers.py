"""Two pretrained networks as the towers of one that reads an image and a text together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from luthier.networks import Network

if TYPE_CHECKING:
    from luthier.models.find import Base

Fusion = Literal["concat", "gated"]


class Towers(Network):
    """A network that reads images and one that reads texts, joined. What joins them is new and learned with the head."""

    name: ClassVar[str] = "towers"
    places: ClassVar[frozenset[str]] = frozenset({"image", "text"})

    image: str
    """Model that reads images, as `model` names one."""
    text: str
    """Model that reads texts, as `model` names one."""
    fusion: Fusion = "concat"
    """`concat` puts the vectors of image and text side by side. `gated`: the text's vector looks at all places of the image through
    gates that are closed at the start (Alayrac et al. 2022, "Flamingo"). Task align needs neither."""

    @property
    def title(self) -> str:
        """Both names."""
        return f"{self.image} + {self.text}"

    def contents(self) -> list[str]:
        """Hashes of both networks' weights and settings."""
        return contents_of(self.image, self.text)

    def build(self, folder: Path) -> None:
        """Write both networks without their heads, and what makes their input."""
        from luthier.models.join import join

        join(base(self.image), base(self.text), self.fusion, folder)


def contents_of(*names: str) -> list[str]:
    """Hashes of the weights and settings of networks that are named."""
    from luthier.folder import sha256

    bases = list(map(base, names))
    files = [file for one in bases for file in sorted(Path(one.location).glob("*.json"))]
    return [*(one.sha256 for one in bases), *map(sha256, files)]


def base(name: str) -> Base:
    """Where a network is."""
    from luthier.models.find import find

    return find(name)
