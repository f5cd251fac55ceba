"""Sound for an encoder, and what is said in it for a decoder."""

from __future__ import annotations

from typing import ClassVar

from luthier.modalities.audio import Audio
from luthier.modalities.perceived import Perceived


class Speech(Perceived):
    """Rows of a recording and what is said in it; a length counts positions of the recording.

    `options` say the language.
    """

    unit = Audio.unit
    together = Audio.together
    kind: ClassVar[str] = "speech"
    perceived: Audio
