"""Codes of languages and their English names, as the recognisers and OpenAI's clients write them.

It knows names only, not who understands which.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_PAIRS = (
    "en english zh chinese de german es spanish ru russian ko korean fr french ja japanese pt portuguese tr "
    "turkish pl polish ca catalan nl dutch ar arabic sv swedish it italian id indonesian hi hindi fi finnish "
    "vi vietnamese he hebrew uk ukrainian el greek ms malay cs czech ro romanian da danish hu hungarian ta "
    "tamil no norwegian th thai ur urdu hr croatian bg bulgarian lt lithuanian la latin mi maori ml malayalam "
    "cy welsh sk slovak te telugu fa persian lv latvian bn bengali sr serbian az azerbaijani sl slovenian kn "
    "kannada et estonian mk macedonian br breton eu basque is icelandic hy armenian ne nepali mn mongolian bs "
    "bosnian kk kazakh sq albanian sw swahili gl galician mr marathi pa punjabi si sinhala km khmer sn shona "
    "yo yoruba so somali af afrikaans oc occitan ka georgian be belarusian tg tajik sd sindhi gu gujarati am "
    "amharic yi yiddish lo lao uz uzbek fo faroese ht haitian ps pashto tk turkmen nn nynorsk mt maltese sa "
    "sanskrit lb luxembourgish my myanmar bo tibetan tl tagalog mg malagasy as assamese tt tatar haw hawaiian "
    "ln lingala ha hausa ba bashkir jw javanese su sundanese yue cantonese "
)

NAMES: Mapping[str, str] = dict(re.findall(r"(\w+) (\w+)", _PAIRS))
CODES: Mapping[str, str] = {name: code for code, name in NAMES.items()}


def code_of(text: str) -> str | None:
    """The code of a language by its code, with or without a region, or its English name; None if it is neither."""
    text = text.strip().casefold()
    if text in CODES:
        return CODES[text]
    main = text.replace("_", "-").partition("-")[0]
    return main if main.isascii() and main.isalpha() and 2 <= len(main) <= 3 else None


def name_of(code: str | None) -> str:
    """The English name in small letters; the code itself where we know none."""
    main = (code or "").partition("-")[0].lower()
    return NAMES.get(main, main or "unknown")
