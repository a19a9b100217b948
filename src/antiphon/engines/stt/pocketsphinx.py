"""PocketSphinx as a recogniser: no download, no network, English only.

For the offline assistant it listens for the assistant's own sentences, and does that well; what is none of them is
handed on as the free language model hears it, which is poor, so that the assistant can say that it did not
understand. Transcription without the assistant always uses the free model. Decoding happens in helper processes
(`pocketsphinx_worker`); one that dies or hangs is replaced.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator

import numpy as np

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.units import HEARING_RATE, Pcm
from antiphon.engines.api import SttRequest, Transcript, TranscriptDelta
from antiphon.errors import EngineError

log = logging.getLogger("antiphon.stt")

MODULE = "antiphon.engines.stt.pocketsphinx_worker"
LONGEST_S = 60.0
START_S = 30.0  # to load the models
PATIENCE = 10.0  # times the length of the sound, and never less than START_S: then the worker hangs


class PocketSphinx:
    """`Stt` on one worker process for each of `workers`; they are started with the first utterance."""

    languages: frozenset[str] | None = frozenset({"en"})
    caveat: str = "understands the offline assistant's requests; otherwise poor, and English only"

    def __init__(self, workers: int = 1) -> None:
        self._free: asyncio.Queue[Worker] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._workers = [Worker() for _ in range(workers)]
        self._has_warned = False
        self._unwanted: set[asyncio.Task[tuple[str, bool]]] = set()
        """Looks at unfinished utterances that nobody waits for any more, but that are still being taken."""

    async def warm(self) -> None:
        """Load the models: all workers decode a second of silence."""
        for _ in self._workers:  # they take turns
            for listens_for in ("requests", "anything"):
                await self._recognise(np.zeros(HEARING_RATE, np.float32), listens_for, is_partial=False)

    async def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
        """See `Stt.transcribe`. There are no deltas."""
        language = (request.language or "en").partition("-")[0].lower()
        if language != "en":
            raise EngineError(
                f"PocketSphinx understands English only, not {request.language!r}",
                "Ask for language 'en', or set stt.base_url to an OpenAI-compatible recogniser.",
                code="unsupported_language",
            )
        is_free = request.purpose == "transcription"
        if is_free and not self._has_warned:
            self._has_warned = True
            log.warning("free transcription by PocketSphinx is poor, and English only; set stt.base_url for better")
        listens_for = "anything" if is_free else "answers" if request.awaits_consent else "requests"
        text, accepted = await self._recognise(pcm, listens_for, is_partial=request.is_partial)
        yield Transcript(text, "en", 1.0 if accepted and not is_free else None)

    async def _recognise(self, pcm: Pcm, listens_for: str, *, is_partial: bool) -> tuple[str, bool]:
        """Cancelling ends the worker, but for a look at what goes on: that is short, and a worker takes seconds to be
        there again, for which the whole utterance would wait."""
        queue = self._queue()
        worker = await queue.get()
        work = asyncio.ensure_future(worker.recognise(_bounded(pcm), listens_for))
        work.add_done_callback(lambda _: queue.put_nowait(worker))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            if is_partial:
                self._unwanted.add(work)
                work.add_done_callback(self._forget)
            else:
                work.cancel()
                await asyncio.wait([work])
            raise

    def _forget(self, work: asyncio.Task[tuple[str, bool]]) -> None:
        self._unwanted.discard(work)
        if not work.cancelled() and (failure := work.exception()) is not None:
            log.debug("a look that nobody waited for failed: %s", failure)

    async def close(self) -> None:
        """End the workers. A later `transcribe` starts others."""
        for work in self._unwanted:
            work.cancel()
        for worker in self._workers:
            await worker.close()

    def _queue(self) -> asyncio.Queue[Worker]:
        loop = asyncio.get_running_loop()
        if self._free is None or self._loop is not loop:
            self._loop, self._free = loop, asyncio.Queue()
            for worker in self._workers:
                self._free.put_nowait(worker)
        return self._free


class Worker:
    """One helper process."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def recognise(self, sound: bytes, listens_for: str) -> tuple[str, bool]:
        """Words, and whether they are what was listened for. Cancelling ends the process."""
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        is_done = False
        try:
            request = json.dumps({"bytes": len(sound), "listens_for": listens_for}).encode()
            process.stdin.write(request + b"\n" + sound)
            async with asyncio.timeout(max(START_S, PATIENCE * len(sound) / 2 / HEARING_RATE)):
                await process.stdin.drain()
                line = await process.stdout.readline()
            if not line:
                raise EngineError(
                    "the recogniser stopped", "It is started again with the next words.", code="stt_failed"
                )
            answer = json.loads(line)
            is_done = True
        except (TimeoutError, ConnectionError):
            raise EngineError(
                "the recogniser hangs", "It is started again with the next words.", code="stt_failed"
            ) from None
        finally:
            if not is_done:
                self._kill()
        return answer["text"], answer["accepted"]

    async def close(self) -> None:
        process = self._process
        self._kill()
        if process is not None and self._loop is asyncio.get_running_loop():
            await process.wait()

    async def _running(self) -> Process:
        loop = asyncio.get_running_loop()
        if self._process is not None and self._process.returncode is None and self._loop is loop:
            return self._process
        self._loop = loop
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", MODULE, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
        )
        return self._process

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        self._process = None


def _bounded(pcm: Pcm) -> bytes:
    """The utterance as a worker takes it."""
    return int16_from_float(pcm[: round(LONGEST_S * HEARING_RATE)]).tobytes()
