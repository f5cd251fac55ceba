"""The loss of rows that were mixed of two."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from luthier.objectives import Answered, Objective


class Mixed(Objective):
    """Another objective's losses for both rows, weighted by how much there is of each (Zhang et al. 2018; Yun et al. 2019, equation 1).

    With losses that are linear in the target, as cross entropy is, that is the loss of the mixed soft label. Counts are weighted
    alike, so that class weights keep their meaning.

    Args:
        objective: of rows as they are. It may call the model once.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """`target_other` is shaped as `target`; `target_share` is a number, the share of `target`."""
        answered, share = Answered(self.objective.outputs(model, batch)), batch["target_share"]
        loss, count = self.objective(answered, batch)
        other_loss, other_count = self.objective(answered, {**batch, "target": batch["target_other"]})
        return share * loss + (1 - share) * other_loss, share * count + (1 - share) * other_count
