"""Whether what somebody said is a yes or a no, for those who were asked whether something may be done.

It does not know what was asked. Doubt is neither. The session never calls it: whoever brings words brings what they
mean, so that a trace replays with its words crossed out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

LONGEST_LOOK = 400  # characters: an essay is no answer, and is not read for one
LONGEST_YES = 8  # words: whoever says more than yes is answered by the model, not taken at one word

YES: Mapping[str, frozenset[str]] = {
    "en": frozenset(
        {"yes", "yeah", "yep", "sure", "okay", "ok", "absolutely", "definitely", "confirmed", "confirm"}
        | {"go ahead", "please do", "of course"}
    ),
    "de": frozenset(
        {"ja", "jawohl", "gerne", "klar", "okay", "ok", "sicher", "genau", "bestätigt", "natürlich", "mach das"}
    ),
    "fr": frozenset({"oui", "ouais", "okay", "ok", "d'accord", "vas-y", "volontiers", "confirmé", "bien sûr"}),
    "es": frozenset({"sí", "si", "claro", "vale", "okay", "ok", "adelante", "confirmo", "por supuesto"}),
    "it": frozenset({"sì", "si", "certo", "okay", "ok", "confermo"}),
    "pt": frozenset({"sim", "claro", "okay", "ok", "confirmo"}),
    "nl": frozenset({"ja", "jazeker", "zeker", "okay", "oké", "ok", "graag", "bevestigd"}),
}
NO: Mapping[str, frozenset[str]] = {
    "en": frozenset({"no", "nope", "not", "never", "don't", "dont", "stop", "cancel", "wait", "nevermind"}),
    "de": frozenset({"nein", "nee", "nicht", "nie", "stopp", "stop", "halt", "abbrechen", "warte"}),
    "fr": frozenset({"non", "pas", "jamais", "stop", "arrête", "annule", "attends"}),
    "es": frozenset({"no", "nunca", "para", "cancela", "espera"}),
    "it": frozenset({"no", "non", "mai", "ferma", "annulla", "aspetta"}),
    "pt": frozenset({"não", "nao", "nunca", "para", "cancela", "espera"}),
    "nl": frozenset({"nee", "niet", "nooit", "stop", "annuleer", "wacht"}),
}


def consent_in(words: str, language: str | None) -> bool | None:
    """Whether somebody who was asked has said yes or no; None if neither is clear. No wins over yes. Where the language
    is not known, or not known here, a word of any of these counts, and again no wins."""
    code = (language or "").partition("-")[0].lower()
    said = re.findall(r"[\w'-]+", words[:LONGEST_LOOK].casefold().replace("’", "'"))
    yes, no = (_known(table, code) for table in (YES, NO))
    if _is_among(said, no):
        return False
    if _is_among(said, yes) and len(said) <= LONGEST_YES:
        return True
    return None


def _is_among(said: list[str], entries: frozenset[str]) -> bool:
    text = f" {' '.join(said)} "
    return any(f" {entry} " in text for entry in entries)


def _known(table: Mapping[str, frozenset[str]], code: str) -> frozenset[str]:
    return table[code] if code in table else frozenset().union(*table.values())
