"""What training minimises.

`(model, batch) -> (loss sum, count)`: sums and counts, not means, so that micro-batches, accumulation and several devices
add up exactly to the loss of the whole step.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn


class Objective(ABC):
    """A loss as sum and count; the mean over a step is the sum of sums over the sum of counts."""

    @abstractmethod
    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Run the model on a batch that holds its inputs and `target`; return two scalars, loss sum and count."""
