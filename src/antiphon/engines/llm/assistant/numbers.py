"""English numbers, spoken and written."""

from __future__ import annotations

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
<whole> = zero | <small> | (<digit> | a) hundred [[and] <small>];
<number> = <whole> [point (zero | <digit>)];
"""
"""JSGF rules for the numbers that the recogniser listens for: 0 to 999, with one decimal."""


def number_from(text: str) -> float | None:
    """The number that these words or digits are, or None: "twenty one", "a hundred and five", "two point five"."""
    words = text.replace("-", " ").replace(",", "").split()
    if not words:
        return None
    if len(words) == 1:
        try:
            value = float(words[0])
        except ValueError:
            pass
        else:
            return value if abs(value) < 1e12 else None
    before, _, after = " ".join(words).partition(" point ")
    whole = _whole(before.split())
    if whole is None or not after:
        return whole
    digits = [VALUES.get(word, -1) for word in after.split()]
    if any(not 0 <= digit <= 9 for digit in digits):
        return None
    return whole + sum(float(digit / 10 ** (place + 1)) for place, digit in enumerate(digits))


def _whole(words: list[str]) -> float | None:
    total = part = 0
    seen = False
    for word in words:
        if word == "and" and seen:
            continue
        if word in ("a", "an") and not seen:
            part = 1
        elif word in VALUES:
            part += VALUES[word]
        elif word.isdigit():
            part += int(word)
        elif word == "hundred":
            part = max(1, part) * 100
        elif word in SCALES:
            total, part = total + max(1, part) * SCALES[word], 0
        else:
            return None
        seen = True
    return float(total + part) if seen else None


def as_text(value: float) -> str:
    """A number as a voice reads it well: at most two decimals, none that are zero."""
    return f"{round(value, 2):,.10g}".replace(",", "") if abs(value) < 1e15 else f"{value:.3g}"
