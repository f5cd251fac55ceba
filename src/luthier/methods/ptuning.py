"""P-tuning: a prompt whose vectors come out of a small network while it is trained (Liu et al. 2021, GPT Understands, Too)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from luthier.methods import Context, Method, Rate
from luthier.methods.prompt import Prompt, put_before, reading
from luthier.search import Among, Range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from luthier.models.anatomy import Anatomy


class PTuning(Method):
    """Prompt tuning with vectors that depend on each other; merged, it is a plain prompt."""

    name: ClassVar[str] = "ptuning"
    rate: ClassVar[Rate] = Rate(1e-2, "as prompt; MiniLM on 2,000 rows of SST-2, 3 epochs: 0.76, and 0.68 at 1e-3")
    steps: ClassVar[int] = Prompt.steps
    needs: ClassVar[frozenset[str]] = Prompt.needs
    lasting: ClassVar[bool] = True

    length: Annotated[int, Field(ge=1)] = 20
    """Tokens of the prompt."""
    encoder: Literal["lstm", "mlp"] = "lstm"
    """What makes the vectors: a bidirectional LSTM of two layers and a perceptron, or a perceptron alone."""
    hidden: Annotated[int, Field(ge=1)] | None = None
    """Width of the encoder's hidden layers (of the LSTM in each direction). Default: half the word vectors' for the LSTM, as in
    the paper's code, and the word vectors' for the perceptron."""

    @property
    def tokens(self) -> int:
        """As many as the prompt has."""
        return self.length

    @property
    def folded(self) -> Method:
        """A prompt of the same length."""
        return Prompt(length=self.length)

    def space(self, anatomy: Anatomy) -> Mapping[str, Range | Among]:
        """Lengths on both sides of the default."""
        return {"length": Among((10, 20, 50))}

    def insert(self, model: nn.Module, anatomy: Anatomy, context: Context) -> nn.Module:
        """Give the word embedding the encoder, and every row the tokens."""
        from luthier.models.prompt_encoder import ENCODERS
        from luthier.models.virtual import word_vectors

        tokenizer = reading(self.name, context)
        start = word_vectors(model, [None] * self.length, tokenizer)
        return put_before(model, ENCODERS[self.encoder](start, self.hidden), tokenizer, self.length)

    def merge(self, model: nn.Module) -> nn.Module:
        """Keep the vectors and drop the network that made them."""
        from luthier.models.virtual import Vectors, exchange_prompt, prompt_in

        encoder = prompt_in(model)
        if encoder is not None:
            exchange_prompt(model, Vectors(encoder()))
        return model
