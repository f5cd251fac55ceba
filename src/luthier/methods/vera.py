"""VeRA: one pair of random matrices for all layers, and two trained vectors a layer (Kopiczko et al. 2024, equation 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from luthier.methods import Rate
from luthier.methods.peft import Layer, Peft

if TYPE_CHECKING:
    from peft import VeraConfig

    from luthier.models.anatomy import Anatomy


class Vera(Peft):
    """W x + b * B (d * (A x)), with A and B random, frozen and shared, d of length rank, and b, per output, starting at zero.

    A and B are drawn again from their seed when the adapter is opened (section 3.2), so that its file holds d and b alone.
    """

    name: ClassVar[str] = "vera"
    rate: ClassVar[Rate] = Rate(4e-3, "Kopiczko et al. 2024 (VeRA), table 8: 4e-3 to 1e-2 for RoBERTa base on GLUE")

    rank: Annotated[int, Field(ge=1)] = 256
    """Rank of the random matrices, which may be larger than a layer: the paper takes 256 and 1024."""

    def config(self, layers: Sequence[Layer], anatomy: Anatomy) -> VeraConfig:
        """PEFT's settings."""
        from peft import VeraConfig

        return VeraConfig(r=self.rank, save_projection=False)
