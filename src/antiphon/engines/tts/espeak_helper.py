"""espeak-ng in a process of its own: requests on standard input, sound on standard output.

The library blocks while it speaks, keeps global state, and its licence (GPL-3) is not ours; so it is loaded here, and
nothing else of Antiphon is. This file knows no sessions, languages or limits: it says one thing after the other.

Every utterance has the library to itself: it is loaded anew, which takes a millisecond, into memory that is zeroed, and
begins with the same random seeds. So the same words sound the same, whenever they are said and after whatever others,
to the bit, and no process is started for them. Words that crash the library end the process. It also ends when its
standard input does, whatever the library is doing.

All numbers are little-endian. A request is `REQUEST`: its kind, the utterance's number, words per minute, pitch, and
the bytes of a voice's name and of a text that follow; a request to stop has only the number. An answer is `ANSWER`:
number, kind, and the bytes that follow: int16 samples, nothing, `MARK`s (the letters before a word, and the sample with
which it begins), or words in UTF-8. The first answer is `READY` and holds the rate. A request to spell is answered
with what each clause sounds like, in the phonetic alphabet, a zero byte, and the text that it was.
"""

import _ctypes
import ctypes
import os
import queue
import struct
import sys
import threading
from typing import NamedTuple

REQUEST = struct.Struct("<BIHBBH")
SAY, STOP, SPELL = 1, 2, 3
ANSWER = struct.Struct("<IBI")
READY, SOUND, END, ERROR, MARKS, SPELLED = 1, 2, 3, 4, 5, 6
MARK = struct.Struct("<II")
SEED = 1
MALLOC_PERTURB = -6  # from malloc.h
ZEROED = 0xFF  # the complement of what new memory is filled with

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


class Words(NamedTuple):
    """One request to speak, or to spell."""

    kind: int
    number: int
    words_per_minute: int
    pitch: int
    voice: bytes
    text: bytes


class Library:
    """espeak-ng as if nothing had ever been said with it, until `close`. Only one may be open at a time."""

    def __init__(self) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_Synth.argtypes = [
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
            ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        self._library.espeak_TextToPhonemes.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        data = os.fsencode(espeakng_loader.get_data_path())
        self.rate: int = self._library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, BUFFER_MS, data, 0)
        ctypes.CDLL(None).srand(SEED)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(SEED))  # or its breath is noise that began with the time

    def choose(self, voice: bytes) -> bool:
        """Whether it has such a voice."""
        return bool(self._library.espeak_SetVoiceByName(voice) == 0)

    def spell(self, number: int, text: bytes) -> None:
        buffer = ctypes.create_string_buffer(text)
        start = ctypes.addressof(buffer)
        place = ctypes.c_void_p(start)
        done = 0
        while place.value is not None:
            phonemes = self._library.espeak_TextToPhonemes(ctypes.byref(place), CHARS_UTF8, PHONETIC) or b""
            end = len(text) if place.value is None else place.value - start
            answer(number, SPELLED, phonemes + b"\0" + text[done:end])
            done = end

    def say(self, words: Words, take: "ctypes._FuncPointer") -> None:
        """`take` is a `CALLBACK`: it returns 0 to go on, 1 to stop."""
        self._library.espeak_SetSynthCallback(take)
        self._library.espeak_SetParameter(ESPEAK_RATE, words.words_per_minute, 0)
        self._library.espeak_SetParameter(ESPEAK_PITCH, words.pitch, 0)
        self._library.espeak_Synth(
            words.text, len(words.text) + 1, 0, POSITION_IN_CHARACTERS, 0, CHARS_UTF8, None, None
        )

    def close(self) -> None:
        """Unload it, and with it every trace of what was said."""
        self._library.espeak_Terminate()
        _ctypes.dlclose(self._library._handle)


class Desk:
    """Does what was asked for, one request after the other, while a thread takes in what comes."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Words] = queue.SimpleQueue()
        self._stopped = 0
        """The number of the newest request that nobody wants any more."""

    def run(self) -> None:
        """For ever: `_read` ends the process."""
        library = Library()
        answer(0, READY, struct.pack("<I", library.rate))
        threading.Thread(target=self._read, daemon=True).start()
        while True:
            self._do(self._waiting.get(), library)
            library.close()
            library = Library()  # before it is needed

    def _do(self, words: Words, library: Library) -> None:
        if not library.choose(words.voice):
            answer(words.number, ERROR, b"espeak-ng has no such voice")
            return
        if words.kind == SPELL:
            library.spell(words.number, words.text)
        else:
            library.say(words, self._taker(words.number, library.rate))
        answer(words.number, END)

    def _taker(self, number: int, rate_hz: int) -> "ctypes._FuncPointer":
        def take(samples: object, count: int, events: "ctypes._Pointer[Event]") -> int:
            if self._stopped >= number:
                return 1
            marks = marks_in(events, rate_hz)
            if marks:
                answer(number, MARKS, marks)
            if samples and count > 0:
                answer(number, SOUND, ctypes.string_at(samples, 2 * count))  # type: ignore[arg-type]
            return 0

        return CALLBACK(take)

    def _read(self) -> None:
        source = sys.stdin.buffer
        while head := source.read(REQUEST.size):
            kind, number, words_per_minute, pitch, voice_bytes, text_bytes = REQUEST.unpack(head)
            if kind == STOP:
                self._stopped = number
                continue
            voice, text = source.read(voice_bytes), source.read(text_bytes)
            self._waiting.put(Words(kind, number, words_per_minute, pitch, voice, text))
        os._exit(0)  # whoever asked is gone: nothing that the library is doing is worth waiting for


def marks_in(events: "ctypes._Pointer[Event]", rate_hz: int) -> bytes:
    """The words among these events."""
    found, place = b"", 0
    while (event := events[place]).kind != EVENTS_END:
        if event.kind == EVENT_WORD:
            sample = max(0, event.audio_position_ms) * rate_hz // 1000
            found += MARK.pack(max(0, event.text_position - 1), sample)
        place += 1
    return found


def zero_new_memory() -> None:
    """From now on, malloc gives memory that looks as if it had never been used, where it is glibc's."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MALLOC_PERTURB, ZEROED)


def answer(number: int, kind: int, payload: bytes = b"") -> None:
    frame = memoryview(ANSWER.pack(number, kind, len(payload)) + payload)
    while frame:
        frame = frame[os.write(1, frame) :]


if __name__ == "__main__":
    try:
        zero_new_memory()
        Desk().run()
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(0)
