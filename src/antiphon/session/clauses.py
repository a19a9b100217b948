"""Cuts a model's text into the clauses that a voice says one after the other, as early as each can be said.

The rules, in order:

1. A clause ends after a stop (. ! ? … and their sisters in other scripts), with the quotes, brackets and white space
that follow it. Not
   after an abbreviation, an initial, or the number of a list item, nor inside a number, a URL, a file name or an
   e-mail address.
2. The first clause may also end at a comma, semicolon, colon or dash, once it has a few words, so that the voice
begins early.
   A short opener that is a sentence ("Yes.", "Sure!") is a clause of its own and is never held.
3. A new line ends a clause.
4. A clause that grows too long is cut at its best inner border.
5. Text that has waited too long without a border is cut at the last word.
6. Nothing is cut between the fences of a code block.

The clauses joined are the text fed, to the character; white space belongs to the clause that it follows. Whether a
stop at the very end of the text fed is one is decided at once where it can be, and otherwise with the next
character. It does not know what a clause sounds like, nor the clock: time comes with the text.
"""

from __future__ import annotations

import re

from antiphon.audio.units import Seconds

PATIENCE_S: Seconds = 0.7  # a model that pauses for longer in mid-sentence is waited for no more
FIRST_COMMA = 10  # letters before the first clause may end at a comma: two or three words
LONGEST = 240  # letters: some 16 s of speech
SHORTEST_ALONE = 12  # letters of a waiting rest that is worth saying before the rest is there

STOPS = ".!?…。！？؟।॥｡"
WIDE_STOPS = "。！？｡"
"""Stops that no white space follows."""
SOFT = ",;:—–，、；："
CLOSERS = "\"'”’»›)]}」』】）*_"
FENCE = "```"

ABBREVIATIONS = {
    "en": "mr mrs ms dr prof st vs etc inc ltd co corp no vol fig approx dept est jr sr gen col sgt lt capt rev hon "
    "mt ft jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri sat sun e.g i.e a.m p.m u.s u.k",
    "de": "z.b d.h u.a usw bzw ca dr prof hr fr nr str abs evtl ggf inkl max min mio mrd",
    "fr": "m mm mme mlle dr pr st ste av bd p.ex etc env",
    "es": "sr sra srta dr dra ud uds pág núm av etc p.ej",
}
"""Words after which a stop ends nothing, by language, without their last stop."""

_NEVER_LAST = {
    "e.g",
    "i.e",
    "mr",
    "mrs",
    "ms",
    "dr",
    "prof",
    "vs",
    "no",
    "vol",
    "fig",
    "z.b",
    "d.h",
    "u.a",
    "st",
    "mt",
    "gen",
}
"""Of those, the ones that cannot end a sentence either: the others may, if a capital follows."""

_LAST_WORD = re.compile(r"[\w.]*$")
_LIST_NUMBER = re.compile(r"(?:^|\n)\s*\d{1,3}$")


class ClauseSplitter:
    """See the module. `feed` takes deltas of any size; the work is linear in the text's length."""

    def __init__(self, language: str | None = None) -> None:
        """Without a language, or with one that there are no words for, English abbreviations are known."""
        words = ABBREVIATIONS.get((language or "en").partition("-")[0], ABBREVIATIONS["en"])
        self._abbreviations = frozenset(words.split())
        self._held = ""
        self._looked = 0
        self._is_first = True
        self._in_code = False
        self._since: Seconds | None = None

    @property
    def deadline(self) -> Seconds | None:
        """When `handle_timeout` would release something, or None."""
        if self._since is None or self._in_code or len(self._held.strip()) < SHORTEST_ALONE:
            return None
        return self._since + PATIENCE_S

    def feed(self, text: str, now: Seconds) -> list[str]:
        """Take in more text; the clauses that are complete now."""
        self._held += text
        clauses = self._cut(is_end=False)
        if clauses or self._since is None:
            self._since = now
        return clauses

    def handle_timeout(self, now: Seconds) -> list[str]:
        """Release what has waited too long, up to its last whole word."""
        if self.deadline is None or now < self.deadline:
            return []
        self._since = now
        border = max(self._held.rstrip().rfind(" "), self._held.rfind("\n"))
        if border < SHORTEST_ALONE // 2:
            return []
        return [self._release(border + 1)]

    def finish(self) -> list[str]:
        """The text is whole: everything that is left."""
        clauses = self._cut(is_end=True)
        if self._held:
            rest = self._release(len(self._held))
            if rest.strip() or not clauses:
                clauses.append(rest)
            else:
                clauses[-1] += rest
        self._since = None
        return [clause for clause in clauses if clause]

    def _cut(self, *, is_end: bool) -> list[str]:
        clauses: list[str] = []
        while (border := self._border(is_end=is_end)) is not None:
            if not self._held[:border].strip():
                self._looked = border  # white space alone is no clause: it goes with the next one
                continue
            clauses.append(self._release(border))
        return clauses

    def _release(self, border: int) -> str:
        clause, self._held = self._held[:border], self._held[border:]
        self._looked = 0
        self._is_first = self._is_first and not clause.strip()
        return clause

    def _border(self, *, is_end: bool) -> int | None:
        """Where the first clause of the held text ends, if that is certain."""
        text = self._held
        place = self._looked
        while place < len(text):
            if text.startswith("`", place):
                after = self._fence(place, is_end=is_end)
                if after is None:
                    return None
                if after > place:
                    place = self._looked = after
                    continue
            found = None if self._in_code else self._border_at(place, is_end=is_end)
            if found == -1:  # not certain yet: look again from here
                self._looked = place
                return None
            if found is not None:
                return found
            place += 1
            self._looked = place
        if not self._in_code and len(text) > LONGEST:
            return self._inner_border()
        return None

    def _fence(self, place: int, *, is_end: bool) -> int | None:
        """Behind the fence that begins here; `place` if none does; None if that is not certain yet."""
        if self._held.startswith(FENCE, place):
            self._in_code = not self._in_code
            return place + len(FENCE)
        if not is_end and FENCE.startswith(self._held[place:]):
            self._looked = place
            return None
        return place

    def _border_at(self, place: int, *, is_end: bool) -> int | None:
        """The end of the clause whose stop stands here; -1 if the next character must tell; None if there is none."""
        text = self._held
        character = text[place]
        if character == "\n":
            return place + 1
        if character in STOPS:
            return self._after_stop(place, is_end=is_end)
        if character in SOFT and self._is_first and len(text[:place].strip()) >= FIRST_COMMA:
            return self._after_soft(place, is_end=is_end)
        return None

    def _after_stop(self, place: int, *, is_end: bool) -> int | None:
        text = self._held
        end = place + 1
        while end < len(text) and text[end] in STOPS:
            end += 1
        while end < len(text) and text[end] in CLOSERS:
            end += 1
        is_wide = text[place] in WIDE_STOPS
        if end < len(text):
            if not is_wide and not text[end].isspace():
                return None  # inside a number, a URL, a name
            if text[place] == "." and end == place + 1:
                follows = text[end:].lstrip()[:1]
                if self._is_abbreviation(place, follows or "A"):
                    return None if follows or is_end else -1
                if not follows and not is_end and self._is_abbreviation(place, "a"):
                    return -1
            return self._with_space(end)
        if is_end or is_wide:
            return end
        return end if self._is_certain(place, end) else -1

    def _is_certain(self, place: int, end: int) -> bool:
        """Whether a stop at the very end of what we have ends a clause, whatever comes next."""
        before = self._held[:place]
        word = before.rsplit(maxsplit=1)[-1] if before.strip() else ""
        if end != place + 1 or not word.isalpha() or len(word) < 2:
            return False  # "3." and "p.m." and "example.com/a?" may all go on
        if self._held[place] in "!?":
            return before.count('"') % 2 == 0 and before.count("“") == before.count("”")
        # "Yes." goes out at once; "example." might become a name, and "Dr." is an abbreviation.
        return self._held[place] == "." and word == before.strip() and word.lower() not in self._abbreviations

    def _is_abbreviation(self, place: int, follows: str) -> bool:
        word = _LAST_WORD.search(self._held, max(0, place - 40), place)
        plain = (word.group() if word else "").strip(".")
        if _LIST_NUMBER.search(self._held, max(0, place - 8), place):
            return True
        if plain.lower() in self._abbreviations:
            return plain.lower() in _NEVER_LAST or not follows.isupper()
        # An initial ("J. K. Rowling"), but not "I" or the last letter of a sentence in capitals.
        return len(plain) == 1 and plain.isupper() and plain != "I" and follows.isupper()

    def _after_soft(self, place: int, *, is_end: bool) -> int | None:
        text = self._held
        end = place + 1
        if text[place] in "，、；：":
            return end
        if end >= len(text):
            return end if is_end else -1
        if not text[end].isspace():
            return None  # 1,000 or 5:30 or a dash within a word
        return self._with_space(end)

    def _with_space(self, end: int) -> int:
        """Behind the blanks that follow, and one new line."""
        text = self._held
        while end < len(text) and text[end] in " \t":
            end += 1
        return end + 1 if end < len(text) and text[end] == "\n" else end

    def _inner_border(self) -> int:
        """Where a clause that is too long is cut: at its last comma or the like, else at its last word."""
        text = self._held
        soft = max(text.rfind(f"{mark} ", LONGEST // 3, LONGEST) for mark in SOFT)
        border = soft + 1 if soft > 0 else text.rfind(" ", LONGEST // 3, LONGEST)
        return border + 1 if border > 0 else LONGEST
