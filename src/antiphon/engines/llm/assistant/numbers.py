"""English numbers, spoken and written."""

from __future__ import annotations

import re

UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split()  # noqa: SIM905
UNITS += ["sixteen", "seventeen", "eighteen", "nineteen"]
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
VALUES = {word: value for value, word in enumerate(UNITS)} | {
    word: 10 * place for place, word in enumerate(TENS) if word
}
SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}

GRAMMAR = f"""
<digit> = {" | ".join(UNITS[1:10])};
<teen> = {" | ".join(UNITS[10:])};
<tens> = {" | ".join(TENS[2:])};
<small> = <digit> | <teen> | <tens> [<digit>];
<few> = <small>;
<whole> = zero | <small> | (<digit> | a) hundred [[and] <small>];
<number> = <whole> [point (zero | <digit>)];
"""
"""JSGF rules for the numbers that the recogniser listens for: 0 to 999, with one decimal; `few` is 1 to 99."""


def number_from(text: str) -> float | None:
    """The number that these words or digits are, or None: "twenty one", "a hundred and five", "minus two"."""
    words = re.sub(r"(?<=[a-z])-(?=[a-z])", " ", text).replace(",", "").split()
    if words[:1] == ["minus"]:
        value = number_from(" ".join(words[1:]))
        return None if value is None else -value
    if len(words) == 1 and re.fullmatch(r"-?\d{1,12}(\.\d{1,12})?|\.\d{1,12}", words[0]):
        return float(words[0])
    if "point" not in words:
        return _whole(words)
    place = words.index("point")
    whole = _whole(words[:place]) if place else 0.0
    digits = [VALUES.get(word, 10) for word in words[place + 1 :]]
    if whole is None or not digits or max(digits) > 9:
        return None
    return float(f"{whole:.0f}.{''.join(map(str, digits))}")


def _whole(words: list[str]) -> float | None:
    """Words of a whole number, each of which must be smaller than the place that the one before it left open."""
    total = part = 0
    room = 1000  # what comes next has to be below it
    is_open = False  # whether a number has begun
    for word in words:
        if word == "and" and is_open:
            continue
        if word in ("a", "an") and not is_open:
            part, room = 1, 1
        elif word in SCALES and is_open and part:
            scale = SCALES[word]
            if scale == 100 and part > 9:
                return None
            part *= scale
            if scale == 100:
                room = 100
            else:
                total, part, room = total + part, 0, 1000
        else:
            value = int(word) if word.isascii() and word.isdigit() and len(word) < 10 else VALUES.get(word)
            if value is None or value >= room:
                return None
            part += value
            room = 10 if word in TENS else 1
        is_open = True
    return float(total + part) if is_open and words[-1] != "and" else None


def as_text(value: float) -> str:
    """A number as a voice reads it well: at most two decimals, none that are zero."""
    return f"{round(value, 2):,.10g}".replace(",", "") if abs(value) < 1e15 else f"{value:.3g}"
