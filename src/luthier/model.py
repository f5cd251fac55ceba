"""A saved model that answers: what serving and prediction need, and nothing of training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from luthier import hardware, increment
from luthier.evaluate.judge import PerRow
from luthier.evaluate.predict import in_order, off_device
from luthier.inputs import Asked, entrance
from luthier.models.open import Base
from luthier.models.quick import quicken
from luthier.tasks import Target
from luthier.training.microbatch import TOKENS_PER_CALL, sorted_groups


class Model:
    """Scores raw rows with the model of a run.

    Args:
        folder: Hugging Face folder, as training saved it.
        target: what it predicts.
        max_length: the longest row that is read whole, as `Modality.limit` of training.
        device: as in the recipe.
        medium: what rows are, a key of `inputs.ENTRANCES`.
        trust_remote_code: whether code that was saved with the model, or that its base brings, may run.
    """

    def __init__(
        self,
        folder: Path,
        target: Target,
        max_length: float,
        device: hardware.DeviceChoice = "auto",
        medium: str = "text",
        trust_remote_code: bool = False,
    ) -> None:
        base = Base(str(folder), str(folder), trust_remote_code=trust_remote_code)
        record = increment.read(folder)
        labels = tuple(target.model_config.get("id2label", {}).values())
        methods = record.methods if record else ()
        asked = Asked(base, labels, methods, max_length, True, target.wording, target.languages)
        opening = entrance(medium, asked)
        self.target = target
        self.objective = target.objective()
        self.modality = opening.modality
        self.device = hardware.device(device)
        network = increment.open_saved(base, record, target.model_config, opening.context).model
        self.network: Any = quicken(network).to(self.device).eval()

    @torch.inference_mode()
    def score(self, rows: Sequence[Any]) -> PerRow:
        """Scores of `Target.scores`, in the order of the rows."""
        if not rows:
            return []
        encoded = self.modality.encode(rows)
        found = []
        for group in sorted_groups(np.asarray(encoded.lengths), self.objective.tokens_per_call or TOKENS_PER_CALL):
            columns = {name: [values[index] for index in group] for name, values in encoded.columns.items()}
            batch = {name: value.to(self.device) for name, value in self.modality.collate(columns).items()}
            scores = off_device(self.target.scores(self.objective.outputs(self.network, batch).logits, batch))
            found.append((group, self.target.completed(scores, self.network, self.modality, batch)))
        return in_order(found)
