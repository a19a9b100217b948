"""What the offline assistant understands, as data: one pattern for the ear and for the eye.

A pattern is written in the recogniser's grammar format (JSGF): [optional], (one | of | these), <slot>. The same
patterns are turned into regular expressions for typed or recognised text, in which a slot takes any words and the
assistant then says whether they fit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from antiphon.engines.llm.assistant import numbers

ITEMS = (
    "milk | bread | butter | cheese | eggs | apples | bananas | oranges | tomatoes | potatoes | onions | carrots | "
    "rice | pasta | flour | sugar | salt | pepper | coffee | tea | water | juice | beer | wine | chicken | fish | "
    "ham | yogurt | chocolate | cookies | soap | shampoo | toothpaste | batteries | candles | napkins"
)
DIMENSIONS = (
    ("miles", "kilometers", "meters", "feet", "inches", "centimeters"),
    ("pounds", "kilograms", "ounces", "grams"),
    ("gallons", "liters", "cups", "milliliters"),
    ("fahrenheit", "celsius"),
)
"""Units that can be converted into one another: nobody asks for miles in liters, or in miles, so nobody is heard to."""


def _pairs(between: str) -> str:
    """Each unit, what stands `between`, and the other units of its dimension."""
    return " | ".join(
        f"{'[degrees] ' if unit in DIMENSIONS[-1] else ''}{unit} {between} ({' | '.join(_others(units, unit))})"
        for units in DIMENSIONS
        for unit in units
    )


def _others(units: tuple[str, ...], unit: str) -> list[str]:
    return [other for other in units if other != unit]


SLOTS: Mapping[str, str] = {
    "item": ITEMS,
    "span": "one (second | minute | hour) | <few> (seconds | minutes | hours)",
    "timed": "<few> (second | minute | hour)",
    "operator": "plus | minus | times | divided by",
}
KINDS: Mapping[str, str] = {"whole": "number", "timed": "span"}
"""Slots that only the ear tells apart, and what they are called in text."""


class Intent(Struct, frozen=True):
    """Something that can be asked for."""

    name: str
    patterns: tuple[str, ...]
    example: str
    """As the help says it."""
    typed: tuple[str, ...] = ()
    """Patterns that are understood in text and not listened for: rarely said, or so short that anything would sound
    like them."""
    heard: tuple[str, ...] = ()
    """Patterns that are listened for, narrower than those that understand them: what nobody would say is not heard."""


INTENTS = (
    Intent("time", ("what time is it [now]", "what is the time", "tell me the time"), "what time is it"),
    Intent(
        "date",
        (
            "what (day | date) is (it | today)",
            "what is the date [today]",
            "what is today's date",
        ),
        "what day is it",
    ),
    Intent("tomorrow", ("what day is tomorrow", "what is tomorrow's date"), "what day is tomorrow"),
    Intent(
        "calculate",
        ("(what is | what's | how much is | calculate) <number> <operator> <number>",),
        "what is twelve times seven",
        ("<number> <operator> <number>",),
    ),
    Intent(
        "percent", ("(what is | what's | how much is) <number> percent of <number>",), "what is ten percent of fifty"
    ),
    Intent(
        "convert",
        (),
        "convert ten miles to kilometers",
        typed=(
            "[convert | what is | what's | how much is] <number> <unit> (to | in | into) <unit>",
            "how many <unit> are [in] <number> <unit>",
        ),
        heard=(
            f"convert <number> ({_pairs('(to | into)')})",
            f"(what is | how much is) <number> ({_pairs('in')})",
            f"how many ({_pairs('are <whole>')})",
        ),
    ),
    Intent(
        "set_timer",
        ("(set | start) a timer for <span>", "set a <timed> timer", "wake me in <span>"),
        "set a timer for five minutes",
    ),
    Intent("list_timers", ("how much time is left", "how long is left [on (my | the) timer]"), "how much time is left"),
    Intent("cancel_timer", ("(cancel | stop) (the | my) (timer | timers)",), "cancel the timer"),
    Intent(
        "list_add",
        ("add <item> to (my | the) [shopping] list", "put <item> on (my | the) [shopping] list"),
        "add milk to my list",
        ("(add | put) <item> (to | on) (my | the) [shopping] list",),
    ),
    Intent(
        "list_remove",
        (
            "(remove | delete) <item> from (my | the) [shopping] list",
            "take <item> (off | from) (my | the) [shopping] list",
        ),
        "remove milk from my list",
        ("(remove | take | delete) <item> (from | off) (my | the) [shopping] list",),
    ),
    Intent(
        "list_show",
        ("what is on (my | the) [shopping] list", "what's on (my | the) list", "read (me the | my) list"),
        "what is on my list",
    ),
    Intent("list_clear", ("(clear | empty) (my | the) [shopping] list",), "clear my list"),
    Intent("repeat", ("(say that | repeat that) again", "repeat that", "what did you say"), "say that again"),
    Intent("help", ("what can you do", "help [me]", "what can i (say | ask)"), "what can you do"),
    Intent("greeting", ("hello [there]", "good (morning | afternoon | evening)", "how are you"), "hello"),
    Intent("thanks", ("(thank you | thanks) [very much]",), "thank you"),
    Intent("goodbye", ("goodbye", "good night", "see you later"), "goodbye"),
)

ANSWERS = (
    "yes [please]", "yes do (it | that)", "yeah", "yep", "sure", "okay [do it]", "go ahead",
    "no [thanks | thank you | don't | stop]", "nope", "don't", "never mind", "stop", "cancel",
)  # fmt: skip
"""What is listened for besides when the person was asked whether something may be done. `session.consent` knows what
each of them means."""


def grammar_of_answers() -> str:
    """The recogniser's grammar of a yes and a no."""
    sentences = " | ".join(f"({pattern})" for pattern in ANSWERS)
    return f"#JSGF V1.0;\ngrammar answers;\npublic <answer> = {sentences};\n"


class Understood(Struct, frozen=True):
    """An intent with the words that fill its slots, in the order of the pattern: ("number", "twelve")."""

    intent: str
    slots: tuple[tuple[str, str], ...] = ()

    def all(self, name: str) -> list[str]:
        return [words for slot, words in self.slots if slot == name]


def grammar() -> str:
    """The recogniser's grammar: every sentence that an intent has, and the numbers and lists they are made of."""
    rules = [f"<{name}> = {body};" for name, body in SLOTS.items()]
    sentences = " | ".join(f"({pattern})" for intent in INTENTS for pattern in intent.patterns + intent.heard)
    return (
        f"#JSGF V1.0;\ngrammar antiphon;\n{numbers.GRAMMAR}\n"
        + "\n".join(rules)
        + f"\npublic <request> = {sentences};\n"
    )


def understand(text: str) -> Understood | None:
    """The intent that these words are, or None."""
    plain = normal(text)
    for name, expression, slots in _EXPRESSIONS:
        match = expression.fullmatch(plain)
        if match:
            filled = zip(slots, match.groups(), strict=True)
            return Understood(name, tuple((slot, words.strip()) for slot, words in filled if words is not None))
    return None


def normal(text: str) -> str:
    """Small letters, no punctuation but in numbers, signs as words, and no politeness."""
    text = text.lower().replace("’", "'").replace("×", " times ").replace("÷", " divided by ").replace("%", " percent ")
    text = re.sub(r"(?<=\d)\s*([*x])\s*(?=\d)", " times ", text)
    text = re.sub(r"(?<=\d)\s*\+\s*(?=\d)", " plus ", text)
    text = re.sub(r"(?<=\d)\s*/\s*(?=\d)", " divided by ", text)
    text = re.sub(r"(?<=\d)\s+-\s+(?=\d)", " minus ", text)
    text = re.sub(r"(?<=\d)(?=[a-z])", " ", text)
    text = re.sub(r"[^\w\s.'-]|\.(?!\d)", " ", text)
    text = re.sub(r"\b(please|hey|okay|ok|could you|can you(?! do)|would you|antiphon)\b", " ", text)
    return " ".join(text.split())


def _expression(pattern: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """A pattern as a regular expression: one group for each slot."""
    slots: list[str] = []
    out: list[str] = []
    for token in re.findall(r"<\w+>|[\[\]()|]|[^\s\[\]()|<>]+", pattern):
        if token == "[":
            out.append("(?:")
        elif token == "]":
            out.append(")?")
        elif token == "(":
            out.append("(?:")
        elif token in ")|":
            out.append(token)
        elif token.startswith("<"):
            kind = KINDS.get(token[1:-1], token[1:-1])
            slots.append(kind)
            out.append(f"({_slot(kind)})")
        else:
            out.append(re.escape(token) + " ")
    return re.compile("".join(out)), tuple(slots)


def _slot(name: str) -> str:
    if name == "operator":
        return "plus |minus |times |multiplied by |divided by |over "
    if name == "unit":
        return r"(?:degrees? )?\w+ "
    return r"(?:[\w.'-]+ ){1,8}?"


class _Spaced:
    """Patterns end each word with a blank; so must the text."""

    def __init__(self, expression: re.Pattern[str]) -> None:
        self._expression = expression

    def fullmatch(self, text: str) -> re.Match[str] | None:
        return self._expression.fullmatch(text + " ")


_EXPRESSIONS = [
    (intent.name, _Spaced(expression), slots)
    for intent in INTENTS
    for pattern in (*intent.patterns, *intent.typed)
    for expression, slots in [_expression(pattern)]
]
