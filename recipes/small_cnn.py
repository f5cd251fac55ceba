"""A small convolutional network for images, made for recipes/custom-cnn.yaml. Write your own in this way.

luthier calls the class with the `settings` of the recipe and, as it takes `num_labels`, with the number of outputs. Its last linear
layer counts as the head. Its blocks are in an `nn.ModuleList`, which is how methods that go block by block (top, gradual) find them;
a network without one takes full, head, pattern, bias, norm and scratch.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class Block(nn.Module):
    """Convolution, BatchNorm and ReLU, twice, with a shortcut (He et al. 2016); then half the height and width."""

    def __init__(self, read: int, written: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(read, written, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(written)
        self.second = nn.Conv2d(written, written, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(written)
        self.shortcut = nn.Conv2d(read, written, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """(rows, read, height, width) to (rows, written, height / 2, width / 2)."""
        inner = nn.functional.relu(self.first_norm(self.first(images)))
        inner = self.second_norm(self.second(inner)) + self.shortcut(images)
        return nn.functional.max_pool2d(nn.functional.relu(inner), 2)


class SmallCnn(nn.Module):
    """Blocks of twice the width each, the mean over what is left of the image, and a linear layer.

    Args:
        num_labels: outputs.
        width: channels of the first block.
        depth: blocks; each halves height and width.
        dropout: share of the last channels that is dropped in training.
    """

    def __init__(self, num_labels: int, width: int = 32, depth: int = 4, dropout: float = 0.2) -> None:
        super().__init__()
        widths = [3, *(width * 2**block for block in range(depth))]
        self.blocks = nn.ModuleList(Block(*pair) for pair in pairwise(widths))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], num_labels)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (rows, num_labels), of images, (rows, 3, height, width)."""
        for block in self.blocks:
            images = block(images)
        return self.head(self.dropout(images.mean(dim=(2, 3))))
