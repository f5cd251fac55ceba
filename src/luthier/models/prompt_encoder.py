"""Small networks that write the vectors of virtual tokens: P-tuning (Liu et al. 2021, GPT Understands, Too, section 2.2)."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from luthier.models.virtual import Prompt


class Encoder(Prompt):
    """Vectors that a network makes of an embedding of the virtual tokens.

    Args:
        start: (tokens, width), what the tokens' own embedding starts as.
    """

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.seeds = nn.Parameter(start.detach().clone())

    def forward(self) -> Tensor:
        return self.encode(self.seeds)

    @abstractmethod
    def encode(self, seeds: Tensor) -> Tensor:
        """(tokens, width) to (tokens, width)."""


class LstmEncoder(Encoder):
    """A bidirectional LSTM of two layers and a perceptron: each vector depends on its neighbours'.

    Args:
        start: as `Encoder`.
        hidden: width of the LSTM in each direction; None for half of the vectors' width.
    """

    def __init__(self, start: Tensor, hidden: int | None) -> None:
        super().__init__(start)
        width = start.shape[1]
        hidden = hidden or max(1, width // 2)
        self.lstm = nn.LSTM(width, hidden, num_layers=2, bidirectional=True)
        self.mlp = nn.Sequential(nn.Linear(2 * hidden, 2 * hidden), nn.ReLU(), nn.Linear(2 * hidden, width))

    def encode(self, seeds: Tensor) -> Tensor:
        states, _ = self.lstm(seeds)
        vectors: Tensor = self.mlp(states)
        return vectors


class MlpEncoder(Encoder):
    """A perceptron with two hidden layers, the same for each token.

    Args:
        start: as `Encoder`.
        hidden: width of both hidden layers; None for that of the vectors.
    """

    def __init__(self, start: Tensor, hidden: int | None) -> None:
        super().__init__(start)
        width = start.shape[1]
        hidden = hidden or width
        layers = (nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.mlp = nn.Sequential(*layers)

    def encode(self, seeds: Tensor) -> Tensor:
        vectors: Tensor = self.mlp(seeds)
        return vectors


ENCODERS: dict[str, type[LstmEncoder | MlpEncoder]] = {"lstm": LstmEncoder, "mlp": MlpEncoder}
