"""espeak-ng as a voice: no download, no network, any of a hundred languages, first sound in a few milliseconds, and
a robot.

The library lives in a helper process (`espeak_helper`), which is started with the first words and replaced when it
dies or hangs. Clauses are said one after the other, in the order they were asked for: at hundreds of times real time
nobody waits for another.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import unicodedata
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping

import numpy as np
from msgspec import Struct

from antiphon.audio.pcm import float_from_int16
from antiphon.audio.units import Pcm
from antiphon.engines.api import TtsRequest
from antiphon.engines.tts.espeak_helper import END, HEADER, SOUND
from antiphon.errors import EngineError

RATE_HZ = 22_050
WORDS_PER_MINUTE = 165
SLOWEST, FASTEST = 80, 450  # words per minute: the library's own limits
LONGEST_TEXT = 4_000  # letters of one clause
PATIENCE_S = 5.0  # for the next piece of sound: three hundred times what it takes
MODULE = "antiphon.engines.tts.espeak_helper"


class Timbre(Struct, frozen=True):
    """A voice of espeak-ng: the variant that is put on a language, and its pitch from 0 to 99."""

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
    "marin": Timbre("f3", 50),
    "nova": Timbre("f4", 55),
    "onyx": Timbre("m8", 25),
    "sage": Timbre("f1", 50),
    "shimmer": Timbre("f5", 65),
    "verse": Timbre("m6", 50),
}
"""What OpenAI's voices are here."""

DEFAULT = VOICES["marin"]
FILES: Mapping[str, str] = {"en": "en-us", "en-gb": "en", "zh": "cmn"}
"""What the library calls a language, where that is not its code."""
LANGUAGES = frozenset(
    {
        "af", "ar", "bg", "bn", "ca", "cs", "cy", "da", "de", "el", "en", "en-gb", "en-us", "eo", "es", "es-419",
        "et", "eu", "fa", "fi", "fr", "ga", "he", "hi", "hr", "hu", "hy", "id", "is", "it", "ja", "ka", "ko", "la",
        "lt", "lv", "mk", "ml", "mr", "ms", "nb", "nl", "pl", "pt", "pt-br", "ro", "ru", "sk", "sl", "sq", "sr",
        "sv", "sw", "ta", "te", "th", "tr", "uk", "ur", "vi", "yue", "zh",
    }
)  # fmt: skip
"""Names that may be asked for as a voice; anything else is the default voice in the request's language."""


class Espeak:
    """`Tts` on one helper process. Belongs to the event loop that first uses it."""

    rate: int = RATE_HZ

    def __init__(self) -> None:
        self._helper: Process | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn = asyncio.Lock()
        self._count = 0

    async def warm(self) -> None:
        """Start the helper and have it say a word to nobody."""
        async for _ in self.speak("Ready.", TtsRequest("marin")):
            pass

    async def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        """See `Tts.speak`. Leaving early tells the helper to stop; the next reader skips what is left."""
        words = _plain(text)
        if not words:
            return
        async with self._turn:
            helper = await self._running()
            self._count += 1
            number = self._count
            is_done = False
            try:
                await self._send(helper, {"id": number, "text": words, **_manner(request)})
                while (chunk := await self._next(helper, number)) is not None:
                    yield chunk
                is_done = True
            finally:
                if not is_done:
                    self._abort(helper, number)

    async def close(self) -> None:
        """End the helper. A later `speak` starts another."""
        helper, self._helper = self._helper, None
        if helper is None or helper.returncode is not None:
            return
        if self._loop is asyncio.get_running_loop():
            helper.kill()
            await helper.wait()

    # --- the helper

    async def _running(self) -> Process:
        loop = asyncio.get_running_loop()
        if self._helper is not None and self._helper.returncode is None and self._loop is loop:
            return self._helper
        self._loop = loop
        self._helper = await asyncio.create_subprocess_exec(
            sys.executable, "-m", MODULE, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                assert self._helper.stdout is not None
                await self._helper.stdout.readexactly(HEADER.size + struct.calcsize("<I"))
        except (asyncio.IncompleteReadError, TimeoutError):
            await self.close()
            raise EngineError(
                "espeak-ng could not be started",
                "Run `antiphon doctor`; pip install --force-reinstall espeakng-loader.",
            ) from None
        return self._helper

    async def _send(self, helper: Process, request: Mapping[str, object]) -> None:
        assert helper.stdin is not None
        try:
            helper.stdin.write(json.dumps(request).encode() + b"\n")
            await helper.stdin.drain()
        except (ConnectionError, RuntimeError):
            raise self._lost(helper) from None

    async def _next(self, helper: Process, number: int) -> Pcm | None:
        """The next sound of this utterance, or None at its end; frames of earlier ones are skipped."""
        assert helper.stdout is not None
        try:
            while True:
                async with asyncio.timeout(PATIENCE_S):
                    owner, kind, length = HEADER.unpack(await helper.stdout.readexactly(HEADER.size))
                    payload = await helper.stdout.readexactly(length)
                if owner != number:
                    continue
                if kind == SOUND:
                    return float_from_int16(np.frombuffer(payload, "<i2"))
                if kind == END:
                    return None
                raise EngineError(payload.decode(), "Choose another voice or language.", code="voice_failed")
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            raise self._lost(helper) from None

    def _abort(self, helper: Process, number: int) -> None:
        if helper.returncode is None and helper.stdin is not None and not helper.stdin.is_closing():
            helper.stdin.write(json.dumps({"abort": number}).encode() + b"\n")

    def _lost(self, helper: Process) -> EngineError:
        if helper.returncode is None:
            helper.kill()
        if self._helper is helper:
            self._helper = None
        return EngineError(
            "espeak-ng stopped in mid-speech", "It is started again with the next words.", code="voice_failed"
        )


def known_voices() -> list[str]:
    """Names that a client may ask for and that sound different."""
    return [*VOICES, *sorted(LANGUAGES)]


def _manner(request: TtsRequest) -> dict[str, object]:
    """How the library is told to say it."""
    name = request.voice.lower()
    words_per_minute = min(FASTEST, max(SLOWEST, round(WORDS_PER_MINUTE * request.speed)))
    base, _, variant = name.partition("+")
    if base in LANGUAGES and (not variant or (variant[:1] in "fm" and variant[1:].isdigit() and int(variant[1:]) <= 8)):
        voice = f"{FILES.get(base, base)}+{variant}" if variant else FILES.get(base, base)
        return {"voice": voice, "pitch": 50, "words_per_minute": words_per_minute}
    timbre = VOICES.get(name, DEFAULT)
    language = (request.language or "en-us").lower()
    if language not in LANGUAGES:
        language = language.partition("-")[0] if language.partition("-")[0] in LANGUAGES else "en-us"
    voice = f"{FILES.get(language, language)}+{timbre.variant}"
    return {"voice": voice, "pitch": timbre.pitch, "words_per_minute": words_per_minute}


def _plain(text: str) -> str:
    """Text without control characters, and not endless."""
    kept = "".join(" " if unicodedata.category(letter)[0] == "C" else letter for letter in text[:LONGEST_TEXT])
    return kept if any(letter.isalnum() for letter in kept) else ""
