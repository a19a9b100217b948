"""The engines of one role, which look like one: the same question goes to the next when one fails or is slow.

What was asked is asked again only while nothing of an answer has come, for nobody wants to hear a beginning twice. An
engine that says nothing for half of the time that it may take has company then: who begins first answers, the others
are stopped. One that failed is left alone for a while, and found out to be back by a probe, not by somebody's turn. A
server that is the only one of its role is a chain as well: it is asked as long as it does not say that it wants to be
left alone, but not waited for at length again and again. What is asked or answered is not known here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Generic, TypeVar, cast

from msgspec import Struct, field

from antiphon.audio.pcm import guarded
from antiphon.audio.resample import Resampler
from antiphon.audio.units import Pcm, Seconds
from antiphon.engines.api import (
    CallDelta,
    Llm,
    LlmEnd,
    LlmRequest,
    Stt,
    TextDelta,
    Tts,
    TtsRequest,
    WordMark,
)
from antiphon.engines.breaker import Breaker
from antiphon.errors import AntiphonError, EngineError

log = logging.getLogger("antiphon.engines")

AHEAD = 2  # pieces that an engine may be ahead of who reads it: a stalled reader must stall its engine
FAULTS_OF_THE_QUESTION = frozenset({"upstream_rejected", "context_length_exceeded"})
"""Codes that say nothing about the engine: the next question may suit it."""

STALLED = "upstream_timeout"

E = TypeVar("E", Llm, Stt, Tts)
T = TypeVar("T")


class Link(Struct, Generic[E]):
    """One engine of a chain."""

    name: str
    """For logs, such as "llm 2 (openai)"."""
    engine: E
    first_byte_s: Seconds
    """How long it may take to begin. After half of that the next one is asked as well."""
    breaker: Breaker = field(default_factory=Breaker)


class End(Struct):
    """The last thing in an attempt's queue: it is over, well or not."""

    error: Exception | None = None


class Attempt(Generic[T]):
    """One engine at work on one question, in a task of its own, so that it can be stopped whatever it waits for."""

    def __init__(self, link: Link[Any], answer: AsyncIterator[T], patience_s: Seconds | None = None) -> None:
        """It fails if nothing has come after `patience_s`; without, the engine knows how long it may take."""
        loop = asyncio.get_running_loop()
        self.link = link
        self.asked = loop.time()
        self.began: asyncio.Future[None] = loop.create_future()
        """Done when the first piece has come; fails if none will."""
        self._patience_s = patience_s
        self._pieces: asyncio.Queue[T | End] = asyncio.Queue(AHEAD)
        self._task = loop.create_task(self._work(cast("AsyncGenerator[T, None]", answer)), name=link.name)

    async def pieces(self) -> AsyncGenerator[T, None]:
        """The answer; raises what the engine raised."""
        while True:
            piece = await self._pieces.get()
            if not isinstance(piece, End):
                yield piece
                continue
            if piece.error is not None:
                raise piece.error
            return

    async def stop(self) -> None:
        """Stop the work behind it, and wait until that has been cleaned up."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if not self.began.done():
            self.began.cancel()
        elif not self.began.cancelled():
            self.began.exception()  # it was looked at: asyncio is not to complain

    async def _work(self, answer: AsyncGenerator[T, None]) -> None:
        error: Exception | None = None
        limit = asyncio.timeout(self._patience_s)
        try:
            async with limit, aclosing(answer) as pieces:
                async for piece in pieces:
                    if not self.began.done():
                        limit.reschedule(None)
                        self.began.set_result(None)
                    await self._pieces.put(piece)
        except Exception as failure:  # noqa: BLE001 - handed on whole to who waits
            error = self._hurried() if limit.expired() else failure
        if not self.began.done():
            if error is None:
                self.began.set_result(None)
            else:
                self.began.set_exception(error)
        await self._pieces.put(End(error))

    def _hurried(self) -> EngineError:
        return EngineError(
            f"{self.link.name} has stalled a moment ago, and did not begin within {self._patience_s:g} s now",
            "Is the server overloaded? Its log may say; first_byte_timeout_s is how long it may take when it is well.",
            code=STALLED,
        )


class Chain(Generic[E]):
    """Engines of one role, the most wanted first."""

    def __init__(self, links: Sequence[Link[E]]) -> None:
        self.links: tuple[Link[E], ...] = tuple(links)
        self._probes: dict[str, asyncio.Task[None]] = {}

    async def warm(self) -> None:
        """All of them. One that cannot be is left for later; raises if none can."""
        results = await asyncio.gather(*(link.engine.warm() for link in self.links), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        for link, result in zip(self.links, results, strict=True):
            if isinstance(result, BaseException):
                self.failed(link, result)
        if len(failures) == len(results):
            raise failures[0]

    async def close(self) -> None:
        probes = list(self._probes.values())
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)
        for link in self.links:
            close = getattr(link.engine, "close", None)
            if close is not None:
                await close()

    async def answer(
        self, ask: Callable[[Link[E]], AsyncIterator[T]], without: Link[E] | None = None
    ) -> AsyncGenerator[T, None]:
        """What the first engine that begins to answer says. Raises what it raises once it has begun, or what the last
        one raised if none began. `without` is not asked."""
        attempts: list[Attempt[T]] = []
        try:
            link, answer = await self._asked(ask, self.order(without), attempts)
            try:
                async with aclosing(answer) as pieces:
                    async for piece in pieces:
                        yield piece
            except Exception as error:
                self.failed(link, error)
                raise
            except GeneratorExit:  # who asked has heard enough
                link.breaker.worked()
                raise
            link.breaker.worked()
        finally:
            for attempt in attempts:
                await attempt.stop()

    async def _asked(
        self, ask: Callable[[Link[E]], AsyncIterator[T]], links: Sequence[Link[E]], attempts: list[Attempt[T]]
    ) -> tuple[Link[E], AsyncGenerator[T, None]]:
        """Who answers, and the answer. One that nobody could take over from, and that has all its time, is asked
        without a task of its own: that would be most of what a short answer costs."""
        if len(links) == 1 and links[0].breaker.hurry(asyncio.get_running_loop().time()) == 1.0:
            return links[0], cast("AsyncGenerator[T, None]", ask(links[0]))
        winner = await self._first(ask, links, attempts)
        for other in attempts:
            if other is not winner:
                await other.stop()
        return winner.link, winner.pieces()

    async def _first(
        self, ask: Callable[[Link[E]], AsyncIterator[T]], links: Sequence[Link[E]], attempts: list[Attempt[T]]
    ) -> Attempt[T]:
        """The attempt that begins first; the others are among `attempts` and may still be at work."""
        waiting = deque(links)
        running: list[Attempt[T]] = []
        loop = asyncio.get_running_loop()

        def start() -> None:
            link = waiting.popleft()
            hurry = link.breaker.hurry(loop.time())
            attempt = Attempt(link, ask(link), None if hurry == 1.0 else hurry * link.first_byte_s)
            attempts.append(attempt)
            running.append(attempt)

        start()
        while True:
            newest = running[-1]
            patience_s = max(0.0, newest.asked + newest.link.first_byte_s / 2 - loop.time()) if waiting else None
            await asyncio.wait(
                [attempt.began for attempt in running], timeout=patience_s, return_when=asyncio.FIRST_COMPLETED
            )
            done = [attempt for attempt in running if attempt.began.done()]
            for attempt in done:
                error = attempt.began.exception()
                if error is None:
                    self._note_slow(running, attempt)
                    return attempt
                running.remove(attempt)
                self.failed(attempt.link, error)
                if not running and not waiting:
                    raise error
            if waiting and (not done or not running):
                if not done:
                    log.warning("%s has not begun to answer: %s is asked as well", newest.link.name, waiting[0].name)
                start()

    def _note_slow(self, running: Sequence[Attempt[T]], winner: Attempt[T]) -> None:
        """Whoever was asked before and is behind would make the next turn wait as well."""
        for attempt in running[: running.index(winner)]:
            self.failed(attempt.link, TimeoutError(f"slower than {winner.link.name}"))

    def order(self, without: Link[E] | None = None) -> list[Link[E]]:
        """Whom to ask, one after the other. If all are resting, one whose rest is only our own guess is asked all the
        same. Raises `EngineError` if all have asked to be left alone."""
        links = [link for link in self.links if link is not without]
        open_to_us = [link for link in links if not link.breaker.is_open]
        if open_to_us:
            return open_to_us
        guessed = [link for link in links if not link.breaker.is_told_to_wait]
        if guessed:
            return guessed[-1:]
        wait_s = min(link.breaker.rests_until for link in links) - asyncio.get_running_loop().time()
        raise EngineError(
            f"{' and '.join(link.name for link in links)} asked to be left alone for now",
            f"Ask again in {max(1.0, wait_s):.0f} s; add another engine, or raise the limits with the provider.",
            code="upstream_rate_limited",
        )

    # --- who works

    def failed(self, link: Link[E], error: BaseException) -> None:
        """Take note of an engine's failure: it rests, unless the question was at fault, and is probed."""
        if getattr(error, "code", None) in FAULTS_OF_THE_QUESTION:
            log.warning("%s refused a question: %s", link.name, _message(error))
            return
        if not isinstance(error, EngineError | TimeoutError):
            log.error("%s broke", link.name, exc_info=error)
        now = asyncio.get_running_loop().time()
        stalled = getattr(error, "code", None) == STALLED
        link.breaker.failed(now, getattr(error, "retry_after_s", None), stalled=stalled)
        rest_s = link.breaker.rests_until - now
        log.warning("%s failed and rests for %.0f s: %s", link.name, rest_s, _message(error))
        if link.name not in self._probes:
            probe = asyncio.get_running_loop().create_task(self._probe(link), name=f"probe of {link.name}")
            self._probes[link.name] = probe
            probe.add_done_callback(lambda _: self._probes.pop(link.name, None))

    async def _probe(self, link: Link[E]) -> None:
        """Find out when it is back."""
        breaker, loop = link.breaker, asyncio.get_running_loop()
        while breaker.is_open:
            wait_s = breaker.rests_until - loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
                continue
            try:
                async with asyncio.timeout(link.first_byte_s):
                    await link.engine.warm()
            except Exception as error:  # noqa: BLE001 - whatever it is, the engine is not back
                breaker.failed(loop.time(), getattr(error, "retry_after_s", None))
            else:
                breaker.probed()
                log.info("%s seems to be back", link.name)


def _message(error: BaseException) -> str:
    return error.message if isinstance(error, AntiphonError) else str(error) or type(error).__name__


class FailoverLlm:
    """See `Llm`."""

    def __init__(self, links: Sequence[Link[Llm]]) -> None:
        self._chain = Chain(links)
        self.links = self._chain.links
        self.sees = links[0].engine.sees
        self.warm, self.close = self._chain.warm, self._chain.close

    def write(self, request: LlmRequest) -> AsyncIterator[TextDelta | CallDelta | LlmEnd]:
        """See `Llm.write`."""
        return self._chain.answer(lambda link: link.engine.write(request))


class FailoverTts:
    """See `Tts`; at the rate of the first, whoever speaks."""

    def __init__(self, links: Sequence[Link[Tts]]) -> None:
        self._chain = Chain(links)
        self.links = self._chain.links
        self.rate = links[0].engine.rate
        self.warm, self.close = self._chain.warm, self._chain.close

    def voices(self) -> list[str]:
        """Those of the first."""
        known = getattr(self._chain.links[0].engine, "voices", None)
        return list(known()) if known is not None else []

    def languages_of(self, voice: str) -> list[str]:
        """What the first speaks with this voice; empty if it does not know."""
        known = getattr(self._chain.links[0].engine, "languages_of", None)
        return list(known(voice)) if known is not None else []

    async def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        """See `Tts.speak`."""
        async with aclosing(self._chain.answer(lambda link: self._by(link.engine, text, request))) as pieces:
            async for piece in pieces:
                if not isinstance(piece, WordMark):
                    yield piece

    def speak_marked(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm | WordMark]:
        """See `MarkingTts`; without marks where who speaks has none."""
        return self._chain.answer(lambda link: self._by(link.engine, text, request))

    async def _by(self, voice: Tts, text: str, request: TtsRequest) -> AsyncIterator[Pcm | WordMark]:
        resampler = Resampler(voice.rate, self.rate) if voice.rate != self.rate else None
        source: Callable[[str, TtsRequest], AsyncIterator[Pcm | WordMark]] = getattr(voice, "speak_marked", voice.speak)
        async with aclosing(cast("AsyncGenerator[Pcm | WordMark, None]", source(text, request))) as pieces:
            async for piece in pieces:
                if isinstance(piece, WordMark):
                    yield WordMark(piece.letters, piece.samples * self.rate // voice.rate)
                    continue
                sound = guarded(piece).pcm
                if resampler is not None:
                    sound = resampler.push(sound)
                if sound.size:
                    yield sound
        rest = resampler.flush() if resampler is not None else None
        if rest is not None and rest.size:
            yield rest
