"""A whole file's transcript: the file is read piece by piece, as fast as the detector and the recogniser take it.

It goes the same way as a live stream, with the same detector and the same utterances, so that memory does not grow
with the file. It does not know where the file is from, nor what is made of the text.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, TypeVar

from msgspec import Struct

from antiphon.engines.api import Stt, SttRequest
from antiphon.engines.stt.agreement import WholeOnly
from antiphon.hearing.hub import HearingHub
from antiphon.media.files import SoundFile, check_length
from antiphon.runtime.live import Event, Failed, Final, LiveTranscription, raise_first

T = TypeVar("T")

READ_AHEAD = 64  # utterances that nobody has taken yet


class Read(Struct, frozen=True):
    """How much of the file was read."""

    done_s: float
    share: float | None
    """In [0, 1]; None if nothing tells how much there is."""


class Ears(Struct, frozen=True):
    """What listens to the file."""

    hub: HearingHub
    stt: Stt


async def transcribe_file(
    source: Path | IO[bytes], ears: Ears, request: SttRequest, *, longest_s: float = float("inf")
) -> AsyncIterator[Final | Read]:
    """Yield every utterance in order, and now and then how far it is; the last is a `Read` of all that there was.

    Raises `PeerError` for what is no sound or too long, and `EngineError` when the recogniser failed. Closing it stops
    the work at once, but for the piece that is being read.
    """
    file = await in_thread(lambda: SoundFile(source))
    news: asyncio.Queue[Final | Read] = asyncio.Queue(READ_AHEAD)
    try:
        check_length(file.duration_s, longest_s)
        reading = asyncio.get_running_loop().create_task(_read(file, ears, request, longest_s, news), name="file")
        try:
            async for item in _until_done(news, reading):
                yield item
            yield Read(reading.result(), 1.0)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
    finally:
        file.close()


async def _read(
    file: SoundFile, ears: Ears, request: SttRequest, longest_s: float, news: asyncio.Queue[Final | Read]
) -> float:
    failures: list[Failed] = []

    async def take(event: Event) -> None:
        if isinstance(event, Failed):
            failures.append(event)
        elif isinstance(event, Final):
            await news.put(event)

    live = LiveTranscription(ears.hub, WholeOnly(ears.stt), take, request)
    try:
        pieces = file.pieces()
        while (piece := await in_thread(lambda: next(pieces, None))) is not None:
            await live.push(piece)
            raise_first(failures)
            check_length(live.position_s, longest_s)
            await news.put(Read(live.position_s, file.share(live.position_s)))
        await live.end()
        raise_first(failures)
        return live.position_s
    finally:
        await live.close()


async def _until_done(news: asyncio.Queue[T], work: asyncio.Task[float]) -> AsyncIterator[T]:
    """What comes through the queue, until the work is done and all of it was taken."""
    while not work.done():
        getting = asyncio.ensure_future(news.get())
        try:
            await asyncio.wait((getting, work), return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                yield getting.result()
        finally:
            getting.cancel()
    while not news.empty():
        yield news.get_nowait()


async def in_thread(work: Callable[[], T]) -> T:
    """The work's result, from a thread. Cancelling waits until the work is over: what it uses can be closed then."""
    future = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise
