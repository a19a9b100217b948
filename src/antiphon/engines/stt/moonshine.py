"""Moonshine's streaming recognisers, by its own library: English with low latency on small machines.

One stream for each utterance. The library listens to what is new and revises its last words; the text grows by lines,
which are joined here. It does not download: the folder is one on this machine.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

from antiphon.audio.units import HEARING_RATE, Pcm, Seconds
from antiphon.engines.api import Hypothesis, SttRequest, Transcript, TranscriptDelta, Word
from antiphon.engines.pool import Share
from antiphon.engines.stt.agreement import Agreement
from antiphon.engines.stt.clip import spoken_clip
from antiphon.engines.utterance import Utterance
from antiphon.errors import ConfigError, EngineError, NotInstalled

log = logging.getLogger("antiphon.stt")

STEP_S: Seconds = 0.3  # of new sound before each look
ARCHITECTURES = {"medium": "MEDIUM_STREAMING", "small": "SMALL_STREAMING", "tiny": "TINY_STREAMING"}
"""By a word in the folder's name."""
ONE_THREAD = "MOONSHINE_ORT_SINGLE_THREAD"
"""The variable of the environment that the library looks for when it loads a model: it has no other setting for it."""
NEVER_S = 1e9  # the library is asked, and does not decide itself when to look


class Moonshine:
    """`Stt` and `Listener` on a folder with a streaming model."""

    languages: frozenset[str] | None = frozenset({"en"})

    def __init__(self, folder: Path, pool: Share) -> None:
        """The library computes with one thread, or with as many as the machine has cores: with one if that is the
        pool's `threads_each`. Raises `ConfigError` for what is no model."""
        try:
            import moonshine_voice  # noqa: F401 - a start without it should say so at once
        except ImportError:
            raise NotInstalled("moonshine-voice", "moonshine") from None
        if not list(folder.glob("*.ort")) or not (folder / "tokenizer.bin").is_file():
            raise ConfigError(
                f"{folder} holds no Moonshine model: it needs .ort files and tokenizer.bin",
                "Get one with: antiphon models pull moonshine-small",
            )
        if pool.threads_each == 1:
            os.environ[ONE_THREAD] = "1"
        self._folder = folder
        self._pool = pool
        self._transcriber: Any = None
        self._loading = asyncio.Lock()

    async def warm(self) -> None:
        """Load the weights, and recognise a second of speech."""
        if self._transcriber is None:
            async with self._loading:
                self._transcriber = self._transcriber or await self._pool.run(self._load, limit_s=600)

    async def close(self) -> None:
        transcriber, self._transcriber = self._transcriber, None
        if transcriber is not None:
            await self._pool.run(transcriber.close)

    async def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
        """See `Stt.transcribe`. There are no deltas: the sound is over already."""
        async for event in self.listen(Utterance(pcm), request):
            if isinstance(event, Transcript):
                yield event

    async def listen(self, utterance: Utterance, request: SttRequest) -> AsyncIterator[Hypothesis | Transcript]:
        """See `Listener.listen`."""
        await self.warm()
        take = _Take(self._transcriber)
        agreement, last, seen = Agreement(), Hypothesis("", ""), 0
        try:
            while True:
                await utterance.until(seen + round(STEP_S * HEARING_RATE))
                if utterance.is_ended:
                    break
                sound, seen = utterance.view(seen), utterance.size
                agreement.hear((await self._look(take, sound, is_last=False)).text)
                news = Hypothesis(agreement.stable, agreement.tail)
                if news != last:
                    last = news
                    yield news
            yield await self._look(take, utterance.view(min(seen, utterance.size)), is_last=True)
        finally:
            # Not waited for by a worker while a look hangs, which closes the stream itself when it comes back.
            if take.end():
                closing = asyncio.ensure_future(self._pool.run(take.close))
                closing.add_done_callback(_told)
                await asyncio.shield(asyncio.wait([closing]))

    async def _look(self, take: _Take, sound: Pcm, *, is_last: bool) -> Transcript:
        try:
            return await self._pool.run(lambda: take.look(sound, is_last=is_last), is_partial=not is_last)
        except (RuntimeError, OSError) as error:
            raise EngineError(f"Moonshine failed: {error}", "Speak again.", code="stt_failed") from None

    def _load(self) -> Any:
        from moonshine_voice.moonshine_api import ModelArch
        from moonshine_voice.transcriber import Transcriber

        name = self._folder.name.lower()
        architecture = next((arch for word, arch in ARCHITECTURES.items() if word in name), "SMALL_STREAMING")
        try:
            transcriber = Transcriber(str(self._folder), ModelArch[architecture], update_interval=NEVER_S)
            take = _Take(transcriber)
            take.look(spoken_clip(), is_last=True)
            take.close()
        except Exception as error:  # noqa: BLE001 - the library's errors have no common base
            raise EngineError(
                f"the Moonshine model in {self._folder} cannot be loaded: {error}",
                "Download it again; the folder's name should say tiny, small or medium.",
                code="model_broken",
            ) from None
        return transcriber


class _Take:
    """One stream of the library's, opened by its first look. In workers' threads, but for `end`; a look that nobody
    waits for any more may still be under way when the stream is to be closed: then it closes it."""

    def __init__(self, transcriber: Any) -> None:
        self._transcriber = transcriber
        self._stream: Any = None
        self._is_ended = False
        self._is_busy = False
        self._lock = threading.Lock()  # of the two flags: never held while the library works

    def look(self, sound: Pcm, *, is_last: bool) -> Transcript:
        """Everything heard so far, after this sound. One at a time."""
        if not self._begin():
            return Transcript("")
        try:
            return self._look(sound, is_last=is_last)
        finally:
            with self._lock:
                self._is_busy = False
                is_left = self._is_ended
            if is_left:
                self.close()

    def _begin(self) -> bool:
        with self._lock:
            self._is_busy = not self._is_ended
            return self._is_busy

    def end(self) -> bool:
        """Begin no more looks. Whether the stream is now the caller's to close. Never waits."""
        with self._lock:
            self._is_ended = True
            return not self._is_busy

    def _look(self, sound: Pcm, *, is_last: bool) -> Transcript:
        if self._stream is None:
            self._stream = self._transcriber.create_stream(update_interval=NEVER_S)
            self._stream.start()
        if sound.size:
            self._stream.add_audio(np.ascontiguousarray(sound, np.float32).tolist(), HEARING_RATE)
        found = self._stream.stop() if is_last else self._stream.update_transcription()
        lines = [] if found is None else found.lines
        words = tuple(
            Word(word.word.strip(), float(word.start), float(word.end)) for line in lines for word in line.words or ()
        )
        return Transcript(" ".join(line.text.strip() for line in lines if line.text.strip()), "en", words=words)

    def close(self) -> None:
        """After `end`, once."""
        if self._stream is not None:
            self._stream.close()


def _told(closing: asyncio.Future[None]) -> None:
    """A stream that cannot be closed is a warning: the transcript is there."""
    if not closing.cancelled() and (error := closing.exception()) is not None:
        log.warning("a stream of Moonshine's was not closed: %s", error)
