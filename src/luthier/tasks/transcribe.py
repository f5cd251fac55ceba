"""Writing down what is said: speech recognition by models with an encoder and a decoder, such as Whisper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from luthier.errors import DataError
from luthier.evaluate.transcripts import TranscriptJudge
from luthier.tasks import About, Labels, Task
from luthier.tasks.written import Written, by_characters


class Transcribe(Task):
    """Write down what is said in a recording."""

    name: ClassVar[str] = "transcribe"
    labels: ClassVar[Labels] = "transcripts"

    language: str | None = None
    """What is spoken and written, for a model of several languages, as Whisper names them: `english`, `zh`."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 128
    """Tokens that are written at most, in scoring and prediction."""

    def refuse(self, medium: str) -> None:
        """Only recordings have something said in them.

        Raises:
            DataError: the rows are something else.
        """
        if medium != "audio":
            raise DataError(f"Task transcribe reads recordings, and these rows are of {medium}.")

    def learn(self, values: Sequence[Any]) -> Transcripts:
        """Learn from the training rows whether their script has spaces between words."""
        return Transcripts(self.language, self.max_new_tokens, by_characters(values))

    def restore(self, facts: Mapping[str, Any]) -> Transcripts:
        """Make the target of an earlier run again."""
        return Transcripts(facts["language"], facts["max_new_tokens"], facts["characters"])


class Transcripts(Written):
    """What is said in recordings.

    Args:
        language: see `Transcribe.language`.
        max_new_tokens: see `Transcribe.max_new_tokens`.
        characters: whether it is in a script without spaces between words.
    """

    reads: ClassVar[str] = "speech"

    def __init__(self, language: str | None, max_new_tokens: int, characters: bool) -> None:
        self.languages = {} if language is None else {"language": language}
        self.max_new_tokens = max_new_tokens
        self.characters = characters

    @property
    def facts(self) -> dict[str, Any]:
        """The settings, and the script."""
        return {
            "kind": "transcripts",
            "language": self.languages.get("language"),
            "max_new_tokens": self.max_new_tokens,
            "characters": self.characters,
        }

    @property
    def about(self) -> About:
        """How to ask it with plain transformers."""
        spoken = {"language": self.languages["language"], "task": "transcribe"} if self.languages else {}
        return About(
            kind="what is said",
            answer="what is said in a recording",
            pipeline="automatic-speech-recognition",
            reading='{call}["text"]',
            options={"generate_kwargs": {"max_new_tokens": self.max_new_tokens, **spoken}},
        )

    @property
    def judge(self) -> TranscriptJudge:
        """Of likelihood and errors."""
        return TranscriptJudge(self.characters)
