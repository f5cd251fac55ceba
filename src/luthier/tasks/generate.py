"""Writing an answer: instruction, chat and completion tuning of causal language models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from luthier.data.token_rows import UNSPACED
from luthier.errors import DataError
from luthier.evaluate.texts import SCORED, SUMS, TextJudge
from luthier.tasks import NO_BATCH, About, Labels, Prediction, Target, Task

if TYPE_CHECKING:
    import torch

    from luthier.modalities import Modality
    from luthier.objectives import Objective

SAMPLE = 1000
"""Answers by which their script is told."""


class Generate(Task):
    """Write an answer to a prompt or a conversation; only answers are learned."""

    name: ClassVar[str] = "generate"
    labels: ClassVar[Labels] = "texts"

    template: str | None = None
    """What is written around a prompt, with {prompt} where it stands; the answer follows. Default: the chat template of the model's
    tokenizer or, where it has none, "### Instruction:\\n{prompt}\\n\\n### Response:\\n" (as of Stanford Alpaca)."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 128
    """Tokens that are written at most, in scoring and prediction."""

    def learn(self, values: Sequence[Any]) -> Texts:
        """Learn from the answers of the training rows whether their script has spaces between words."""
        some = [str(value) for value in values[:SAMPLE]]
        if not any(some):
            raise DataError("There is no answer to learn from in the training rows. Are these the right columns?")
        letters = sum(map(len, some))
        return Texts(self.template, self.max_new_tokens, 2 * sum(len(UNSPACED.findall(one)) for one in some) > letters)

    def restore(self, facts: Mapping[str, Any]) -> Texts:
        """Make the target of an earlier run again."""
        return Texts(facts["template"], facts["max_new_tokens"], facts["characters"])


class Texts(Target):
    """Answers in free words.

    Args:
        template: see `Generate.template`.
        max_new_tokens: see `Generate.max_new_tokens`.
        characters: whether answers are in a script without spaces between words.
    """

    smoothing: ClassVar[bool] = True

    def __init__(self, template: str | None, max_new_tokens: int, characters: bool) -> None:
        self.wording = template
        self.max_new_tokens = max_new_tokens
        self.characters = characters

    @property
    def facts(self) -> dict[str, Any]:
        """The settings, and the script."""
        return {
            "kind": "texts",
            "template": self.wording,
            "max_new_tokens": self.max_new_tokens,
            "characters": self.characters,
        }

    @property
    def model_config(self) -> dict[str, Any]:
        """Nothing: the network stays a language model."""
        return {}

    @property
    def about(self) -> About:
        """How to ask it with plain transformers."""
        return About(
            kind="a text",
            answer="a text",
            pipeline="text-generation",
            peft="AutoPeftModelForCausalLM",
            reading='{call}[0]["generated_text"][-1]["content"]',
            options={"max_new_tokens": self.max_new_tokens, "do_sample": False},
        )

    @property
    def judge(self) -> TextJudge:
        """Of likelihood and overlap."""
        return TextJudge(self.characters)

    def encode(self, values: Sequence[Any]) -> np.ndarray:
        """Of each row an int64 array, the code points of its answer; the tokens to learn stand in the rows as they are encoded."""
        encoded = np.empty(len(values), dtype=object)
        for row, value in enumerate(values):
            encoded[row] = np.frombuffer(str(value).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64)
        return encoded

    def decode(self, targets: np.ndarray) -> list[str]:
        """The inverse of `encode`."""
        return [row.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass") for row in targets]

    def count(self, targets: np.ndarray) -> dict[str, int]:
        """How many answers there are."""
        return {"answers": len(targets)}

    def objective(self, label_smoothing: float = 0.0) -> Objective:
        """Cross entropy over the tokens of the answers."""
        from luthier.objectives.next_token import NextToken

        return NextToken(label_smoothing)

    def scores(self, logits: torch.Tensor, batch: Mapping[str, torch.Tensor] = NO_BATCH) -> torch.Tensor:
        """(rows, 3) float64: summed loss of the answer's tokens, their number, and how many are the likeliest."""
        from luthier.objectives.next_token import row_sums

        return row_sums(logits, batch)

    def completed(self, scores: Any, network: Any, modality: Modality, batch: Mapping[str, torch.Tensor]) -> np.ndarray:
        """(rows,) of `SCORED`: the scores, and what the network writes.

        Raises:
            TypeError: the modality cannot write.
        """
        from luthier.modalities import Writing

        if not isinstance(modality, Writing):
            raise TypeError(f"{type(modality).__name__} reads and does not write")
        return _table(scores, modality.write(network, batch, self.max_new_tokens))

    def predictions(self, scores: np.ndarray) -> list[Prediction]:
        """What was written, without confidence."""
        return [Prediction(text) for text in scores["text"]]

    def stored(self, scores: np.ndarray) -> dict[str, list[Any]]:
        """Loss, tokens and right tokens; what was written is the answer."""
        return {"scores": np.stack([scores[name] for name in SUMS], axis=1).tolist()}

    def restored(self, columns: Mapping[str, Sequence[Any]]) -> np.ndarray:
        """The inverse of `stored`."""
        return _table(np.array([list(row) for row in columns["scores"]]), list(columns["predicted"]))


def _table(sums: Any, texts: Sequence[str]) -> np.ndarray:
    table = np.empty(len(texts), dtype=SCORED)
    for column, name in zip(np.asarray(sums).reshape(-1, 3).T, SUMS, strict=True):
        table[name] = column
    table["text"] = texts
    return table
