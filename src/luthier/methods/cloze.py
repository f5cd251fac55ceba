"""Classification as filling a gap: PET (Schick & Schütze 2021); soft tokens as in P-tuning (Liu et al. 2021) and PPT (Gu et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from luthier.errors import RecipeError
from luthier.methods import Context, Method
from luthier.methods.prompt import Prompt, reading
from luthier.modalities.template import Pattern, Template, parse
from luthier.registry import closest

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from luthier.models.anatomy import Anatomy
    from luthier.models.words import Place


def _parsable(pattern: str) -> str:
    parse(pattern)
    return pattern


def _named(words: Any) -> Any:
    """Labels that YAML reads as numbers are named by their text, and a word alone is a list of one."""
    if not isinstance(words, Mapping):
        return words
    return {str(label): [one] if isinstance(one, str) else one for label, one in words.items()}


class Cloze(Method):
    """The head that predicts words answers: of each label the logit is the mean of its words' logits in the template's gap.

    By itself it trains the template's soft tokens and nothing else.
    """

    name: ClassVar[str] = "cloze"
    rate: ClassVar = Prompt.rate
    lasting: ClassVar[bool] = True
    words: ClassVar[bool] = True

    pattern: Annotated[str, AfterValidator(_parsable)] = "{text} It was {mask}"
    """What each row is written into, with {text} where the text stands and {mask} where the answer does. {soft} is a learned
    token, {soft:5} are five, and {soft:It was} are as many as these words have and start as they do. Where a model predicts the
    next word, {mask} stands last."""
    verbalizer: Annotated[
        dict[str, Annotated[list[str], Field(min_length=1)]],
        BeforeValidator(_named, json_schema_input_type=dict[str, str | list[str]]),
    ] = {}
    """The words for each label: `{0: bad, 1: [good, great]}`. Default: the labels' own names."""

    def template(self, context: Context) -> Template:
        """The pattern in token ids."""
        return self._pattern.template(reading(self.name, context))

    def insert(self, model: nn.Module, anatomy: Anatomy, context: Context) -> nn.Module:
        """Read the answer in the gap, and give the word embedding the soft tokens."""
        from luthier.models.virtual import Vectors, add_virtual_tokens, word_vectors
        from luthier.models.words import answer_by_words

        tokenizer = reading(self.name, context)
        starts = self._pattern.starts(tokenizer)
        words = self._words(context.labels, tokenizer)
        place = self._place(model.config, tokenizer)
        if starts:
            add_virtual_tokens(model, Vectors(word_vectors(model, starts, tokenizer)))
        answer_by_words(model, words, place)
        return model

    @cached_property
    def _pattern(self) -> Pattern:
        return parse(self.pattern)

    def _place(self, config: Any, tokenizer: PreTrainedTokenizerBase) -> Place:
        from luthier.models.words import Place, predicts_masked

        masked = predicts_masked(config)
        if masked and tokenizer.mask_token_id is None:
            raise RecipeError(
                "method cloze: this model predicts masked words, and its tokenizer has no mask token. Take another model or method."
            )
        if not masked and not self._pattern.answer_behind:
            raise RecipeError(
                "method cloze: this model predicts a word from those before it, and would answer before it has read the text: {mask} must "
                "stand behind {text} in the template, or be left out."
            )
        shift = 0 if masked or tokenizer.mask_token_id is None else 1
        return Place(tokenizer.mask_token_id, self._pattern.answer_behind, shift)

    def _words(self, labels: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
        """Of each label, in the order of the network's outputs, the ids of its words."""
        named = self._named_words(labels)
        found = [[_token(tokenizer, self._pattern, label, word) for word in words] for label, words in named.items()]
        owners: dict[frozenset[int], str] = {}
        for label, words in zip(named, found, strict=True):
            first = owners.setdefault(frozenset(words), label)
            if first != label:
                raise RecipeError(
                    f"method cloze: the labels {first!r} and {label!r} have the same words, so no answer could tell them apart; change "
                    "the verbalizer."
                )
        return found

    def _named_words(self, labels: Sequence[str]) -> dict[str, list[str]]:
        unknown = sorted(set(self.verbalizer) - set(labels))
        if unknown:
            raise RecipeError(
                f"method cloze: the verbalizer names the label {unknown[0]!r}, which the data do not have; {closest(unknown[0], labels)}"
            )
        wordless = [label for label in labels if label not in self.verbalizer and not any(map(str.isalpha, label))]
        if wordless:
            example = ", ".join(f"{label}: ..." for label in wordless)
            raise RecipeError(
                f"method cloze: the label {wordless[0]!r} is no word; say which words stand for it: verbalizer: {{{example}}}."
            )
        return {label: self.verbalizer.get(label) or [label] for label in labels}


def _token(tokenizer: PreTrainedTokenizerBase, pattern: Pattern, label: str, word: str) -> int:
    """Id of a word in the gap.

    Raises:
        RecipeError: it is not one token of this tokenizer.
    """
    ids = pattern.word(tokenizer, word.strip())
    if len(ids) == 1 and ids[0] != tokenizer.unk_token_id:
        return ids[0]
    pieces = " ".join(tokenizer.convert_ids_to_tokens(ids)) or "nothing"
    raise RecipeError(
        f"method cloze: the word {word!r} for the label {label!r} is not one token here (the tokenizer reads it as: {pieces}), and the gap "
        "has room for one; name another word in the verbalizer."
    )
