"""An embedding table whose gradient is added up sparsely over the micro-batches of a step.

The gradient of a table is dense by default: each backward call fills a tensor as large as the table with zeros and adds
it to the last one. From the second call of a step on, only the rows that were looked up are added to the dense gradient,
which is the same sum. Gradients must not be cleared between a forward call and its backward call.
"""

import torch
from torch import Tensor, nn


class AddingEmbedding(nn.Embedding):
    """`nn.Embedding` whose second and later backward calls add only the looked-up rows to `weight.grad`."""

    def forward(self, input: Tensor) -> Tensor:
        adds = self.weight.grad is not None and not self.weight.grad.is_sparse and torch.is_grad_enabled()
        return nn.functional.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, adds
        )
