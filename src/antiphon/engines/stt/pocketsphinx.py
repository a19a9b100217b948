"""PocketSphinx as a recogniser: no download, no network, English only.

For the offline assistant it listens for the assistant's own sentences, and does that well; what is none of them is
handed on as the free language model hears it, which is poor, so that the assistant can say that it did not
understand. Transcription without the assistant always uses the free model. Decoding happens in helper processes
(`pocketsphinx_worker`); one that dies or hangs is replaced at once, so that the next words do not wait for its models.

Looks at what goes on have a process of their own, which yields the processor to the others: a conversation's words
never wait for one. It is not ended when nobody asks any more: no request should have to start a process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.units import HEARING_RATE, Pcm, Seconds
from antiphon.engines.api import SttRequest, Transcript, TranscriptDelta
from antiphon.engines.stt.clip import spoken_clip
from antiphon.errors import EngineError

log = logging.getLogger("antiphon.stt")

T = TypeVar("T")

MODULE = "antiphon.engines.stt.pocketsphinx_worker"
LONGEST_S = 60.0
LOAD_S = 120.0  # to load the models, for which nobody waits: a machine may have no time for us for half a minute
START_S = 30.0  # the least that is allowed for an utterance
PATIENCE = 10.0  # times the length of the sound, if that is more: then the worker hangs
WORTH_FINISHING_S = 3.0  # of sound that nobody asks about any more: it takes as long as to load the models again
YIELDING = 10  # niceness: a tenth of a core, where another process wants the rest


class PocketSphinx:
    """`Stt` on `workers` processes for utterances and one for looks, started by `warm` or by the first of either."""

    languages: frozenset[str] | None = frozenset({"en"})
    caveat: str = "understands the offline assistant's requests; otherwise poor, and English only"

    def __init__(self, workers: int = 1) -> None:
        self._utterances = Crew([Worker() for _ in range(workers)], ("requests", "anything"))
        self._looks = Crew([Worker(niceness=YIELDING)], ("anything",), worth_finishing_s=LONGEST_S)
        self._has_warned = False

    async def warm(self) -> None:
        """Load the models of all workers. The looks' are loaded after this: nobody has to wait for those."""
        await self._utterances.warm()
        self._looks.begin_warming()

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
        crew = self._looks if request.is_partial else self._utterances
        text, accepted = await crew.recognise(_bounded(pcm), listens_for)
        yield Transcript(text, "en", 1.0 if accepted and not is_free else None)

    async def close(self) -> None:
        """End the workers. A later `transcribe` starts others."""
        await self._utterances.close()
        await self._looks.close()


class Crew:
    """Workers who take turns, on one event loop after the other."""

    def __init__(
        self, workers: Sequence[Worker], listen_for: Sequence[str], worth_finishing_s: Seconds = WORTH_FINISHING_S
    ) -> None:
        """`listen_for` is what they are to have models ready for, the most urgent first. Up to `worth_finishing_s` of
        sound are finished also when nobody asks any more."""
        self._workers = workers
        self._listen_for = listen_for
        self._worth_finishing_s = worth_finishing_s
        self._free: asyncio.Queue[Worker] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tidying: set[asyncio.Task[None]] = set()

    async def warm(self) -> None:
        """Have each worker load its models."""
        await asyncio.gather(
            *(self._with_a_worker(lambda worker: self._load(worker, self._listen_for)) for _ in self._workers)
        )

    def begin_warming(self) -> None:
        """The same, without waiting for it. What fails is told, and tried again by whoever asks first."""

        async def warm() -> None:
            try:
                await self.warm()
            except EngineError as error:
                log.warning("the recogniser is not ready for looks: %s", error.message)

        self._keep(asyncio.ensure_future(warm()))

    async def recognise(self, sound: bytes, listens_for: str) -> tuple[str, bool]:
        """Words, and whether they are what was listened for. Cancelling ends the process, and another is started; what
        is soon done is finished for nobody instead."""
        return await self._with_a_worker(
            lambda worker: worker.recognise(sound, listens_for, START_S),
            len(sound) <= 2 * HEARING_RATE * self._worth_finishing_s,
        )

    async def close(self) -> None:
        """End the workers."""
        for task in self._tidying:
            task.cancel()
        await asyncio.gather(*self._tidying, return_exceptions=True)
        for worker in self._workers:
            await worker.close()

    async def _with_a_worker(self, ask: Callable[[Worker], Coroutine[Any, Any, T]], finishes: bool = False) -> T:
        queue = self._queue()
        worker = await queue.get()
        work = asyncio.ensure_future(ask(worker))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            if not finishes:
                work.cancel()
            raise
        finally:
            if work.done() and worker.is_running:
                queue.put_nowait(worker)
            else:
                self._keep(asyncio.ensure_future(self._tidy(worker, work, queue)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        """Until it is done, or this is closed."""
        self._tidying.add(task)
        task.add_done_callback(self._tidying.discard)

    async def _tidy(self, worker: Worker, work: asyncio.Future[T], queue: asyncio.Queue[Worker]) -> None:
        """Once the work is over, and the worker there again if it has ended, it is free."""
        try:
            await asyncio.gather(work, return_exceptions=True)
            if not worker.is_running:
                await self._load(worker, self._listen_for[:1])
        except EngineError as error:
            log.warning("the recogniser is not back: %s", error.message)
        finally:
            queue.put_nowait(worker)

    async def _load(self, worker: Worker, listen_for: Sequence[str]) -> None:
        clip = await asyncio.to_thread(spoken_clip)
        for listens_for in listen_for:
            await worker.recognise(_bounded(clip), listens_for, LOAD_S)

    def _queue(self) -> asyncio.Queue[Worker]:
        loop = asyncio.get_running_loop()
        if self._free is None or self._loop is not loop:
            self._loop, self._free = loop, asyncio.Queue()
            self._tidying.clear()  # they ended with their loop
            for worker in self._workers:
                self._free.put_nowait(worker)
        return self._free


class Worker:
    """One helper process."""

    def __init__(self, niceness: int = 0) -> None:
        """`niceness` is how much it yields the processor to others."""
        self._niceness = niceness
        self._process: Process | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def recognise(self, sound: bytes, listens_for: str, least_s: Seconds) -> tuple[str, bool]:
        """Words, and whether they are what was listened for. It hangs if it takes `least_s`, or ten times as long as
        the sound if that is more. Cancelling ends the process."""
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        is_done = False
        try:
            request = json.dumps({"bytes": len(sound), "listens_for": listens_for}).encode()
            process.stdin.write(request + b"\n" + sound)
            async with asyncio.timeout(max(least_s, PATIENCE * len(sound) / 2 / HEARING_RATE)):
                await process.stdin.drain()
                line = await process.stdout.readline()
            if not line:
                raise EngineError("the recogniser stopped", "It is being started again.", code="stt_failed")
            answer = json.loads(line)
            is_done = True
        except (TimeoutError, ConnectionError):
            raise EngineError("the recogniser hangs", "It is being started again.", code="stt_failed") from None
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
            sys.executable, "-m", MODULE, str(self._niceness), stdin=PIPE, stdout=PIPE, stderr=DEVNULL
        )
        return self._process

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        self._process = None


def _bounded(pcm: Pcm) -> bytes:
    """The utterance as a worker takes it."""
    return int16_from_float(pcm[: round(LONGEST_S * HEARING_RATE)]).tobytes()
