"""PocketSphinx in a process of its own: sound on standard input, words on standard output.

A decoder that hangs can only be killed from outside, and one that held Python's lock while it computes would stall
every session of the server's process; here it stalls nobody, whether it does or not.

A request is a line of JSON, {"bytes", "grammar"}, and that many bytes of int16 sound at 16 kHz. An answer is a line
of JSON, {"text", "accepted"}.

A grammar always finds one of its own sentences, whatever was said. So the sound is decoded a second time, by a loop
of all phones, which can follow any sound. How much better the loop explains the sound than the grammar does, per frame,
is the `gap`: over the whole sound, over its words, and over the worst of its words. A sentence with too wide a gap, or
one that broke off in the middle, was not said. Then the free language model says what it may have been.
"""

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pocketsphinx

PHONE_MODEL = "en-us-phone.lm.bin"


@dataclass(frozen=True)
class Piece:
    """A word or phone on the best path: its first frame, its frames, and its acoustic score in `NATS` per point."""

    word: str
    start: int
    frames: int
    score: float

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


@dataclass(frozen=True)
class Gap:
    """How much better any phones explain a sound than the words do: points per frame."""

    whole: float
    words: float
    worst: float

    def is_narrow(self) -> bool:
        return self.whole <= WIDEST.whole and self.words <= WIDEST.words and self.worst <= WIDEST.worst


WIDEST = Gap(whole=15.0, words=26.0, worst=48.0)
"""Chosen on the tuning set of bench/rejection.py, never on what it reports."""
POINT = math.log(1.0001)  # nats: the decoder counts in these, and for words in 1024ths of them
FINER = 1024


def gap_between(words: Heard, phones: Heard) -> Gap:
    """Both have heard the same sound."""
    each = [0.0] * (words.frames + 1)
    for phone in phones.pieces:
        for frame in range(phone.start, min(phone.start + phone.frames, len(each))):
            each[frame] = phone.score / phone.frames
    gaps = [
        (sum(each[word.start : word.start + word.frames]) - word.score / FINER, word.frames)
        for word in words.pieces
        if word.is_word
    ]
    frames = sum(length for _, length in gaps)
    return Gap(
        (phones.score - words.score) / max(1, words.frames),
        sum(gap for gap, _ in gaps) / max(1, frames),
        max((gap / length for gap, length in gaps), default=math.inf),
    )


class Recogniser:
    """The decoders, each made when it is first used and kept."""

    def __init__(self, grammar_path: str) -> None:
        self._grammar_path = grammar_path
        self._decoders: dict[str, Any] = {}

    def decode(self, name: str, sound: bytes) -> Heard:
        """The same for the same sound, whoever spoke before: a whole utterance is normalised by its own mean."""
        decoder = self._decoders.get(name)
        if decoder is None:
            decoder = self._decoders[name] = self._make(name)
        decoder.start_utt()
        decoder.process_raw(sound, full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        if found is None:
            return Heard("", 0.0, decoder.n_frames(), ())
        pieces = tuple(
            Piece(piece.word, piece.start_frame, piece.end_frame - piece.start_frame + 1, _points(piece.ascore))
            for piece in decoder.seg()
        )
        return Heard(found.hypstr, _points(found.best_score), decoder.n_frames(), pieces)

    def _make(self, name: str) -> Any:
        if name == "grammar":
            return pocketsphinx.Decoder(jsgf=self._grammar_path, lm=None, loglevel="FATAL")
        if name == "phones":
            model = str(Path(pocketsphinx.get_model_path()) / "en-us" / PHONE_MODEL)
            return pocketsphinx.Decoder(
                allphone=model, lm=None, lw=2.0, pip=0.3, beam=1e-10, pbeam=1e-10, loglevel="FATAL"
            )
        return pocketsphinx.Decoder(loglevel="FATAL")

    def recognise(self, sound: bytes, by_grammar: bool) -> dict[str, object]:
        if not by_grammar:
            return {"text": self.decode("free", sound).text, "accepted": True}
        words = self.decode("grammar", sound)
        if words.text and gap_between(words, self.decode("phones", sound)).is_narrow():
            return {"text": words.text, "accepted": True}
        return {"text": self.decode("free", sound).text, "accepted": False}


def _points(likelihood: float) -> float:
    return math.log(likelihood) / POINT if likelihood > 0 else -math.inf


def main() -> None:
    recogniser = Recogniser(sys.argv[1])
    recogniser.decode("grammar", bytes(6400))
    Path(sys.argv[1]).unlink()  # the decoder has read it
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while line := source.readline():
        request = json.loads(line)
        sound = source.read(request["bytes"])
        answer = recogniser.recognise(sound, request["grammar"])
        sink.write(json.dumps(answer).encode() + b"\n")
        sink.flush()


if __name__ == "__main__":
    main()
