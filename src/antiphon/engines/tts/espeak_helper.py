"""espeak-ng in a process of its own: requests on standard input, sound on standard output.

The library blocks while it speaks, keeps global state, and its licence (GPL-3) is not ours; so it is loaded here, and
nothing else of Antiphon is. This file knows no sessions, languages or limits: it says one thing after the other.

Every utterance is said by a forked child of the process that has just loaded the library, from the same random seed. So
the same words sound the same, whenever they are said and after whatever others, to the bit; and words that crash the
library end one utterance. The process ends, and its child with it, when its standard input does.

All numbers are little-endian. A request is `REQUEST`: its kind, the utterance's number, words per minute, pitch, and
the bytes of a voice's name and of a text that follow; a request to stop has only the number. An answer is `ANSWER`:
number, kind, and the bytes that follow: int16 samples, nothing, `MARK`s (the letters before a word, and the sample with
which it begins), or words in UTF-8. The first answer is `READY` and holds the rate. A request to spell is answered
with what each clause sounds like, in the phonetic alphabet, a zero byte, and the text that it was.
"""

import ctypes
import os
import select
import signal
import struct
import sys
from collections import deque

REQUEST = struct.Struct("<BIHBBH")
SAY, STOP, SPELL = 1, 2, 3
ANSWER = struct.Struct("<IBI")
READY, SOUND, END, ERROR, MARKS, SPELLED = 1, 2, 3, 4, 5, 6
MARK = struct.Struct("<II")
NO_VOICE = 3  # exit status of a child

# From speak_lib.h
AUDIO_OUTPUT_SYNCHRONOUS = 2
ESPEAK_RATE, ESPEAK_PITCH = 1, 3
POSITION_IN_CHARACTERS = 1
CHARS_UTF8 = 1  # and neither SSML nor phonemes in [[ ]]: text is text
PHONETIC = 2  # the International Phonetic Alphabet
BUFFER_MS = 60  # of sound in one answer
EVENTS_END, EVENT_WORD = 0, 1


class Event(ctypes.Structure):
    """One thing that happens in the sound: espeak_EVENT."""

    _fields_ = (
        ("kind", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # in letters, from 1
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))


class Words:
    """One request to speak, or to spell."""

    def __init__(self, kind: int, number: int, manner: tuple[int, int], voice: bytes, text: bytes) -> None:
        self.kind = kind
        self.number = number
        self.words_per_minute, self.pitch = manner
        self.voice = voice
        self.text = text


class Speaker:
    """The library, freshly loaded. What it is asked for is for a child: it leaves traces in the library's state."""

    def __init__(self) -> None:
        import espeakng_loader

        self._number = 0
        self._is_wanted = True
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_Synth.argtypes = [
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
            ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        self._library.espeak_TextToPhonemes.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        data = os.fsencode(espeakng_loader.get_data_path())
        self.rate: int = self._library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, BUFFER_MS, data, 0)
        self._callback = CALLBACK(self._take)  # kept, or it would be collected while the library calls it
        self._library.espeak_SetSynthCallback(self._callback)
        signal.signal(signal.SIGUSR1, self._stop)

    def do(self, words: Words) -> bool:
        """Whether the library has such a voice."""
        self._number = words.number
        if self._library.espeak_SetVoiceByName(words.voice) != 0:
            return False
        if words.kind == SPELL:
            self._spell(words.text)
        else:
            self._say(words)
        return True

    def _spell(self, text: bytes) -> None:
        buffer = ctypes.create_string_buffer(text)
        start = ctypes.addressof(buffer)
        place = ctypes.c_void_p(start)
        done = 0
        while place.value is not None:
            phonemes = self._library.espeak_TextToPhonemes(ctypes.byref(place), CHARS_UTF8, PHONETIC) or b""
            end = len(text) if place.value is None else place.value - start
            answer(self._number, SPELLED, phonemes + b"\0" + text[done:end])
            done = end

    def _say(self, words: Words) -> None:
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # or its breath is noise that began with the time
        self._library.espeak_SetParameter(ESPEAK_RATE, words.words_per_minute, 0)
        self._library.espeak_SetParameter(ESPEAK_PITCH, words.pitch, 0)
        self._library.espeak_Synth(
            words.text, len(words.text) + 1, 0, POSITION_IN_CHARACTERS, 0, CHARS_UTF8, None, None
        )

    def _stop(self, *_: object) -> None:
        self._is_wanted = False

    def _take(self, samples: object, count: int, events: "ctypes._Pointer[Event]") -> int:
        """The library's callback: 0 to go on, 1 to stop."""
        if not self._is_wanted:
            return 1
        marks = self._marks(events)
        if marks:
            answer(self._number, MARKS, marks)
        if samples and count > 0:
            answer(self._number, SOUND, ctypes.string_at(samples, 2 * count))  # type: ignore[arg-type]
        return 0

    def _marks(self, events: "ctypes._Pointer[Event]") -> bytes:
        """The words among these events."""
        found, place = b"", 0
        while (event := events[place]).kind != EVENTS_END:
            if event.kind == EVENT_WORD:
                sample = max(0, event.audio_position_ms) * self.rate // 1000
                found += MARK.pack(max(0, event.text_position - 1), sample)
            place += 1
        return found


class Desk:
    """Takes in requests, and has one child at a time speak."""

    def __init__(self) -> None:
        self._speaker = Speaker()
        self._waiting: deque[Words] = deque()
        self._input = b""
        self._child = 0
        self._number = 0
        self._child_lives = -1
        """Read end of a pipe that the child holds open: it ends when the child does."""

    def run(self) -> None:
        answer(0, READY, struct.pack("<I", self._speaker.rate))
        while True:
            if not self._child and self._waiting:
                self._begin(self._waiting.popleft())
            ready, _, _ = select.select([0, self._child_lives] if self._child else [0], [], [])
            if self._child and self._child_lives in ready:
                self._finish()
            if 0 in ready and not self._read():
                break
        if self._child:
            os.kill(self._child, signal.SIGKILL)

    def _read(self) -> bool:
        """Take in what came; False at the end of input."""
        data = os.read(0, 65_536)
        self._input += data
        while len(self._input) >= REQUEST.size:
            kind, number, words_per_minute, pitch, voice_bytes, text_bytes = REQUEST.unpack_from(self._input)
            text_at = REQUEST.size + voice_bytes
            end = text_at + text_bytes
            if len(self._input) < end:
                break
            voice, text = self._input[REQUEST.size : text_at], self._input[text_at:end]
            self._input = self._input[end:]
            if kind in (SAY, SPELL):
                self._waiting.append(Words(kind, number, (words_per_minute, pitch), voice, text))
            elif self._child and number == self._number:
                os.kill(self._child, signal.SIGUSR1)
        return bool(data)

    def _begin(self, words: Words) -> None:
        self._child_lives, held = os.pipe()
        self._number = words.number
        self._child = os.fork()
        if self._child == 0:
            os.close(0)  # its end is the parent's business
            os._exit(0 if self._speaker.do(words) else NO_VOICE)
        os.close(held)

    def _finish(self) -> None:
        _, status = os.waitpid(self._child, 0)
        os.close(self._child_lives)
        self._child = 0
        if status == 0:
            answer(self._number, END)
            return
        code = os.waitstatus_to_exitcode(status)
        reason = "has no such voice" if code == NO_VOICE else f"ended with {code}"
        answer(self._number, ERROR, f"espeak-ng {reason}".encode())


def answer(number: int, kind: int, payload: bytes = b"") -> None:
    frame = memoryview(ANSWER.pack(number, kind, len(payload)) + payload)
    while frame:
        frame = frame[os.write(1, frame) :]


if __name__ == "__main__":
    try:
        Desk().run()
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(0)
