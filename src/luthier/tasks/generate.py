"""Writing: instruction, chat and completion tuning of language models, translation, summaries, and captions of images."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from pydantic import Field

from luthier.errors import RecipeError
from luthier.evaluate.texts import TextJudge
from luthier.tasks import About, Labels, Task
from luthier.tasks.written import Written, by_characters

IMAGE = "image"
"""The medium of rows that are images."""


class Generate(Task):
    """Write an answer to a prompt or a conversation, or a caption of an image; only what is written is learned."""

    name: ClassVar[str] = "generate"
    labels: ClassVar[Labels] = "texts"

    template: str | None = None
    """What is written around a prompt, with {prompt} where it stands; the answer follows. Default: the chat template of the model's
    tokenizer or, where it has none, "### Instruction:\\n{prompt}\\n\\n### Response:\\n" (as of Stanford Alpaca); of a model with an
    encoder the prompt alone. T5 was trained with such as "summarize: {prompt}"."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 128
    """Tokens that are written at most, in scoring and prediction."""
    source_language: str | None = None
    """Language of the prompts, as the tokenizer calls it, where it knows several (mBART: `en_XX`, NLLB: `eng_Latn`)."""
    target_language: str | None = None
    """Language of the answers, likewise."""

    def learn(self, values: Sequence[Any]) -> Texts:
        """Learn from the answers of the training rows whether their script has spaces between words."""
        given = {"source_language": self.source_language, "target_language": self.target_language}
        languages = {key: code for key, code in given.items() if code is not None}
        return Texts(self.template, self.max_new_tokens, by_characters(values), languages)

    def restore(self, facts: Mapping[str, Any]) -> Texts | Captions:
        """Make the target of an earlier run again."""
        return RESTORED[facts["kind"]](facts)


class Texts(Written):
    """Answers in free words.

    Args:
        template: see `Generate.template`.
        max_new_tokens: see `Generate.max_new_tokens`.
        characters: whether answers are in a script without spaces between words.
        languages: of prompts and answers, by the keys of the task.
    """

    def __init__(
        self,
        template: str | None,
        max_new_tokens: int,
        characters: bool,
        languages: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.wording, self.languages = template, languages
        self.max_new_tokens = max_new_tokens
        self.characters = characters

    def on(self, medium: str) -> Texts | Captions:
        """Of images captions.

        Raises:
            RecipeError: the task says what is written around prompts, or which language they are in.
        """
        if medium != IMAGE:
            return self
        said = [*(["template"] if self.wording else []), *self.languages]
        if said:
            raise RecipeError(f"task.{said[0]} is for prompts that are texts, and these rows are images. Leave it out.")
        return Captions(self.max_new_tokens, self.characters)

    @property
    def facts(self) -> dict[str, Any]:
        """The settings, and the script."""
        return {
            "kind": "texts",
            "template": self.wording,
            "max_new_tokens": self.max_new_tokens,
            "characters": self.characters,
            "languages": dict(self.languages),
        }

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
            apart=About("a text", "a text", "text-generation", "AutoPeftModelForSeq2SeqLM", plain=self._apart),
        )

    @property
    def _apart(self) -> str:
        from luthier.data.dialogues import PROMPT

        asked = (self.wording or PROMPT).replace(PROMPT, "What is a lute?")
        told = "" if not self.languages else ', forced_bos_token_id=tokenizer(text_target="")["input_ids"][0]'
        return (
            "from transformers import AutoModelForSeq2SeqLM, AutoTokenizer\n"
            'tokenizer, model = (one.from_pretrained("{folder}") for one in (AutoTokenizer, AutoModelForSeq2SeqLM))\n'
            f'asked = tokenizer({json.dumps(asked, ensure_ascii=False)}, return_tensors="pt")\n'
            f"made = model.generate(**asked, max_new_tokens={self.max_new_tokens}, num_beams=1, do_sample=False{told})\n"
            "print(tokenizer.decode(made[0], skip_special_tokens=True))"
        )

    @property
    def judge(self) -> TextJudge:
        """Of likelihood and overlap."""
        return TextJudge(self.characters)


class Captions(Written):
    """What is written of images.

    Args:
        max_new_tokens: see `Generate.max_new_tokens`.
        characters: whether captions are in a script without spaces between words.
    """

    reads: ClassVar[str] = "captions"

    def __init__(self, max_new_tokens: int, characters: bool) -> None:
        self.max_new_tokens = max_new_tokens
        self.characters = characters

    @property
    def facts(self) -> dict[str, Any]:
        """The settings, and the script."""
        return {"kind": "captions", "max_new_tokens": self.max_new_tokens, "characters": self.characters}

    @property
    def about(self) -> About:
        """How to ask it with plain transformers."""
        return About(kind="a caption", answer="a caption", pipeline="image-to-text", plain=self._plain)

    @property
    def _plain(self) -> str:
        return (
            "from PIL import Image\n"
            "from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer\n"
            "kinds = (AutoImageProcessor, AutoTokenizer, AutoModelForImageTextToText)\n"
            'processor, tokenizer, model = (one.from_pretrained("{folder}") for one in kinds)\n'
            'image = processor(Image.open("a-picture.jpg").convert("RGB"), return_tensors="pt")\n'
            f"made = model.generate(**image, max_new_tokens={self.max_new_tokens}, num_beams=1, do_sample=False)\n"
            "print(tokenizer.decode(made[0], skip_special_tokens=True))"
        )

    @property
    def judge(self) -> TextJudge:
        """Of likelihood and overlap."""
        return TextJudge(self.characters)


def _texts(facts: Mapping[str, Any]) -> Texts:
    return Texts(facts["template"], facts["max_new_tokens"], facts["characters"], facts.get("languages", {}))


def _captions(facts: Mapping[str, Any]) -> Captions:
    return Captions(facts["max_new_tokens"], facts["characters"])


RESTORED: Mapping[str, Callable[[Mapping[str, Any]], Texts | Captions]] = {"texts": _texts, "captions": _captions}
"""What makes a target again, by its kind."""
