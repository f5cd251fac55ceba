"""The languages that the texts are written in, by py3langid (Barbaresi; after Lui and Baldwin 2012, langid.py).

It is 4.5 MB, needs numpy only and always answers the same; lingua-language-detector takes 96 MB, and langdetect draws at random.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import datasets
import numpy as np

from luthier import extras
from luthier.data import media
from luthier.data.found import Found
from luthier.errors import ExtraError

LOOKED_AT = 1000
"""Rows whose language is told, evenly spread."""

READ = 1000
"""Characters of a text that are looked at."""

SURE = 0.5
"""Probability of the likeliest language from which on it counts. On 1,000 rows each of SST-2, English SMS, and Chinese hotel reviews,
news titles and SMS it leaves out 40, 94, 0, 1 and 0 rows, and one of all others is told wrongly."""

NAMED = 0.01
"""Share of the rows that a language needs to be named."""

# fmt: off
NAMES: Mapping[str, str] = {
    "af": "Afrikaans", "am": "Amharic", "an": "Aragonese", "ar": "Arabic", "as": "Assamese", "az": "Azerbaijani",
    "ba": "Bashkir", "be": "Belarusian", "bg": "Bulgarian", "bn": "Bengali", "br": "Breton", "bs": "Bosnian",
    "ca": "Catalan", "cs": "Czech", "cy": "Welsh", "da": "Danish", "de": "German", "dz": "Dzongkha", "el": "Greek",
    "en": "English", "eo": "Esperanto", "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian",
    "fi": "Finnish", "fo": "Faroese", "fr": "French", "fy": "Western Frisian", "ga": "Irish", "gd": "Scottish Gaelic",
    "gl": "Galician", "gu": "Gujarati", "ha": "Hausa", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian",
    "ht": "Haitian Creole", "hu": "Hungarian", "hy": "Armenian", "id": "Indonesian", "ig": "Igbo", "is": "Icelandic",
    "it": "Italian", "ja": "Japanese", "jv": "Javanese", "ka": "Georgian", "kk": "Kazakh", "km": "Khmer",
    "kn": "Kannada", "ko": "Korean", "ku": "Kurdish", "ky": "Kyrgyz", "la": "Latin", "lb": "Luxembourgish",
    "lg": "Ganda", "ln": "Lingala", "lo": "Lao", "lt": "Lithuanian", "lv": "Latvian", "mg": "Malagasy",
    "mk": "Macedonian", "ml": "Malayalam", "mn": "Mongolian", "mr": "Marathi", "ms": "Malay", "mt": "Maltese",
    "my": "Burmese", "ne": "Nepali", "nl": "Dutch", "nn": "Norwegian Nynorsk", "no": "Norwegian", "oc": "Occitan",
    "om": "Oromo", "or": "Odia", "pa": "Punjabi", "pl": "Polish", "ps": "Pashto", "pt": "Portuguese", "qu": "Quechua",
    "ro": "Romanian", "ru": "Russian", "rw": "Kinyarwanda", "sa": "Sanskrit", "se": "Northern Sami", "si": "Sinhala",
    "sk": "Slovak", "sl": "Slovenian", "sn": "Shona", "so": "Somali", "sq": "Albanian", "sr": "Serbian",
    "st": "Southern Sotho", "sv": "Swedish", "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "tg": "Tajik",
    "th": "Thai", "tk": "Turkmen", "tl": "Tagalog", "tr": "Turkish", "tt": "Tatar", "ug": "Uyghur", "uk": "Ukrainian",
    "ur": "Urdu", "uz": "Uzbek", "vi": "Vietnamese", "vo": "Volapük", "wa": "Walloon", "xh": "Xhosa", "yo": "Yoruba",
    "zh": "Chinese", "zu": "Zulu",
}
# fmt: on
"""Languages that are told apart, by their code in ISO 639-1. Varieties that it has no code for are left out: py3langid takes a fifth
of Chinese news titles for Wu, which is hardly ever written."""


def find(rows: datasets.Dataset, found: Found) -> dict[str, Any]:
    """For data.json: languages with the numbers of rows, most frequent first, or a note why nobody has looked.

    Args:
        rows: of training.
        found: its columns.

    Returns:
        `{looked_at, languages: {code: rows}, unclear}`, `{note}` where the package is missing, or nothing where rows have no text.
    """
    if found.medium in media.MEDIA or not len(rows):
        return {}
    places = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), LOOKED_AT)).astype(np.int64))
    texts = [text for text in rows.select(places)[found.said] if text]
    try:
        told = Counter(_language(text[:READ]) for text in texts)
    except ExtraError as missing:
        return {"note": f"Languages were not looked for. {missing}"}
    unclear = told.pop("", 0)
    return {"looked_at": len(texts), "languages": dict(told.most_common()), "unclear": unclear}


def shares(facts: Mapping[str, Any]) -> dict[str, float]:
    """The languages by name with their shares of the rows whose language is clear, those below `NAMED` left out."""
    counts = facts.get("languages", {})
    total = sum(counts.values())
    return {NAMES[code]: rows / total for code, rows in counts.items() if rows >= NAMED * total}


def sentence(facts: Mapping[str, Any]) -> str:
    """What `find` found, in words; empty where it found nothing."""
    spoken = shares(facts)
    if not spoken:
        return ""
    (first, share), *others = spoken.items()
    told = ", ".join([f"{share:.0%} of the rows are {first}", *(f"{share:.0%} {name}" for name, share in others)])
    are = "is" if facts["unclear"] == 1 else "are"
    unclear = f"{facts['unclear']:,} of the {facts['looked_at']:,} training rows looked at {are} too short or too mixed to tell."
    return f"{told}. {unclear}" if facts["unclear"] else f"{told}."


def of(texts: Iterable[str | None]) -> list[str | None]:
    """The language of each text by name; None where it is not clear, or there is no text."""
    codes = [_language(text[:READ]) if text else "" for text in texts]
    return [NAMES[code] if code else None for code in codes]


def _language(text: str) -> str:
    """The code of a text's language; empty where it is not clear."""
    code, probability = _identifier().classify(text)
    return str(code) if probability >= SURE else ""


@cache
def _identifier() -> Any:
    langid = extras.need("py3langid", extra="clean").langid
    made = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
    made.set_languages(set(NAMES) & set(made.labels))
    return made
