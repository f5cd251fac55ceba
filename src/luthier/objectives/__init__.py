"""What training minimises.

`(model, batch) -> (loss sum, count)`: sums and counts, not means, so that micro-batches, accumulation and several devices
add up exactly to the loss of the whole step.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn


def inputs_of(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the network is called with: all of a batch but `target` and `target_...`, which only objectives and targets read."""
    return {name: value for name, value in batch.items() if not name.startswith("target")}


class Objective(ABC):
    """A loss as sum and count; the mean over a step is the sum of sums over the sum of counts."""

    @abstractmethod
    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Run the model on a batch that holds its inputs and `target`; return two scalars, loss sum and count."""
