"""espeak-ng as a voice: no download, no network, any of a hundred languages, first sound at once, and a robot.

It does not know clauses or sessions. The library lives in a helper process (`espeak_helper`), which is started with the
first words; when it dies, hangs or has said very much, another takes its place at once, and not with the next words.
One thread serves it: takes the oldest request, writes it, reads sound until its end. So requests are said one after the
other in the order they came, and at hundreds of times real time nobody waits long. A thread, and not asyncio's
subprocesses, because the helper then outlives event loops, and nothing is half read when a listener is cancelled: the
thread reads on, and drops what nobody wants.

A listener never holds up the helper, for others wait behind it. What one request can make is bounded instead: a long
text is said in pieces, each asked for when the one before has been taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import struct
import subprocess
import sys
import threading
import unicodedata
import weakref
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from functools import cache
from pathlib import Path

import numpy as np
from msgspec import Struct

from antiphon.audio.pcm import float_from_int16
from antiphon.audio.units import Pcm, Seconds
from antiphon.engines.api import TtsRequest, WordMark
from antiphon.engines.tts.espeak_helper import (
    ANSWER,
    END,
    ERROR,
    MARK,
    MARKS,
    READY,
    REQUEST,
    SAY,
    SPELL,
    SPELLED,
    STOP,
)
from antiphon.errors import EngineError

RATE_HZ = 22_050
WORDS_PER_MINUTE = 165
SLOWEST, FASTEST = 80, 450  # words per minute: the library's own limits, so that speeds below 0.48 are alike
LONGEST_PIECE = 400  # letters in one request: half a minute, 1.2 MB of sound; and less than a pipe writes at once
SHORTEST_CHUNK = -(-RATE_HZ // 100)  # samples: 10 ms, and not a fraction of one less
LONGEST_CHUNK = RATE_HZ // 5  # samples: 200 ms, which cannot be taken back once handed on
MOST_WAITING = 1_000  # requests: seconds of work, at some milliseconds each
MOST_SAID = 5_000  # requests to one helper: each leaves some kilobytes of the library's behind, of Chinese 17
PATIENCE_S: Seconds = 5.0  # without any sound from the helper, where milliseconds are usual: it hangs
START_S: Seconds = 30.0  # for a Python to begin, on a machine that is busy with others
MODULE = "antiphon.engines.tts.espeak_helper"


class Timbre(Struct, frozen=True):
    """What makes a voice of a language: the library's variant that is put on it, and the pitch from 0 to 99."""

    variant: str
    pitch: int = 50


VOICES: Mapping[str, Timbre] = {
    "alloy": Timbre("m3"),
    "ash": Timbre("m1", 40),
    "ballad": Timbre("m7", 45),
    "cedar": Timbre("m2", 35),
    "coral": Timbre("f2", 60),
    "echo": Timbre("m4", 45),
    "fable": Timbre("m5", 55),
    "marin": Timbre("f3"),
    "nova": Timbre("f4", 55),
    "onyx": Timbre("m8", 25),
    "sage": Timbre("f1"),
    "shimmer": Timbre("f5", 65),
    "verse": Timbre("m6"),
}
"""What OpenAI's voices are here."""

DEFAULT = VOICES["marin"]
DEFAULT_LANGUAGE = "en-us"
ALIASES: Mapping[str, str] = {"en": "en-us"}
"""Codes that mean another one to most who ask than to the library."""


def known_voices() -> list[str]:
    """Names that a client may ask for: OpenAI's, then the library's languages. Any other is the default voice."""
    return [*VOICES, *sorted(languages())]


@cache
def languages() -> Mapping[str, str]:
    """What the library calls each language that it has a dictionary for, by the language's code in lower case."""
    import espeakng_loader

    data = Path(espeakng_loader.get_data_path())
    ranked: dict[str, tuple[int, str]] = {}
    for file in sorted(data.glob("lang/**/*")):
        if not file.is_file():
            continue
        lines = [line.split() for line in file.read_text("utf-8").splitlines() if line.strip()]
        codes = [words for words in lines if words[0] == "language"]
        named = [words[1] for words in lines if words[0] == "dictionary"]
        dictionary = named[0] if named else codes[0][1].partition("-")[0]
        if not (data / f"{dictionary}_dict").exists():
            continue
        own = [["language", file.name, "0"]]  # a file's own name is its code before anybody else's
        for _, code, *rank in own + codes:
            found = (int(rank[0]) if rank else 5, file.name)
            ranked[code.lower()] = min(found, ranked.get(code.lower(), found))
    return {code: name for code, (_, name) in ranked.items()}


@cache
def _variants() -> frozenset[str]:
    import espeakng_loader

    return frozenset(file.name for file in Path(espeakng_loader.get_data_path()).glob("voices/!v/*"))


class Manner(Struct, frozen=True):
    """How the library is told to speak."""

    voice: str
    pitch: int
    words_per_minute: int


def manner_of(request: TtsRequest) -> Manner:
    """A known voice as asked for, a language's own voice by its code ("de", "en-gb+f2"), else the default voice."""
    words_per_minute = min(FASTEST, max(SLOWEST, round(WORDS_PER_MINUTE * request.speed)))
    code, _, variant = request.voice.partition("+")
    own = languages().get(ALIASES.get(code.lower(), code.lower()))
    if own is not None and request.voice not in VOICES and (not variant or variant in _variants()):
        return Manner(f"{own}+{variant}" if variant else own, DEFAULT.pitch, words_per_minute)
    timbre = VOICES.get(request.voice.lower(), DEFAULT)
    return Manner(f"{_language(request.language)}+{timbre.variant}", timbre.pitch, words_per_minute)


def _language(code: str | None) -> str:
    """The library's name for a language, or for the nearest that it has, or for the default one."""
    whole = (code or DEFAULT_LANGUAGE).lower().replace("_", "-")
    for one in (whole, whole.partition("-")[0], DEFAULT_LANGUAGE):
        found = languages().get(ALIASES.get(one, one))
        if found is not None:
            return found
    return DEFAULT_LANGUAGE


class Espeak:
    """`Tts` on one helper process, for any number of sessions and event loops, one after the other or at once."""

    rate: int = RATE_HZ

    def __init__(self) -> None:
        self._service: Service | None = None

    def voices(self) -> list[str]:
        """See `known_voices`. Reads a folder."""
        return known_voices()

    def languages_of(self, voice: str) -> list[str]:
        """The codes of what this voice speaks: a language's own one that, all others whatever they are asked for."""
        return list(languages()) if voice in VOICES else [voice]

    async def warm(self) -> None:
        """Start the helper and have it say a word to nobody."""
        async for _ in self.speak("Ready.", TtsRequest("marin")):
            pass

    async def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        """See `Tts.speak`. Text without a letter or a digit makes no sound. Leaving early stops the helper's work."""
        async with aclosing(self.speak_marked(text, request)) as sounds:
            async for sound in sounds:
                if not isinstance(sound, WordMark):
                    yield sound

    async def speak_marked(self, text: str, request: TtsRequest) -> AsyncGenerator[Pcm | WordMark, None]:
        """See `MarkingTts.speak_marked`. In text that holds letters which are no letters, marks may be some off."""
        made = 0
        for start, piece in pieces(text):
            utterance = Utterance(piece, request)
            service = self._running()
            service.put(utterance)
            before = made
            try:
                while (chunk := await service.next_sound(utterance)) is not None:
                    for letters, sample in utterance.take_marks():
                        yield WordMark(start + letters, before + sample)
                    made += chunk.size
                    yield chunk
            finally:
                service.drop(utterance)

    async def spell(self, text: str, language: str) -> list[tuple[str, str]]:
        """Each clause of the text in the phonetic alphabet, and as it was written, at times with the letter after it.
        For voices that do not read, but want to be told what it sounds like."""
        clauses: list[tuple[str, str]] = []
        for _, piece in pieces(text):
            utterance = Utterance(piece, TtsRequest(language, language=language), SPELL)
            service = self._running()
            service.put(utterance)
            try:
                while await service.next_sound(utterance) is not None:
                    pass
            finally:
                service.drop(utterance)
            clauses += utterance.spelled
        return clauses

    async def close(self) -> None:
        """End the helper; whoever still listens gets an `EngineError`. A later `speak` starts another."""
        service, self._service = self._service, None
        if service is not None:
            await asyncio.to_thread(service.close)

    def _running(self) -> Service:
        if self._service is None:
            self._service = Service()
            weakref.finalize(self, self._service.close)  # also at the end of Python, where nobody closed it
        return self._service


class Utterance:
    """One request and the sound that has come for it. Made and listened to in one loop, filled by the thread."""

    def __init__(self, text: str, request: TtsRequest, kind: int = SAY) -> None:
        """`kind` is the helper's: whether it is to be said, or spelled."""
        self.text = text
        self.request = request
        self.kind = kind
        self.spelled: list[tuple[str, str]] = []
        self.number = 0
        self.is_wanted = True
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._sound: deque[bytes] = deque()
        self._marks: deque[tuple[int, int]] = deque()
        self._error: EngineError | None = None
        self._is_over = False

    # --- in the thread

    def add(self, sound: bytes) -> None:
        self._sound.append(sound)
        self._tell()

    def mark(self, marks: bytes) -> None:
        """Words begin; the sound that they are about follows."""
        self._marks.extend(MARK.iter_unpack(marks))

    def spell(self, clause: bytes) -> None:
        """What the next clause sounds like."""
        phonemes, _, written = clause.partition(b"\0")
        self.spelled.append((phonemes.decode(), written.decode(errors="ignore")))

    def end(self, error: EngineError | None = None) -> None:
        self._error = error
        self._is_over = True
        self._tell()

    def _tell(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._news.set)
        except RuntimeError:  # its loop has been closed
            self.is_wanted = False

    # --- in the loop

    async def wait(self) -> None:
        """Until there is something to take."""
        await self._news.wait()

    def take_marks(self) -> list[tuple[int, int]]:
        """For each word that was not taken yet: the letters before it, and its first sample."""
        return [self._marks.popleft() for _ in range(len(self._marks))]

    def take(self) -> Pcm | None:
        """What has come, up to a longest chunk; an empty array if too little has, None at the end."""
        self._news.clear()
        is_over = self._is_over  # asked for first: all of the sound came before it
        waiting = b"".join(self._sound.popleft() for _ in range(len(self._sound)))
        samples = len(waiting) // 2
        if not samples and is_over:
            if self._error is not None:
                raise self._error
            return None
        size = samples if is_over or samples >= SHORTEST_CHUNK else 0
        if samples > LONGEST_CHUNK:
            size = min(LONGEST_CHUNK, samples - SHORTEST_CHUNK)
        if size < samples:
            self._sound.appendleft(waiting[2 * size :])
        return float_from_int16(np.frombuffer(waiting[: 2 * size], "<i2"))


class Service:
    """The thread that serves the helper, and the requests before it."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Utterance | None] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._helper: Helper | None = None
        self._current: Utterance | None = None
        self._answers = 0
        """Grows while the helper works; a listener who sees it stand still for too long ends the helper."""
        self._is_starting = False
        self._is_closed = False
        self._count = 0
        self._thread = threading.Thread(target=self._serve, name="espeak", daemon=True)
        self._thread.start()

    # --- in a loop

    def put(self, utterance: Utterance) -> None:
        try:
            self._waiting.put_nowait(utterance)
        except queue.Full:
            raise EngineError(
                "espeak-ng is asked for more than it can say", "Limit the sessions of this server.", code="busy"
            ) from None

    async def next_sound(self, utterance: Utterance) -> Pcm | None:
        """The next chunk, or None at the end. Notices a helper that hangs, also with somebody else's words."""
        idle_s = 0.0
        while (sound := utterance.take()) is not None and not sound.size:
            answers = self._answers
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await utterance.wait()
            except TimeoutError:
                idle_s = idle_s + PATIENCE_S if self._answers == answers else 0.0
                if idle_s >= (START_S if self._is_starting else PATIENCE_S):
                    self._end_helper()
        return sound

    def drop(self, utterance: Utterance) -> None:
        """Nobody listens any more. Does nothing to one that is over."""
        utterance.is_wanted = False
        with self._lock:
            if self._current is utterance and self._helper is not None:
                self._helper.stop(utterance.number)

    # --- in any thread

    def close(self) -> None:
        """End the helper and the thread. What waits ends with an error."""
        self._is_closed = True
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._end_helper()
        self._thread.join()

    def _end_helper(self) -> None:
        with self._lock:
            if self._helper is not None:
                self._helper.kill()

    # --- in the thread

    def _serve(self) -> None:
        while not self._is_closed and (utterance := self._waiting.get()) is not None:
            utterance.end(self._say(utterance) if utterance.is_wanted else None)
            if self._helper is None or self._helper.asked >= MOST_SAID:
                self._renew()
        self._let_go()
        while not self._waiting.empty():
            if (left := self._waiting.get()) is not None:
                left.end(_failure("espeak-ng was closed"))

    def _say(self, utterance: Utterance) -> EngineError | None:
        """Have it said; what went wrong, if anything did."""
        try:
            helper = self._present()
        except (OSError, EOFError) as error:
            self._let_go()
            reason = f": {error}" if str(error) else ""
            return EngineError(f"espeak-ng could not be started{reason}", "Run `antiphon doctor`.")
        try:
            with self._lock:  # a request to stop comes behind the words, or not at all
                self._count += 1
                utterance.number = self._count
                self._current = utterance
                helper.ask(utterance)
            return self._listen(helper, utterance)
        except (OSError, EOFError):
            self._let_go()
            return _failure("espeak-ng was closed" if self._is_closed else "espeak-ng ended in mid-speech")
        finally:
            with self._lock:
                self._current = None

    def _listen(self, helper: Helper, utterance: Utterance) -> EngineError | None:
        while True:
            kind, payload = helper.read()
            self._answers += 1
            if kind == ERROR:
                return _failure(payload.decode())
            if kind == END:
                return None
            if kind == MARKS:
                utterance.mark(payload)
            elif kind == SPELLED:
                utterance.spell(payload)
            elif utterance.is_wanted:
                utterance.add(payload)

    def _present(self) -> Helper:
        """The helper, started or replaced if need be. Raises `OSError` or `EOFError` if it cannot be had."""
        if self._helper is not None and not self._helper.is_alive():
            self._let_go()
        if self._helper is None:
            started = Helper()
            with self._lock:
                self._helper = started
            self._is_starting = True
            try:
                started.wait_until_ready()
            finally:
                self._answers += 1
                self._is_starting = False
        return self._helper

    def _renew(self) -> None:
        """Have a helper ready for the next words, unless it cannot be had: then they are told why."""
        self._let_go()
        if not self._is_closed:
            try:
                self._present()
            except (OSError, EOFError):
                self._let_go()

    def _let_go(self) -> None:
        with self._lock:
            helper, self._helper = self._helper, None
        if helper is not None:
            helper.close()


class Helper:
    """The process and its pipes. `stop` and `kill` may be called beside the others, but not after `close`."""

    def __init__(self) -> None:
        self.asked = 0
        """Requests so far."""
        # A group of its own, so that Ctrl-C in a terminal is ours to handle.
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin = self._process.stdin
        self._stdout = self._process.stdout

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        kind, payload = self.read()
        rate_hz = struct.unpack("<I", payload)[0] if kind == READY else 0
        if rate_hz != RATE_HZ:
            raise OSError(f"its library speaks at {rate_hz} Hz")

    def ask(self, utterance: Utterance) -> None:
        manner = manner_of(utterance.request)
        voice, words = manner.voice.encode(), utterance.text.encode()
        fixed = REQUEST.pack(
            utterance.kind, utterance.number, manner.words_per_minute, manner.pitch, len(voice), len(words)
        )
        self.asked += 1
        os.write(self._stdin.fileno(), fixed + voice + words)  # whole: it is less than PIPE_BUF

    def stop(self, number: int) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._stdin.fileno(), REQUEST.pack(STOP, number, 0, 0, 0, 0))

    def read(self) -> tuple[int, bytes]:
        """The next answer's kind and payload. Raises `EOFError` if the process is gone."""
        _, kind, length = ANSWER.unpack(self._exactly(ANSWER.size))
        return kind, self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        data = self._stdout.read(length)
        if len(data) < length:
            raise EOFError
        return data

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def close(self) -> None:
        self.kill()
        self._process.wait()
        self._stdin.close()
        self._stdout.close()


def pieces(text: str) -> Iterator[tuple[int, str]]:
    """A text in parts that one request can hold, and where each begins; cut where a speaker might breathe, and none
    without letters or digits."""
    start = 0
    while start < len(text):
        end = start + LONGEST_PIECE
        if end < len(text):
            breaths = [text.rfind(mark, start, end) + len(mark) for mark in (". ", "\n", ", ", " ")]
            end = next((breath for breath in breaths if breath > start + LONGEST_PIECE // 2), end)
        piece = "".join(map(_harmless, text[start:end]))
        if any(map(str.isalnum, piece)):
            yield start, piece
        start = end


def _harmless(letter: str) -> str:
    """The letter, unless it is a command to the library or to a terminal, or half of a letter."""
    category = unicodedata.category(letter)
    if category == "Cc":
        return " "
    return "" if category in ("Cs", "Co", "Cn") else letter


def _failure(message: str) -> EngineError:
    return EngineError(message, "The helper starts again with the next words; `antiphon doctor` checks it.")
