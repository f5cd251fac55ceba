"""What training minimises.

`(model, batch) -> (loss sum, count)`: sums and counts, not means, so that micro-batches, accumulation and several devices
add up exactly to the loss of the whole step.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn


def inputs_of(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the network is called with: all of a batch but `target` and `target_...`, which only objectives and targets read."""
    return {name: value for name, value in batch.items() if not name.startswith("target")}


class Answered(nn.Module):
    """A model whose answer is known: lets an objective judge it without a second forward pass."""

    def __init__(self, outputs: Any) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, **inputs: Tensor) -> Any:
        """The answer, whatever is asked."""
        return self.outputs


class Objective(ABC):
    """A loss as sum and count; the mean over a step is the sum of sums over the sum of counts."""

    tokens_per_call: ClassVar[int | None] = None
    """Padded tokens of one call in scoring, where a row of the output is large; None for the usual number."""

    together: ClassVar[bool] = False
    """Whether the rows of a step are compared with one another, so that they are one micro-batch as long as memory allows."""

    def outputs(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Any:
        """What the model says of a batch: its logits, as this objective and the target's `scores` read them."""
        return model(**inputs_of(batch))

    @abstractmethod
    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Run the model on a batch that holds its inputs and `target`; return two scalars, loss sum and count."""
