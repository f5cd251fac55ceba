"""A saved model that answers: what serving and prediction need, and nothing of training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from luthier import hardware, increment
from luthier.inputs import text_of
from luthier.methods import Context
from luthier.models.open import Base, open_tokenizer
from luthier.models.quick import quicken
from luthier.tasks import Target
from luthier.training.microbatch import TOKENS_PER_CALL, sorted_groups


class Model:
    """Scores raw rows with the model of a run.

    Args:
        folder: Hugging Face folder, as training saved it.
        target: what it predicts.
        max_length: tokens of the longest row that is read whole.
        device: as in the recipe.
    """

    def __init__(self, folder: Path, target: Target, max_length: int, device: hardware.DeviceChoice = "auto") -> None:
        base = Base(str(folder), str(folder))
        tokenizer = open_tokenizer(base)
        context = Context(tokenizer, tuple(target.model_config["id2label"].values()))
        record = increment.read(folder)
        self.target = target
        self.modality = text_of(tokenizer, context, record.methods if record else (), max_length, None)
        self.device = hardware.device(device)
        network = increment.open_saved(base, record, target.model_config, context).model
        self.network: Any = quicken(network).to(self.device).eval()

    @torch.inference_mode()
    def score(self, rows: Sequence[str]) -> np.ndarray:
        """Scores of shape (rows, outputs), in the order of the rows."""
        encoded = self.modality.encode(rows)
        scores = np.empty((len(rows), self.target.model_config["num_labels"]), dtype=np.float32)
        for group in sorted_groups(np.asarray(encoded.lengths), TOKENS_PER_CALL):
            columns = {name: [values[index] for index in group] for name, values in encoded.columns.items()}
            batch = {name: value.to(self.device) for name, value in self.modality.collate(columns).items()}
            scores[group] = self.target.scores(self.network(**batch).logits).cpu().numpy()
        return scores
