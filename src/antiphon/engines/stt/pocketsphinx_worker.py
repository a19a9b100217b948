"""PocketSphinx in a process of its own: sound on standard input, words on standard output.

A decoder holds Python's lock while it computes, so in the server's process it would stall every session; and one that
hangs can only be killed from outside.

Its argument is its niceness. What comes in is a line of JSON, {"bytes", "listens_for"}, and that many bytes of int16
sound at 16 kHz. What is listened for is "anything", the assistant's "requests", or "answers": a yes or a no, or else a
request. What goes out is a line of JSON, {"text", "accepted"}.

A grammar always finds one of its own sentences, whatever was said. So the sound is decoded a second time, by a loop
of all phones, which can follow any sound, and the two are compared: how much better the loop explains it, where it
hears speech and the grammar hears nothing, and whether a short word was stretched over a long sound. A sentence that
leaves too much `Doubt` was not said. Then the free language model says what it may have been. A yes lets something
happen, so it is believed with less doubt than a no.
"""

from __future__ import annotations

import json
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pocketsphinx

from antiphon.audio.pcm import float_from_int16
from antiphon.audio.units import Pcm16
from antiphon.engines.llm.assistant.intents import grammar, grammar_of_answers
from antiphon.engines.stt.pocketsphinx_sound import pitch_of, prepared
from antiphon.session.consent import consent_in

ListensFor = Literal["anything", "requests", "answers"]

PHONE_MODEL = "en-us-phone.lm.bin"
SILENCE = "SIL"  # among the phones

# The best path through the lattice of words hears less than the search itself: its own scores of a grammar are poor.
# Silence has to cost less than a word would, or the room after the last word is heard as one more ("fifty eight").
GRAMMAR_SETTINGS = {"bestpath": False, "silprob": 0.05, "beam": 1e-64, "pbeam": 1e-64, "wbeam": 1e-40}
PHONE_SETTINGS = {"lw": 2.0, "pip": 0.3, "beam": 1e-10, "pbeam": 1e-10}


@dataclass(frozen=True)
class Piece:
    """A word or phone on the best path: its first frame, and how many it has."""

    word: str
    start: int
    frames: int

    @property
    def is_word(self) -> bool:
        return not self.word.startswith(("<", "[", "+"))


@dataclass(frozen=True)
class Heard:
    """What one decoder made of a sound."""

    text: str
    score: float
    """Of the best path, with what its words cost."""
    frames: int
    pieces: tuple[Piece, ...]


NOTHING = Heard("", 0.0, 0, ())


@dataclass(frozen=True)
class Doubt:
    """What speaks against a sentence of the grammar."""

    gap: float
    """How much better any phones explain the sound than the words do: points per frame."""
    unexplained_s: float
    """How long phones were heard where the words leave silence."""
    stretch: float
    """Frames for each letter of the word that has the most."""

    def is_within(self, limits: Limits) -> bool:
        return self.gap + UNEXPLAINED * self.unexplained_s <= limits.widest and self.stretch <= limits.longest_stretch


@dataclass(frozen=True)
class Limits:
    """How much doubt is none."""

    widest: float
    """Points per frame of what is better explained and what is not explained, together."""
    longest_stretch: float


# All were chosen on the tuning set of bench/rejection.py, never on what it reports.
UNEXPLAINED = 30.0  # points per frame that a second of it weighs
OF_A_REQUEST = Limits(17.0, 20.0)
OF_A_YES = Limits(6.0, 25.0)  # where little else can be heard, little is missing; and "no" has two letters
OF_A_NO = Limits(12.0, 25.0)

POINT = math.log(1.0001)  # nats: the decoder counts in these, and for words in 1024ths of them
FRAMES_PER_SECOND = 100


def doubt_about(words: Heard, phones: Heard) -> Doubt:
    """Both have heard the same sound."""
    said = [word for word in words.pieces if word.is_word]
    covered = _frames_of(said)
    unexplained = _frames_of([phone for phone in phones.pieces if phone.is_word and phone.word != SILENCE]) - covered
    return Doubt(
        (phones.score - words.score) / max(1, words.frames),
        len(unexplained) / FRAMES_PER_SECOND,
        max((word.frames / len(word.word) for word in said), default=math.inf),
    )


def _frames_of(pieces: list[Piece]) -> set[int]:
    return {frame for piece in pieces for frame in range(piece.start, piece.start + piece.frames)}


class Recogniser:
    """The decoders, each made when it is first used and kept."""

    def __init__(self) -> None:
        self._decoders: dict[str, Any] = {}

    def decode(self, name: str, sound: bytes) -> Heard:
        """The same for the same sound, whoever spoke before: a whole utterance is normalised by its own mean."""
        kind = "grammar" if name in ("requests", "answers") else name
        decoder = self._decoders.get(kind)
        if decoder is None:
            decoder = self._decoders[kind] = self._make(kind)
        if kind == "grammar":
            decoder.activate_search(name)
        decoder.start_utt()
        decoder.process_raw(sound, full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        if found is None:
            return NOTHING
        pieces = tuple(
            Piece(piece.word, piece.start_frame, piece.end_frame - piece.start_frame + 1) for piece in decoder.seg()
        )
        return Heard(found.hypstr, _points(found.best_score), decoder.n_frames(), pieces)

    def _make(self, kind: str) -> Any:
        if kind == "grammar":
            decoder = pocketsphinx.Decoder(lm=None, loglevel="FATAL", **GRAMMAR_SETTINGS)
            decoder.add_jsgf_string("requests", grammar())
            decoder.add_jsgf_string("answers", grammar_of_answers())
            return decoder
        if kind == "phones":
            model = str(Path(pocketsphinx.get_model_path()) / "en-us" / PHONE_MODEL)
            return pocketsphinx.Decoder(allphone=model, lm=None, loglevel="FATAL", **PHONE_SETTINGS)
        return pocketsphinx.Decoder(loglevel="FATAL")

    def recognise(self, pcm: Pcm16, listens_for: ListensFor) -> dict[str, object]:
        plain = float_from_int16(pcm)
        pitch_hz = pitch_of(plain)
        sound = prepared(plain, pitch_hz)
        # A cough, a knock or a hiss has no pitch, and nobody who speaks to an assistant has none.
        if listens_for != "anything" and pitch_hz:
            words = self._believed(sound, listens_for)
            if words:
                return {"text": words, "accepted": True}
        return {"text": self.decode("free", sound).text, "accepted": listens_for == "anything"}

    def _believed(self, sound: bytes, listens_for: ListensFor) -> str:
        """The sentence of a grammar that was said, or nothing."""
        phones: Heard | None = None
        for name in ("answers", "requests") if listens_for == "answers" else ("requests",):
            words = self.decode(name, sound)
            if not words.text:
                continue
            phones = phones or self.decode("phones", sound)
            if doubt_about(words, phones).is_within(_limits_of(words.text, name)):
                return words.text
        return ""


def _limits_of(text: str, name: str) -> Limits:
    if name == "requests":
        return OF_A_REQUEST
    return OF_A_YES if consent_in(text, "en") else OF_A_NO


def _points(likelihood: float) -> float:
    return math.log(likelihood) / POINT if likelihood > 0 else -math.inf


def main() -> None:
    os.nice(int(sys.argv[1]))
    recogniser = Recogniser()
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while line := source.readline():
        request = json.loads(line)
        sound = source.read(request["bytes"])
        answer = recogniser.recognise(np.frombuffer(sound, np.int16), request["listens_for"])
        sink.write(json.dumps(answer).encode() + b"\n")
        sink.flush()


if __name__ == "__main__":
    main()
