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
        from luthier.folder import sha256

        bases = [self._base(name) for name in (self.image, self.text)]
        files = [file for base in bases for file in sorted(Path(base.location).glob("*.json"))]
        return [*(base.sha256 for base in bases), *map(sha256, files)]

    def build(self, folder: Path) -> None:
        """Write both networks without their heads, and what makes their input."""
        from luthier.models.join import join

        join(self._base(self.image), self._base(self.text), self.fusion, folder)

    def _base(self, name: str) -> Base:
        from luthier.models.find import find

        return find(name)
