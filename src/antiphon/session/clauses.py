"""Cuts a model's text into the clauses that a voice says one after the other, as early as each can be said.

It does not know what a clause sounds like, how long a voice takes to begin, or the clock: time comes with the text.

The clauses joined are the text fed, to the character. White space belongs to the clause before it, unless that one had
already gone; then it begins the next. The rules, in order:

1. A code block between ``` fences is a unit of its own: what stands before it goes out, and nothing in it is a stop.
   Nor is anything within `inline code`, and a row of a table ends with its line.
2. A new line ends a clause.
3. A stop (. ! ? … and their sisters in other scripts) ends one, with the quotes, brackets and white space behind it.
   Not inside a number, an address or a name of a file; not behind the number of a list item, a title ("Dr.") or an
   initial; not behind a quotation, if the sentence goes on ("Stop!" he said); and behind what may end a sentence or
   not ("p.m.", "Inc.", "U.S.") only if the next word begins one.
4. While the voice has nothing left to say, which is so at first and after a pause of the model, a comma, semicolon,
   colon or dash ends a clause too, once it has a few words.
5. A clause that grows too long is cut at its best inner border: behind a comma or the like, else before a linking word
   ("and", "because"), else at a word. While the voice is silent, too long is sooner.
6. Text that has waited too long is cut in the same way, when `handle_timeout` says so.
7. An opener ("Yes.", "Sure!", "Okay,") is a clause whenever its mark comes, and is neither merged nor held.

Whether a mark at the very end of the text ends a clause is decided at once where nothing that follows could change it:
behind an opener, or for ? and ! behind a word, outside of quotations and brackets; otherwise by the next.
Punctuation alone is never a clause; it begins the next one.
"""

from __future__ import annotations

import re
from enum import Enum

from msgspec import Struct

from antiphon.audio.units import Seconds

PATIENCE_S: Seconds = 0.7  # text that was held for longer, while the voice is silent, goes as it is
VOICE_LEAD_S: Seconds = 0.3  # before the voice runs dry we hurry: what a voice and a wire take
LETTERS_PER_S = 15.0  # of English said aloud

LONGEST = 240  # letters of a clause: 16 s of speech
LONGEST_HURRIED = 64  # while the voice is silent: four seconds of speech, and half a second of a model's writing
LONGEST_WORD = 1_000  # letters without a blank in a script that has them: no word, and held no longer
LONGEST_CODE = 2_000  # letters of a code block in one clause; it is not said, only shown
SHORTEST_HURRIED = 10  # letters before a comma may end a clause: two or three words
SHORTEST_LATE = 12  # letters that are worth saying when time is up

STOPS = ".!?…。．！？｡؟۔।॥።։"
WIDE_STOPS = "。．！？｡"
"""Stops that no white space follows."""
SOFT = ",;:—–-،؛，、；："
WIDE_SOFT = "，、；：—"
CLOSERS = "\"'”’»›)]}」』】）》*_~"
QUOTES = frozenset("\"'”’»›」』")
OPENINGS = "\"'“‘„«‹([{「『【（《*_~¿¡"
PAIRS = ("“”", "„”", "«»", "()", "[]", "「」", "『』", "（）", "【】", "《》")
TWINS = ('"', "**", "__")
"""Marks that open and close alike."""


class Words(Struct, frozen=True):
    """What a language contributes: words in lower case, abbreviations without their last stop."""

    openers: frozenset[str] = frozenset()
    """Words that make up a short opener, alone or together."""
    titles: frozenset[str] = frozenset()
    """Abbreviations that never end a sentence."""
    numbered: frozenset[str] = frozenset()
    """Abbreviations only if a number follows: "No. 5", but "No. I do not."."""
    endings: frozenset[str] = frozenset()
    """Abbreviations that may end a sentence."""
    starters: frozenset[str] = frozenset()
    """Words that, with a capital, begin a sentence behind one of those."""
    links: frozenset[str] = frozenset()
    """Words before which a long clause may be cut."""
    has_ordinals: bool = False
    """Whether "3." is how it writes "third"."""


def _words(*, has_ordinals: bool = False, **lists: str) -> Words:
    return Words(**{name: frozenset(words.split()) for name, words in lists.items()}, has_ordinals=has_ordinals)


LANGUAGES = {
    "en": _words(
        openers="yes yeah yep no nope sure okay ok right alright great good fine thanks thank you hello hi hey of "
        "course got it absolutely certainly definitely exactly indeed done sorry welcome well hmm oh ah perfect "
        "wonderful morning afternoon evening",
        titles="mr mrs ms dr prof rev hon gen col sgt lt capt cmdr gov sen rep pres supt mt e.g i.e cf viz vs approx",
        numbered="no nos vol fig figs p pp sec ch art eq ver para",
        endings="etc inc ltd co corp jr sr a.m p.m am pm u.s u.k u.s.a e.u u.n d.c st ave blvd rd dept est al ph.d b.a "
        "m.a b.c a.d jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun min "
        "max ft oz lb lbs hr hrs",
        starters="the a an this that these those there then he she it they we i you his her its their our my your but "
        "and so if in on at for from to as when while where what who why how is are was were do does did can could "
        "will would should let please however meanwhile after before now next also no yes not all some many most each "
        "every one here once since although because another both finally first just maybe perhaps",
        links="and but or nor so because which that who when while if as than then where after before until unless "
        "although though since",
    ),
    "de": _words(
        openers="ja nein gut klar gerne gern okay ok genau natürlich danke hallo richtig stimmt selbstverständlich "
        "guten tag morgen abend sicher also moment",
        titles="dr prof hr fr dipl ing z.b d.h u.a s.o s.u bzw ca evtl ggf inkl exkl vgl bspw sog",
        numbered="nr abs art kap bd s",
        endings="usw etc str mio mrd jh u.s.w max min std",
        starters="der die das ein eine es er sie wir ich ihr du dies diese dieser dann da aber und so wenn im in am an "
        "für von zu als was wer wie warum wo ist sind war danach außerdem jedoch bitte jetzt heute",
        links="und aber oder sondern denn weil dass welche welcher welches wenn während damit ob als bis obwohl",
        has_ordinals=True,
    ),
    "fr": _words(
        openers="oui non bien sûr d'accord merci bonjour bonsoir salut parfait exactement certainement voilà très "
        "absolument",
        titles="m mm mme mlle dr pr me mgr p.ex c.-à-d cf env",
        numbered="n no art vol p",
        endings="etc st ste av bd",
        starters="le la les un une ce cette ces il elle ils elles on nous je vous tu mais et donc puis si en dans pour "
        "de à quand que qui où est sont ensuite alors maintenant aussi",
        links="et mais ou donc car parce que qui dont quand pendant si comme puis",
    ),
    "es": _words(
        openers="sí no claro bien vale gracias hola perfecto exacto exactamente por supuesto desde luego buenos buenas "
        "días tardes noches",
        titles="sr sra srta dr dra d dña ud uds p.ej",
        numbered="núm nº art vol pág págs p",
        endings="etc av avda ee.uu s.a",
        starters="el la los las un una este esta esto eso él ella ellos nosotros yo tú usted pero y así si en para por "
        "de a cuando que quien donde es son luego después ahora también entonces no",
        links="y e o u pero porque que quien cuando mientras si como donde aunque",
    ),
}
"""Known languages. With none named, all of them together; for one that is not here, punctuation alone."""


class Verdict(Enum):
    """What a mark is, if not the end of a clause."""

    NO_BORDER = "no border"
    TOO_EARLY = "the next characters will tell"


NO_BORDER, TOO_EARLY = Verdict.NO_BORDER, Verdict.TOO_EARLY

_MARK = re.compile(f"\n|`+|[{re.escape(STOPS)}]|[{re.escape(SOFT)}]")
_FENCE = re.compile("`{3,}")
_RUN = re.compile(f"[{re.escape(STOPS)}]+[{re.escape(CLOSERS)}]*")
_SOFT_RUN = re.compile(f"[{re.escape(SOFT)}][{re.escape(CLOSERS)}]*")
_SPACE = re.compile(r"\s*")
_TOKEN = re.compile(r"\S*$")
_NEXT_WORD = re.compile(rf"\s*[{re.escape(OPENINGS)}]*([^\W_]*)")
_LIST_NUMBER = re.compile(r"(?:^|\n)[ \t>*_#-]*(?:\d{1,3}|[a-zA-Z])$")
_ROW = re.compile(r"(?:^|\n)[ \t]*\|[^\n]*$")
_ORDINAL = re.compile(r"\d{1,2}$")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]$")
_WIDE = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
"""Scripts that write without blanks: Thai, Lao, Burmese, Khmer, kana, Han. A letter says about as much as three."""
_PICTURE = re.compile("[\u2600-\u27bf\U0001f000-\U0001faff]")
_INNER_SOFT = re.compile(r"[,;:،؛](?=\s)|(?<=\s)[–-](?=\s)|[—，、；：]")
_BLANKS = re.compile(r"\s+(?=(\w*))")


class ClauseSplitter:
    """See the module. `feed` takes deltas of any size; the work for a text is linear in its length."""

    def __init__(self, language: str | None = None) -> None:
        """`language` is an ISO-639-1 code, with or without a region, or None if it is not known."""
        known = list(LANGUAGES.values())
        if language is not None:
            known = [words for code, words in LANGUAGES.items() if code == language.partition("-")[0].lower()]
        self._openers = frozenset[str]().union(*(words.openers for words in known))
        self._titles = frozenset[str]().union(*(words.titles for words in known))
        self._numbered = frozenset[str]().union(*(words.numbered for words in known))
        self._endings = frozenset[str]().union(*(words.endings for words in known))
        self._starters = frozenset[str]().union(*(words.starters for words in known))
        self._links = frozenset[str]().union(*(words.links for words in known))
        self._has_ordinals = language is not None and any(words.has_ordinals for words in known)
        self._text = ""
        self._start = 0
        """Where the text begins that has not gone out."""
        self._looked = 0
        """Up to where every mark has been judged."""
        self._in_code = False
        self._at_line_start = True
        self._now: Seconds = 0.0
        self._since: Seconds | None = None
        """When the text that is held began to wait."""
        self._dry: Seconds | None = None
        """When the voice will have said what went out, or None if nothing did."""

    @property
    def deadline(self) -> Seconds | None:
        """When `handle_timeout` wants to run, or None. Never before the voice is about to run dry."""
        if self._since is None or self._in_code or len(self._text) < SHORTEST_LATE:
            return None
        patience_ends = self._since + PATIENCE_S
        return patience_ends if self._dry is None else max(patience_ends, self._dry - VOICE_LEAD_S)

    def feed(self, text: str, now: Seconds) -> list[str]:
        """Take in more text; the clauses that are complete now."""
        self._text += text
        self._now = now
        clauses = self._cut(is_whole=False)
        if self._since is None and self._text:
            self._since = now
        return clauses

    def handle_timeout(self, now: Seconds) -> list[str]:
        """Release what has waited too long: up to a mark at its end that is no number's, else up to its best border."""
        if self.deadline is None or now < self.deadline:
            return []
        self._now = self._since = now
        border = self._late_border()
        if border is None or len(self._text[:border].strip()) < SHORTEST_LATE or not _is_said(self._text[:border]):
            return []
        clauses = [self._release(border)]
        self._forget()
        return clauses

    def finish(self) -> list[str]:
        """The text is whole: everything that is left. Ready for another text afterwards."""
        clauses = self._cut(is_whole=True)
        rest = self._text
        if rest and clauses and not _is_said(rest):
            clauses[-1] += rest
        elif rest:
            clauses.append(rest)
        self._text, self._looked, self._since, self._dry = "", 0, None, None
        self._in_code, self._at_line_start = False, True
        return clauses

    # --- cutting

    def _cut(self, *, is_whole: bool) -> list[str]:
        clauses = []
        while (border := self._border(is_whole=is_whole)) is not None:
            clauses.append(self._release(border))
        self._forget()
        return clauses

    def _release(self, border: int) -> str:
        clause = self._text[self._start : border]
        tail = clause[len(clause.rstrip()) :]
        self._at_line_start = "\n" in tail
        self._start = border
        self._looked = max(self._looked, border)
        if not clause.lstrip().startswith("```"):
            begins = self._now if self._dry is None else max(self._now, self._dry)
            self._dry = begins + _length(clause) / LETTERS_PER_S
        self._since = None
        return clause

    def _forget(self) -> None:
        """Drop what went out, once for all clauses of one call."""
        if not self._start:
            return
        self._text = self._text[self._start :]
        self._looked -= self._start
        self._start = 0
        self._since = self._now if self._text else None

    def _border(self, *, is_whole: bool) -> int | None:
        """Where the clause ends that begins at `_start`, or None if that is not certain."""
        found = self._marked_border(is_whole=is_whole)
        if self._in_code:
            return self._long_code_border() if found is None else found
        if found is not None and found - self._start <= LONGEST:
            return found
        end = len(self._text) if found is None else found
        longest = LONGEST_HURRIED if found is None and self._is_hurried() else LONGEST
        if not self._is_longer(end, longest):
            return found
        inner = self._inner_border(end, longest)
        return found if inner is None else inner

    def _marked_border(self, *, is_whole: bool) -> int | None:
        while True:
            mark = (_FENCE if self._in_code else _MARK).search(self._text, self._looked)
            if mark is None:
                self._looked = self._code_looked() if self._in_code else len(self._text)
                return None
            found = self._judge(mark, is_whole=is_whole)
            if found is TOO_EARLY:
                self._looked = mark.start()
                return None
            if isinstance(found, int) and _is_said(self._text[self._start : found]):
                return found
            self._looked = max(self._looked, mark.end())

    def _judge(self, mark: re.Match[str], *, is_whole: bool) -> int | Verdict:
        text, place = self._text, mark.start()
        character = text[place]
        if character == "`":
            return self._judge_backticks(mark, is_whole=is_whole)
        if character == "\n":
            return self._with_space(place + 1)
        if _ROW.search(self._line_before(place)):
            return NO_BORDER
        if character in STOPS:
            return self._judge_stop(place, is_whole=is_whole)
        return self._judge_soft(place, is_whole=is_whole)

    # --- code

    def _judge_backticks(self, mark: re.Match[str], *, is_whole: bool) -> int | Verdict:
        text, ticks = self._text, mark.group()
        if self._in_code:
            self._in_code = False
            self._looked = mark.end()
            return self._with_space(mark.end())
        if len(ticks) >= 3:
            before = text[self._start : mark.start()]
            if _is_said(before):
                return mark.start()
            self._in_code = True
            return NO_BORDER
        if mark.end() == len(text):
            return NO_BORDER if is_whole else TOO_EARLY
        line_end = text.find("\n", mark.end())
        close = text.find(ticks, mark.end(), line_end if line_end >= 0 else len(text))
        if close >= 0:
            self._looked = close + len(ticks)
            return NO_BORDER
        return NO_BORDER if is_whole or line_end >= 0 else TOO_EARLY

    def _code_looked(self) -> int:
        """Where to look for the end of a code block next: fences come in pieces too."""
        return max(self._looked, len(self._text.rstrip("`")))

    def _long_code_border(self) -> int | None:
        if len(self._text) - self._start <= LONGEST_CODE:
            return None
        end = self._code_looked()
        line_end = self._text.rfind("\n", self._start + LONGEST_CODE // 2, end)
        return line_end + 1 if line_end >= 0 else end

    # --- stops

    def _judge_stop(self, place: int, *, is_whole: bool) -> int | Verdict:
        text = self._text
        run = _RUN.match(text, place)
        assert run is not None, "a stop is a run of stops"
        end = run.end()
        if end == len(text):
            if is_whole or self._is_certain(place, end):
                return end
            return TOO_EARLY
        follows = text[end]
        if not follows.isspace():
            is_free = run.group()[0] in WIDE_STOPS or _PICTURE.match(follows) or _WIDE.match(follows)
            return end if is_free else self._skip(end)
        marks = run.group().rstrip(CLOSERS)
        if not QUOTES.isdisjoint(run.group()):
            after_blank = end + len(_space_at(text, end))
            if after_blank == len(text) and not is_whole:
                return TOO_EARLY
            if text[after_blank : after_blank + 1].islower():
                return NO_BORDER  # "Stop!" he said.
        if marks == ".":
            return self._judge_period(place, end, is_whole=is_whole)
        if marks == "…" or (len(marks) > 1 and not marks.strip(".…")):
            return self._judge_ellipsis(place, end, is_whole=is_whole)
        return self._with_space(end)

    def _judge_period(self, place: int, end: int, *, is_whole: bool) -> int | Verdict:
        """One full stop with white space behind it: the last word and the next decide."""
        text = self._text
        token = self._token_before(place)
        word = token.lower()
        if self._is_opener(place):
            return self._with_space(end)
        is_ordinal = self._has_ordinals and _ORDINAL.fullmatch(word) is not None
        if word in self._titles or (self._at_list_number(place) and "\n" not in _space_at(text, end)):
            return NO_BORDER
        is_open = word in self._endings or is_ordinal or _INITIALS.fullmatch(token) is not None
        if not is_open and word not in self._numbered:
            return self._with_space(end)
        following = _NEXT_WORD.match(text, end)
        assert following is not None, "every part of it is optional"
        if following.end() == len(text) and not is_whole:
            return TOO_EARLY
        next_word = following.group(1)
        if word in self._numbered and next_word[:1].isdigit():
            return NO_BORDER
        if is_open and not self._begins_sentence(next_word, text[following.end() : following.end() + 1]):
            return NO_BORDER
        return self._with_space(end)

    def _judge_ellipsis(self, place: int, end: int, *, is_whole: bool) -> int | Verdict:
        """Before a small letter it is a pause in a sentence, like a comma."""
        following = _SPACE.match(self._text, end)
        assert following is not None, "it may be empty"
        if following.end() == len(self._text):
            return self._with_space(end) if is_whole else TOO_EARLY
        if self._text[following.end()].islower():
            return self._with_space(end) if self._is_soft_enough(place) else NO_BORDER
        return self._with_space(end)

    def _is_certain(self, place: int, end: int) -> bool:
        """Whether a stop with nothing behind it yet ends a clause, whatever comes next."""
        before = self._text[self._start : place]
        if _has_open_pair(self._text[self._start : end]) or not QUOTES.isdisjoint(self._text[place:end]):
            return False
        if self._text[place] in WIDE_STOPS or self._is_opener(place):
            return True
        word = self._token_before(place, is_french=True)
        is_plain = word.replace("'", "").replace("’", "").isalpha()
        return self._text[place] not in ".…" and is_plain and len(before.strip()) > 1

    def _begins_sentence(self, word: str, follows: str) -> bool:
        """Whether the word behind an abbreviation or an initial begins a sentence; `follows` tells "I" from "I."."""
        if not word[:1].isupper():
            return False
        return not self._starters or (word.lower() in self._starters and not (len(word) == 1 and follows == "."))

    def _at_list_number(self, place: int) -> bool:
        return _LIST_NUMBER.search(self._line_before(place)) is not None

    # --- commas and their like

    def _judge_soft(self, place: int, *, is_whole: bool) -> int | Verdict:
        text = self._text
        character = text[place]
        run = _SOFT_RUN.match(text, place)
        assert run is not None, "a comma is a run of commas"
        end = run.end()
        is_opener = self._is_opener(place)
        if not is_opener and not self._is_soft_enough(place):
            return NO_BORDER
        if character in "-–" and not (text[place - 1 : place].isspace() and text[self._start : place].strip()):
            return NO_BORDER
        if character in WIDE_SOFT:
            return self._with_space(end)
        if end < len(text):
            return self._with_space(end) if text[end].isspace() else NO_BORDER
        if is_whole or _has_open_pair(text[self._start : end]):
            return NO_BORDER if is_whole else TOO_EARLY
        return end if character in ",;" and text[place - 1].isalpha() else TOO_EARLY

    def _is_soft_enough(self, place: int) -> bool:
        """Whether a comma here may end the clause: the voice waits, and it is more than a fragment."""
        return self._is_hurried() and _length(self._text[self._start : place].strip()) >= SHORTEST_HURRIED

    def _is_hurried(self) -> bool:
        return self._dry is None or self._now >= self._dry - VOICE_LEAD_S

    # --- length and time

    def _is_longer(self, end: int, longest: int) -> bool:
        length = end - self._start
        return length > longest or (3 * length > longest and _length(self._text[self._start : end]) > longest)

    def _inner_border(self, end: int, longest: int) -> int | None:
        """The best place to cut before `longest` letters are full, or None if there is none yet."""
        text, start = self._text, self._start
        wide = _WIDE.search(text, start, end)
        limit = min(end, start + (longest // 3 if wide else longest))
        border = self._best_blank(start + longest // 4 if not wide else start + 1, limit)
        if border is not None:
            return border
        if wide is not None:
            return limit
        blank = text.find(" ", limit, end)  # one long word: up to its end
        if blank >= 0:
            return self._with_space(blank)
        return start + LONGEST_WORD if end - start > LONGEST_WORD else None

    def _best_blank(self, low: int, high: int) -> int | None:
        """Behind the last comma or the like in this part; else before the last linking word; else at the last blank."""
        text = self._text
        soft = [mark.end() for mark in _INNER_SOFT.finditer(text, low, high)]
        if soft:
            return self._with_space(soft[-1])
        blanks = list(_BLANKS.finditer(text, low, high))
        linked = [blank.end() for blank in blanks if blank.group(1).lower() in self._links]
        if linked:
            return linked[-1]
        return blanks[-1].end() if blanks else None

    def _late_border(self) -> int | None:
        """The end of the text if it has the mark of one, except behind a number or a title; else the best border."""
        text, place = self._text, self._looked
        if place < len(text) and text[place] in STOPS and not text[place - 1].isdigit():
            found = self._judge_stop(place, is_whole=True)
            if isinstance(found, int) and self._token_before(place).lower() not in self._titles | self._numbered:
                return found
        return self._best_blank(SHORTEST_LATE, min(len(text), LONGEST))

    # --- reading around a place

    def _is_opener(self, place: int) -> bool:
        """Whether all of the clause before this place is a short opener."""
        words = self._text[self._start : place].lower().strip(f" \t\n{OPENINGS}{STOPS}{SOFT}").split()
        return 0 < len(words) <= 3 and all(word.strip(SOFT) in self._openers for word in words)

    def _token_before(self, place: int, *, is_french: bool = False) -> str:
        """The run of letters and marks before this place, without what opens it; past a blank, if `is_french`."""
        before = self._text[max(self._start, place - 40) : place]
        found = _TOKEN.search(before.rstrip() if is_french else before)
        return found.group().lstrip(OPENINGS) if found else ""

    def _line_before(self, place: int) -> str:
        """What stands before this place on its line, as far as it is held; with no beginning if that went out."""
        begin = self._text.rfind("\n", self._start, place)
        if begin < 0 and not self._at_line_start:
            return "." + self._text[self._start : place]
        return self._text[max(begin, self._start) : place]

    def _with_space(self, end: int) -> int:
        return end + len(_space_at(self._text, end))

    def _skip(self, end: int) -> Verdict:
        self._looked = end
        return NO_BORDER


def _space_at(text: str, place: int) -> str:
    found = _SPACE.match(text, place)
    return found.group() if found else ""


def _is_said(text: str) -> bool:
    """Whether there is a letter or a digit in it."""
    return any(map(str.isalnum, text))


def _length(text: str) -> int:
    """Letters, as long as they take to say: those of scripts without blanks count three times."""
    return len(text) if text.isascii() else len(text) + 2 * len(_WIDE.findall(text))


def _has_open_pair(text: str) -> bool:
    """Whether a quote, bracket or emphasis is open at the end of the text."""
    if any(text.count(pair[0]) > text.count(pair[1]) for pair in PAIRS):
        return True
    return any(text.count(twin) % 2 for twin in TWINS)
