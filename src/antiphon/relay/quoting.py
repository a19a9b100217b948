"""Another server's words, as they may be shown and logged here."""

from __future__ import annotations

import re

QUOTED = 300  # characters of another server's complaint
KEY = re.compile(r"\b(sk|ek|pk|key)[-_][\w*.-]{6,}")


def quoted(words: str) -> str:
    """Another server's words, on one line and without keys, which some quote."""
    plain = " ".join("".join(char if char.isprintable() else " " for char in words[: 4 * QUOTED]).split())
    return KEY.sub(r"\1-***", plain)[:QUOTED]
