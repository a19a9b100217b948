"""Several recognisers that look like one: see `engines.failover`. One that listens by itself goes on doing so.

Who fails while somebody speaks is followed by the next, which hears the utterance from its beginning; what was shown
as stable stays. Who takes too long for the last word has company, as with any other question: the others are given the
whole utterance. It does not know which engines they are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import TypeVar, cast

from antiphon.audio.units import Pcm
from antiphon.engines.api import Hypothesis, Listener, Stt, SttRequest, Transcript, TranscriptDelta
from antiphon.engines.failover import Attempt, Chain, Link
from antiphon.engines.stt.agreement import Agreeing, joined, pieces_of, unsaid
from antiphon.engines.utterance import Utterance
from antiphon.errors import EngineError

log = logging.getLogger("antiphon.engines")

T = TypeVar("T")


class FailoverStt:
    """`Stt` and `Listener`."""

    def __init__(self, links: Sequence[Link[Stt]]) -> None:
        self._chain = Chain(links)
        self.links = self._chain.links
        self.languages = links[0].engine.languages
        self.translates = all(getattr(link.engine, "translates", False) for link in links)
        self.warm, self.close = self._chain.warm, self._chain.close

    def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
        """See `Stt.transcribe`."""
        return self._chain.answer(lambda link: link.engine.transcribe(pcm, request))

    async def listen(self, utterance: Utterance, request: SttRequest) -> AsyncIterator[Hypothesis | Transcript]:
        """See `Listener.listen`."""
        shown = _Shown()
        failure: Exception | None = None
        for link in self._chain.order():
            if not hasattr(link.engine, "listen"):
                break
            try:
                async with aclosing(self._heard_by(link, utterance, request)) as events:
                    async for event in events:
                        yield shown.carried(event)
            except Exception as error:  # noqa: BLE001 - whatever it is, another may hear it
                self._chain.failed(link, error)
                shown.is_by_another = True
                failure = error
            else:
                return
        else:
            assert failure is not None
            raise failure
        # Each look, and the last word, is a question of its own to the chain.
        looks = cast("AsyncGenerator[Hypothesis | Transcript, None]", Agreeing(self).listen(utterance, request))
        async with aclosing(looks):
            async for event in looks:
                yield shown.carried(event)

    async def _heard_by(
        self, link: Link[Stt], utterance: Utterance, request: SttRequest
    ) -> AsyncGenerator[Hypothesis | Transcript, None]:
        """What one hears that listens by itself, and at the end what it or somebody faster has understood."""
        attempt = Attempt(link, cast("Listener", link.engine).listen(utterance, request))
        pieces = attempt.pieces()
        others = asyncio.ensure_future(self._last_word_of_others(link, utterance, request))
        try:
            while True:
                coming = asyncio.ensure_future(anext(pieces, None))
                await _either(coming, others)
                if not coming.done() and (heard := others.result()) is not None:
                    await _given_up(coming)
                    self._chain.failed(link, TimeoutError("slower than the next"))
                    yield heard
                    return
                event = await coming
                if event is None:
                    raise EngineError("the recogniser ended without a transcript", "This is a mistake in the engine.")
                if isinstance(event, Transcript):
                    link.breaker.worked()
                    yield event
                    return
                yield event
        finally:
            await _given_up(others)
            await attempt.stop()

    async def _last_word_of_others(
        self, link: Link[Stt], utterance: Utterance, request: SttRequest
    ) -> Transcript | None:
        """The whole utterance's text, asked for once this one has had half of its time; None if nobody has it."""
        await utterance.ended()
        await asyncio.sleep(link.first_byte_s / 2)
        log.warning("%s has not ended what it listened to: the others are asked as well", link.name)
        try:
            sound = utterance.view()
            async with aclosing(
                self._chain.answer(lambda other: other.engine.transcribe(sound, request), without=link)
            ) as events:
                async for event in events:
                    if isinstance(event, Transcript):
                        return event
        except EngineError as error:
            log.warning("nor have they: %s", error.message)
        return None


class _Shown:
    """What was shown as stable, whoever heard it."""

    def __init__(self) -> None:
        self.is_by_another = False
        """Whether some of it was heard by somebody else than who goes on."""
        self._stable = ""

    def carried(self, event: Hypothesis | Transcript) -> Hypothesis | Transcript:
        """The event, as it goes on after what was shown."""
        if isinstance(event, Transcript):
            return event
        if not self.is_by_another:
            self._stable = event.stable
            return event
        before = pieces_of(self._stable)
        stable = unsaid(before, pieces_of(event.stable))
        rest = unsaid(before, pieces_of(event.stable + event.tail))
        self._stable = joined(self._stable, "".join(stable))
        whole = joined(self._stable, "".join(rest[len(stable) :]))
        return Hypothesis(self._stable, whole[len(self._stable) :])


async def _either(one: asyncio.Future[T], other: asyncio.Future[Transcript | None]) -> None:
    """Wait for the first, or for a result of the second."""
    await asyncio.wait((one, other), return_when=asyncio.FIRST_COMPLETED)
    if not one.done() and other.result() is None:
        await asyncio.wait((one,))


async def _given_up(work: asyncio.Future[T]) -> None:
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
