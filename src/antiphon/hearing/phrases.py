"""Words that tell whether a sentence goes on, for each language: data alone, for `hearing.words`.

To add a language: one entry, by its ISO-639-1 code, with words in lower case and without punctuation. A word belongs
into `hanging` if a sentence hardly ever ends with it.
"""

from __future__ import annotations

from msgspec import Struct


class Phrases(Struct, frozen=True):
    """What one language has."""

    hanging: frozenset[str]
    """Conjunctions, articles, prepositions, possessives, auxiliaries: they want another word."""
    hesitations: frozenset[str]
    backchannels: frozenset[str]
    """What a listener says without wanting the turn, as words or as whole utterances."""
    commands: frozenset[str]
    """Words that are meant for us even if we have just said them ourselves."""
    whole: frozenset[str]
    """Short utterances that are whole."""
    numbers: frozenset[str]
    wanting: frozenset[str] = frozenset()
    """Verbs that hardly end a sentence, for they want an object, as words or as the utterance's last two."""
    openers: frozenset[str] = frozenset()
    """Conjunctions whose clause, where a sentence begins with it, is followed by another."""
    asking: frozenset[str] = frozenset()
    """Verbs that make a question of a sentence whose first word is an opener: "when is"."""


def _set(text: str) -> frozenset[str]:
    """Utterances are divided by commas."""
    return frozenset(part.strip() for part in text.casefold().split(",") if part.strip())


PHRASES = {
    "en": Phrases(
        hanging=_set(
            "and, or, but, so, because, cause, since, although, though, while, if, unless, until, when, whenever, that,"
            "which, who, whose, whether, than, as, like, then, the, a, an, this, these, those, my, your, his, her, its,"
            "our, their, some, any, every, each, of, to, in, on, at, by, for, from, with, without, about, into, onto,"
            "over, under, between, through, after, before, during, against, near, is, are, was, were, be, been, am,"
            "i'm, you're, he's, she's, it's, we're, they're, will, would, can, could, should, shall, may, might, must,"
            "do, does, did, have, has, had, i, he, we, they, very, really, quite, just, also, not, don't, i'd, i'll,"
            "maybe, perhaps, either, neither, both, plus, times, minus, divided, point, another, other"
        ),
        hesitations=_set("um, uh, erm, er, hmm, hm, uhm, well, like, let's see, let me see, you know, i mean"),
        backchannels=_set(
            "mm, mhm, mm-hm, mm hm, mmhm, mmm, hm, hmm, uh-huh, uh huh, huh, uhuh, ah, oh, aha, right, okay, ok, yeah,"
            "yep, yes, sure, i see, got it, really, wow, nice, cool, great, good, interesting, of course, exactly,"
            "all right, alright, true, fine"
        ),
        commands=_set("stop, wait, no, cancel, quiet, enough, pause, hold, hang, shut, sorry, excuse, actually, but"),
        whole=_set(
            "yes, no, okay, ok, sure, thanks, thank you, stop, please, yes please, no thanks, no thank you, hello,"
            "hi, good morning, good evening, goodbye, bye, help, never mind, that's all, what time is it, again,"
            "repeat that"
        ),
        numbers=_set(
            "zero, one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen,"
            "fifteen, sixteen, seventeen, eighteen, nineteen, twenty, thirty, forty, fifty, sixty, seventy, eighty,"
            "ninety, hundred, thousand, million, double, triple"
        ),
        wanting=_set(
            "want, need, buy, bring, give, put, make, get, take, find, use, send, show, tell, ask, add, explain, keep,"
            "mean, let, let's, i think, i guess, i know, you know, do you know, tell me, show me, give me, let me,"
            "actually, already, always, basically"
        ),
        openers=_set("when, if, because, since, after, before, while, although, though, unless, until, once, as"),
        asking=_set("is, are, was, were, do, does, did, will, would, can, could, should, has, have"),
    ),
    "de": Phrases(
        hanging=_set(
            "und, oder, aber, denn, weil, dass, ob, wenn, als, obwohl, damit, sondern, wie, der, die, das, den, dem,"
            "des, ein, eine, einen, einem, einer, mein, meine, meinen, dein, deine, sein, seine, ihr, ihre, unser,"
            "unsere, in, im, an, am, auf, aus, bei, mit, nach, von, vom, zu, zum, zur, für, über, unter, um, durch,"
            "gegen, ohne, zwischen, vor, ist, sind, war, waren, bin, hat, habe, haben, wird, werde, kann, könnte, soll,"
            "muss, darf, ich, wir, sehr, ganz, nicht, auch, nur, noch, vielleicht, plus, minus, mal, geteilt, komma"
        ),
        hesitations=_set("äh, ähm, öh, hm, hmm, also, naja, tja, na ja, mal sehen"),
        backchannels=_set(
            "mhm, hm, hmm, aha, ah, oh, ja, jo, jaja, okay, ok, genau, klar, stimmt, richtig, gut, ach so, achso, echt,"
            "verstehe, ich verstehe, alles klar, schön, super"
        ),
        commands=_set("stopp, stop, halt, warte, nein, moment, ruhe, genug, pause, aufhören, entschuldigung, sorry"),
        whole=_set("ja, nein, danke, bitte, ja bitte, nein danke, hallo, guten morgen, tschüss, hilfe, nochmal, stopp"),
        numbers=_set(
            "null, eins, zwei, zwo, drei, vier, fünf, sechs, sieben, acht, neun, zehn, elf, zwölf, zwanzig, dreißig,"
            "vierzig, fünfzig, sechzig, siebzig, achtzig, neunzig, hundert, tausend"
        ),
        openers=_set("wenn, weil, als, obwohl, bevor, nachdem, sobald, solange, falls, während, seit, damit"),
    ),
    "fr": Phrases(
        hanging=_set(
            "et, ou, mais, donc, car, parce, que, qui, quand, si, comme, puisque, lorsque, le, la, les, l, un, une,"
            "des, du, de, d, ce, cet, cette, ces, mon, ma, mes, ton, ta, tes, son, sa, ses, notre, votre, leur, à, au,"
            "aux, en, dans, sur, sous, avec, sans, pour, par, chez, vers, entre, est, sont, était, suis, ai, a, ont,"
            "je, tu, il, nous, vous, ils, très, pas, plus, moins, fois, virgule, peut-être, aussi"
        ),
        hesitations=_set("euh, heu, ben, bah, hum, alors, voyons, enfin"),
        backchannels=_set("mm, hum, hm, oui, ouais, ok, okay, d'accord, ah, oh, voilà, bien, je vois, super, vraiment"),
        commands=_set("stop, arrête, arrêtez, attends, attendez, non, pause, assez, silence, pardon, excuse, excusez"),
        whole=_set("oui, non, merci, oui merci, non merci, bonjour, bonsoir, au revoir, stop, aide, encore"),
        numbers=_set(
            "zéro, un, deux, trois, quatre, cinq, six, sept, huit, neuf, dix, onze, douze, vingt, trente, quarante,"
            "cinquante, soixante, cent, mille"
        ),
        openers=_set("quand, si, comme, puisque, lorsque, parce, après, avant, pendant, dès"),
        asking=_set("est, est-ce, sont, était, a, ont, peut, vas, va"),
    ),
    "es": Phrases(
        hanging=_set(
            "y, e, o, u, pero, porque, que, quien, cuando, si, como, aunque, mientras, el, la, los, las, un, una, unos,"
            "unas, este, esta, ese, esa, mi, mis, tu, tus, su, sus, nuestro, nuestra, de, del, a, al, en, con, sin,"
            "por, para, sobre, entre, hasta, desde, es, son, era, soy, está, he, ha, han, yo, muy, no, más, menos,"
            "coma, quizás, también"
        ),
        hesitations=_set("eh, em, mmm, pues, bueno, este, a ver"),
        backchannels=_set("mm, mhm, sí, ya, vale, ok, okay, claro, ah, oh, bien, entiendo, ya veo, exacto, de acuerdo"),
        commands=_set("para, alto, espera, no, basta, silencio, pausa, perdón, disculpa, cancela, stop"),
        whole=_set("sí, no, gracias, sí gracias, no gracias, hola, buenos días, adiós, ayuda, otra vez, vale"),
        numbers=_set(
            "cero, uno, dos, tres, cuatro, cinco, seis, siete, ocho, nueve, diez, once, doce, veinte, treinta,"
            "cuarenta, cincuenta, cien, mil"
        ),
        openers=_set("cuando, si, porque, como, aunque, mientras, después, antes"),
        asking=_set("es, son, era, está, están, ha, han, puede, va"),
    ),
}
