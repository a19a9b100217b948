"""PocketSphinx in a process of its own: sound on standard input, words on standard output.

Decoding holds Python's lock, so in the server's process one utterance would stall every session; and a decoder that
hangs can only be killed from outside.

A request is a line of JSON, {"bytes", "grammar"}, and that many bytes of int16 sound at 16 kHz. An answer is a line
of JSON, {"text", "accepted", "gap"}.

A grammar always finds one of its own sentences, whatever was said. So the sound is decoded a second time, by a loop
of all phones, which can follow any sound. How much worse the grammar explains the sound than the loop does, per
frame, is the `gap`; a sentence whose gap is too wide, or that broke off in the middle, was not said. Then the free
language model says what it may have been.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import pocketsphinx

PHONE_MODEL = "en-us-phone.lm.bin"


class Recogniser:
    """The decoders, each made when it is first used and kept."""

    def __init__(self, grammar_path: str) -> None:
        self._grammar_path = grammar_path
        self._decoders: dict[str, Any] = {}

    def decode(self, name: str, sound: bytes) -> tuple[str, float, int]:
        """Words, acoustic score of the best path, and frames. The same for the same sound, whoever spoke before."""
        decoder = self._decoders.get(name)
        if decoder is None:
            decoder = self._decoders[name] = self._make(name)
        decoder.set_cmn(CMN)
        decoder.start_utt()
        decoder.process_raw(sound, full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        if found is None:
            return "", 0.0, decoder.n_frames()
        return found.hypstr, found.best_score, decoder.n_frames()

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
            return {"text": self.decode("free", sound)[0], "accepted": True, "gap": 0.0}
        text, score, frames = self.decode("grammar", sound)
        gap = math.inf
        if text and frames:
            loop = self.decode("phones", sound)[1]
            gap = 1000 * (math.log(max(TINY, loop)) - math.log(max(TINY, score))) / frames
        if gap <= WIDEST_GAP:
            return {"text": text, "accepted": True, "gap": gap}
        return {"text": self.decode("free", sound)[0], "accepted": False, "gap": min(gap, 1e9)}


TINY = 1e-300
WIDEST_GAP = 1.25  # in thousandths of a nat per frame: chosen on a tuning set, see bench/rejection.py
CMN = "41.00,-5.29,-0.12,5.09,2.48,-4.07,-1.37,-1.78,-5.08,-2.05,-6.45,-1.42,1.17"
"""Where the normalisation of the spectrum begins each time: the model's own mean."""


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
